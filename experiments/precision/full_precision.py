"""No quantization of weights: the ceiling.

Run:      bitzero train --config=experiments/precision/full_precision.py \
            --workdir=runs/full_precision
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "full_precision"
  c.curriculum.name = "random"
  c.quant.weights = "identity"
  return c
