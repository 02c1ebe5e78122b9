"""Control of the demo: every task drawn at random from the grammar's prior.

Run:      bitzero train --config=experiments/random_proposals.py \
            --workdir=runs/random_proposals
Takes:    as long as the demo.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "random proposals"
  c.curriculum.name = "random"
  return c
