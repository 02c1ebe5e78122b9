"""Only tasks whose behaviour is new are trained on.

Run:      bitzero train --config=experiments/curriculum/random_novel.py \
            --workdir=runs/random_novel
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "random novel"
  c.curriculum.name = "random_novel"
  return c
