"""The model learns to propose by copying the round's best new programs.

Run:      bitzero train --config=experiments/curriculum/proposer.py \
            --workdir=runs/proposer
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "proposer"
  c.curriculum.name = "proposer"
  c.propose.model_share = 0.5
  return c
