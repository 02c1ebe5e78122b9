"""One ternary plane with a learned step: what all others must beat.

Run:      bitzero train --config=experiments/precision/planes_1.py \
            --workdir=runs/planes_1
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "planes_1"
  c.curriculum.name = "random"
  c.precision.planes = (1,)
  return c
