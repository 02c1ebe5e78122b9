"""100 million ternary weights, to plan for a TPU.

Run:      bitzero plan --config=experiments/scale/ternary_100m.py
          --topology=v5e:1x1
Takes:    some 20 minutes of a CPU core; compiles, and nothing is trained.
Expect:   see "Plan for a TPU" in README.md. Never trained.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "ternary 100M"
  c.wiring = "host"
  c.language.levels = ("full",)
  c.curriculum.name = "random"  # no other has been seen to beat it
  c.model.width = 1024
  c.model.layers = 9
  c.model.heads = 16
  c.model.kv_heads = 4
  c.model.hidden = 2816
  c.model.dtype = "bfloat16"
  c.model.scan = True
  c.model.remat = "full"
  c.propose.candidates = 2304  # of 768: so many rows, even over 256 chips
  c.solve.fresh_rows = 256
  c.learn.rows = (768, 640, 640)
  c.pool.capacity = 32768
  return c
