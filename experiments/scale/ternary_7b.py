"""6.5 billion ternary weights, shaped as LLaMA 7B (arXiv:2302.13971).

Run:      bitzero plan --config=experiments/scale/ternary_7b.py
          --topology=v5e:8x8
Takes:    some 20 minutes of a CPU core; compiles, and nothing is trained.
Expect:   see "Plan for a TPU" in README.md. Never trained.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "ternary 7B"
  c.wiring = "host"
  c.language.levels = ("full",)
  c.curriculum.name = "random"  # no other has been seen to beat it
  c.model.width = 4096
  c.model.layers = 32
  c.model.heads = 32
  c.model.kv_heads = 32
  c.model.hidden = 11008
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
