"""One plane that takes effect over the first 40 % of the run.

Run:      bitzero train --config=experiments/precision/ramp.py \
            --workdir=runs/ramp
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "ramp"
  c.curriculum.name = "random"
  c.precision.planes = (1,)
  c.precision.ramp_weights = 0.4
  c.precision.ramp_activations = 0.4
  return c
