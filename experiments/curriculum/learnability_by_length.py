"""As learnability, ranked among programs of one length.

Run:      bitzero train --workdir=runs/learnability_by_length \
            --config=experiments/curriculum/learnability_by_length.py
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "learnability by length"
  c.curriculum.name = "learnability_by_length"
  return c
