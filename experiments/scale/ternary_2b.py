"""2 billion ternary weights, shaped as BitNet b1.58 2B4T (arXiv:2504.12285).

Run:      bitzero plan --config=experiments/scale/ternary_2b.py
          --topology=v5e:4x4
Takes:    some 20 minutes of a CPU core; compiles, and nothing is trained.
Expect:   see "Plan for a TPU" in README.md. Never trained.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "ternary 2B"
  c.wiring = "host"
  c.language.levels = ("full",)
  c.curriculum.name = "random"  # no other has been seen to beat it
  c.model.width = 2560
  c.model.layers = 30
  c.model.heads = 20
  c.model.kv_heads = 5
  c.model.hidden = 6912
  c.model.dtype = "bfloat16"
  c.model.scan = True
  c.model.remat = "full"
  c.propose.candidates = 2304  # of 768: so many rows, even over 256 chips
  c.solve.fresh_rows = 256
  c.learn.rows = (768, 640, 640)
  c.pool.capacity = 32768
  # BitNet's recipe. Muon multiplies whole matrices, which it would gather.
  c.optimizer.name = "adamw"
  c.optimizer.schedule = "two_stage"
  c.optimizer.learning_rate = 1.2e-3
  c.optimizer.weight_decay = 0.1
  c.optimizer.decay_until = 0.5
  return c
