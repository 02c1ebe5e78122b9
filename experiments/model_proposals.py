"""The demo with a quarter of the tasks written by the model, which is paid for
learnable ones.

Run:      bitzero train --config=experiments/model_proposals.py \
            --workdir=runs/model_proposals
Takes:    somewhat longer than the demo.
Expect:   see experiments/README.md.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config; the demo's tasks are all random."""
  c = default()
  c.name = "model proposals"
  c.wiring = "host"
  c.curriculum.name = "trr"
  return c
