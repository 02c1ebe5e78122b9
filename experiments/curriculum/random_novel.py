"""Only tasks whose behaviour is new are trained on.

Run:      bitzero train --config=experiments/curriculum/random_novel.py \
            --workdir=runs/random_novel
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "random novel"
  c.curriculum.name = "random_novel"
  return c
