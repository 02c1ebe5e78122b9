"""Ten minutes on one H100: a wider language, a larger model, bfloat16.

Run:      bitzero train --config=experiments/h100.py --workdir=runs/h100
Takes:    meant for ten minutes on one NVIDIA H100 with 16 CPU cores; run for
          150 of its rounds so far.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "h100"
  c.rounds = 280
  c.wiring = "host"  # candidates are checked while the GPU learns
  c.language.levels = ("small", "full")
  c.language.widen_at = (1280,)
  c.curriculum.name = "random"  # no other has been seen to beat it
  c.model.width = 192
  c.model.layers = 4
  c.model.heads = 6
  c.model.kv_heads = 6
  c.model.hidden = 768
  c.model.dtype = "bfloat16"
  c.propose.candidates = 2304  # what 14 interpreters should check in a round
  c.solve.fresh_rows = 128
  c.learn.updates = 64
  c.learn.rows = (768, 640, 640)
  c.pool.capacity = 32768
  c.executor.workers = 14
  c.optimizer.learning_rate = 0.01
  c.heldout.output_share = 0.008  # longer outputs repeat more: [] above all
  return c
