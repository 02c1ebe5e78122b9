"""Control for length: random tasks, as long as those of another arm.

Run:      python -m bitzero_jax.evaluate.compare runs --lengths ARM
            prints the command for the control of a finished arm; as it stands
            here every length from 2 to 8 tokens is trained on equally often.
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "length matched"
  c.curriculum.name = "length_matched"
  c.curriculum.lengths = (0, 1, 1, 1, 1, 1, 1, 1)
  return c
