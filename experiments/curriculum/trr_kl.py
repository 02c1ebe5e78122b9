"""The demo's proposer, held near the grammar's prior.

Run:      bitzero train --config=experiments/curriculum/trr_kl.py \
            --workdir=runs/trr_kl
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "trr kl"
  c.curriculum.name = "trr_kl"
  return c
