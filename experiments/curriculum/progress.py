"""The model copies programs of the kind on which training has helped most.

Run:      bitzero train --config=experiments/curriculum/progress.py \
            --workdir=runs/progress
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "progress"
  c.curriculum.name = "progress"
  c.propose.model_share = 0.5
  return c
