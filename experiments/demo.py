"""The main job: a ternary model learns from nothing on a laptop.

Run:      bitzero train --config=experiments/demo.py --workdir=runs/demo
Takes:    5 minutes on 2 CPU cores.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "demo"
  return c
