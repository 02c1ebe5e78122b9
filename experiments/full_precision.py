"""Control of the demo: full-precision weights and activations.

Run:      bitzero train --config=experiments/full_precision.py \
            --workdir=runs/full_precision
Takes:    as long as the demo.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "full precision"
  c.quant.weights = "identity"
  c.quant.activations = "none"
  c.curriculum.name = "random"  # as in the demo
  return c
