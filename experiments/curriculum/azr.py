"""Absolute Zero's own proposer: the model writes all, and nothing is refused
that runs. It is expected to collapse.

Run:      bitzero train --config=experiments/curriculum/azr.py \
            --workdir=runs/azr
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "azr"
  c.curriculum.name = "azr"
  c.propose.model_share = 1.0
  c.propose.measured = 48  # what random tasks are worth beside
  c.gate.constant = False
  c.gate.identity = False
  c.gate.outputs = 1
  c.gate.novel = False
  return c
