"""Proposals are paid for what three planes solve and one does not.

Run:      bitzero train --config=experiments/precision/gap.py \
            --workdir=runs/gap
Takes:    about three times as long as the demo: every depth is trained.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "gap"
  c.curriculum.name = "trr"
  c.precision.depths = (1, 2, 3)
  c.precision.gap = 0.5
  return c
