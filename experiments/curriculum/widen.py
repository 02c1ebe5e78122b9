"""Random tasks, of a language that widens when the model is ready for it.

Run:      bitzero train --config=experiments/curriculum/widen.py \
            --workdir=runs/widen
Control:  the same levels by updates: --config.language.widen_rate=0.0 \
            --config.language.widen_at="(1280,2560)"
Takes:    longer than the demo: programs and values are longer.
Expect:   nothing yet: no table has judged it. The exam is of the last level.
"""

from bitzero_jax.config import judged


def get_config():
  """Differences from the config that curricula are judged with."""
  c = judged()
  c.name = "widen"
  c.curriculum.name = "random"
  c.language.levels = ("small", "medium", "large")
  c.language.widen_rate = 0.2
  return c
