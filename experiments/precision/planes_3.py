"""Three planes: 27 levels, 5.5 stored bits a weight.

Run:      bitzero train --config=experiments/precision/planes_3.py \
            --workdir=runs/planes_3
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "planes_3"
  c.curriculum.name = "random"
  c.precision.planes = (3,)
  return c
