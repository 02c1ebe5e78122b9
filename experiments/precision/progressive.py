"""Three planes, then two, then one: at equal steps with `planes_1`.

Run:      bitzero train --config=experiments/precision/progressive.py \
            --workdir=runs/progressive
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "progressive"
  c.curriculum.name = "random"
  c.precision.planes = (3, 2, 1)
  c.precision.planes_at = (0.25, 0.5)
  return c
