"""The demo at a size that llama.cpp packs into TQ2_0 throughout.

Run:      bitzero train --config=experiments/edge.py --workdir=runs/edge
Takes:    15 minutes on 2 CPU cores that others used too.
Expect:   held-out 0.32, 0.50 and 0.16; level with the demo.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "edge"
  c.wiring = "host"  # as in the demo
  c.curriculum.name = "random"  # as in the demo
  c.rounds = 80
  c.model.width = 256
  c.model.layers = 2
  c.model.kv_heads = 2
  c.model.hidden = 512
  return c
