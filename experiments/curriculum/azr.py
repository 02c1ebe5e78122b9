"""Absolute Zero's own proposer: the model writes all, and nothing is refused
that runs. It is expected to collapse.

Run:      bitzero train --config=experiments/curriculum/azr.py \
            --workdir=runs/azr
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "azr"
  c.curriculum.name = "azr"
  c.propose.model_share = 1.0
  c.propose.measured = 48  # what random tasks are worth beside
  c.gate.constant = False
  c.gate.identity = False
  c.gate.outputs = 1
  c.gate.novel = False
  c.probe.pair = 0  # the solver is asked about the proposer's own input
  return c
