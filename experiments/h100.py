"""Ten minutes on one H100: a wider language, a larger model, bfloat16.

Run:      bitzero train --config=experiments/h100.py --workdir=runs/h100
Takes:    ten minutes on one NVIDIA H100 with 8 or more CPU cores.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "h100"
  c.rounds = 200
  c.wiring = "host"  # its three compiled stages are kept between runs
  c.language.levels = ("small", "full")
  c.language.widen_at = (600,)
  c.model.width = 192
  c.model.layers = 6
  c.model.heads = 6
  c.model.kv_heads = 6
  c.model.hidden = 384
  c.model.dtype = "bfloat16"
  c.propose.candidates = 1536
  c.solve.fresh_rows = 128
  c.learn.rows = (256, 192, 256)
  c.pool.capacity = 32768
  c.executor.workers = 8
  c.optimizer.learning_rate = 0.01
  c.heldout.output_share = 0.008  # longer outputs repeat more: [] above all
  return c
