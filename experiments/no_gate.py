"""Control of the demo: constants, identities and known behaviours are let in.

Run:      bitzero train --config=experiments/no_gate.py \
            --workdir=runs/no_gate
Takes:    as long as the demo.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "no gate"
  c.gate.constant = False
  c.gate.identity = False
  c.gate.outputs = 1
  c.gate.novel = False
  c.curriculum.name = "random"  # as in the demo
  return c
