"""Eight-bit weights, a scale for each column.

Run:      bitzero train --config=experiments/precision/int8.py \
            --workdir=runs/int8
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "int8"
  c.curriculum.name = "random"
  c.quant.weights = "int8"
  return c
