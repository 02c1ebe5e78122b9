"""The demo's proposer, held near the grammar's prior.

Run:      bitzero train --config=experiments/curriculum/trr_kl.py \
            --workdir=runs/trr_kl
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "trr kl"
  c.curriculum.name = "trr_kl"
  return c
