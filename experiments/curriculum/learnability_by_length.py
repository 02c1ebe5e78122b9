"""As learnability, ranked among programs of one length.

Run:      bitzero train --workdir=runs/learnability_by_length \
            --config=experiments/curriculum/learnability_by_length.py
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "learnability by length"
  c.curriculum.name = "learnability_by_length"
  return c
