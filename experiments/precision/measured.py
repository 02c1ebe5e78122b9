"""The same budget, by losses that are measured with fewer planes.

Run:      bitzero train --config=experiments/precision/measured.py \
            --workdir=runs/measured
Takes:    somewhat longer than the demo: the exam is larger.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that arms are judged with."""
  c = judged()
  c.name = "measured"
  c.curriculum.name = "random"
  c.precision.budget = 2.6
  c.precision.allocator = "measured"
  return c
