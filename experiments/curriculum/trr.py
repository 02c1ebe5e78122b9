"""The model writes a quarter of the candidates and is paid for learnable ones.

Run:      bitzero train --config=experiments/curriculum/trr.py \
            --workdir=runs/trr
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "trr"
  c.curriculum.name = "trr"
  return c
