"""Half of the fresh rows go to the most learnable quarter.

Run:      bitzero train --config=experiments/curriculum/learnability.py \
            --workdir=runs/learnability
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "learnability"
  c.curriculum.name = "learnability"
  return c
