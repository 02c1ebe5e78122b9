"""Half of the fresh rows go to the most learnable quarter.

Run:      bitzero train --config=experiments/curriculum/learnability.py \
            --workdir=runs/learnability
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "learnability"
  c.curriculum.name = "learnability"
  return c
