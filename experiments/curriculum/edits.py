"""Half of the candidates are edits of learnable tasks.

Run:      bitzero train --config=experiments/curriculum/edits.py \
            --workdir=runs/edits
Takes:    as long as the demo, unless it is given another size.
Expect:   nothing yet: no table has judged it.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config, which is the demo's."""
  c = default()
  c.name = "edits"
  c.curriculum.name = "edits"
  c.pool.eviction = "priority"
  return c
