"""Planes where self-play's gradient wants them, 2.6 stored bits a weight.

Run:      bitzero train --config=experiments/precision/learned.py \
            --workdir=runs/learned
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "learned"
  c.curriculum.name = "random"
  c.precision.budget = 2.6
  return c
