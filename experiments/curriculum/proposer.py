"""The model learns to propose by copying the round's best new programs.

Run:      bitzero train --config=experiments/curriculum/proposer.py \
            --workdir=runs/proposer
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "proposer"
  c.curriculum.name = "proposer"
  c.propose.model_share = 0.5
  return c
