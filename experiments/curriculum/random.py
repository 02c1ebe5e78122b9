"""The control of every curriculum: all sound tasks of the prior, alike.

Run:      bitzero train --config=experiments/curriculum/random.py \
            --workdir=runs/random
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "random"
  c.curriculum.name = "random"
  return c
