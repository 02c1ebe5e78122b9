"""The same budget, dealt out by chance.

Run:      bitzero train --config=experiments/precision/chance.py \
            --workdir=runs/chance
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "chance"
  c.curriculum.name = "random"
  c.precision.budget = 2.6
  c.precision.allocator = "random"
  return c
