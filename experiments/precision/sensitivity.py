"""The same budget, ranked once by the Fisher information.

Run:      bitzero train --config=experiments/precision/sensitivity.py \
            --workdir=runs/sensitivity
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "sensitivity"
  c.curriculum.name = "random"
  c.precision.budget = 2.6
  c.precision.allocator = "sensitivity"
  return c
