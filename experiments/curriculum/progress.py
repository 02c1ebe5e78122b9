"""The model copies programs of the kind on which training has helped most.

Run:      bitzero train --config=experiments/curriculum/progress.py \
            --workdir=runs/progress
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "progress"
  c.curriculum.name = "progress"
  c.propose.model_share = 0.5
  return c
