"""Half of the candidates are edits of learnable tasks.

Run:      bitzero train --config=experiments/curriculum/edits.py \
            --workdir=runs/edits
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "edits"
  c.curriculum.name = "edits"
  c.pool.eviction = "priority"
  return c
