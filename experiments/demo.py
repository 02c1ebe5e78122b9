"""The main job: a ternary model learns from nothing on a laptop.

Run:      bitzero train --config=experiments/demo.py --workdir=runs/demo
Takes:    about 5 minutes on 2 idle CPU cores.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "demo"
  c.wiring = "host"  # on a CPU the faster of the two wirings so far
  c.curriculum.name = "random"  # no other has been seen to beat it
  return c
