"""90 million parameters of random weights: what a file and an engine cost.

Run:      bitzero bench export --config=experiments/export_90m.py
Takes:    a few minutes on 2 CPU cores; nothing is trained.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config: TQ2_0 holds every kernel."""
  c = default()
  c.name = "90M"
  c.model.width = 1024
  c.model.layers = 8
  c.model.heads = 16
  c.model.kv_heads = 4
  c.model.hidden = 2816
  return c
