"""Control of the demo: no hindsight: pure reinforcement learning.

Run:      bitzero train --config=experiments/no_hindsight.py \
            --workdir=runs/no_hindsight
Takes:    as long as the demo.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "no hindsight"
  c.learn.hindsight = 0.0
  c.learn.solve = 1.0
  c.curriculum.name = "random"  # as in the demo
  return c
