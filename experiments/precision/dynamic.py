"""One weight set that runs at one, two and three planes.

Run:      bitzero train --config=experiments/precision/dynamic.py \
            --workdir=runs/dynamic
Takes:    about three times as long as the demo: every depth is trained.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "dynamic"
  c.curriculum.name = "random"
  c.precision.depths = (1, 2, 3)
  return c
