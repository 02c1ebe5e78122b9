"""A few rounds of everything, to see that the house stands.

Run:      bitzero train --config=experiments/smoke.py --workdir=runs/smoke
Takes:    under a minute on 2 CPU cores, most of it compiling.
Expect:   nothing learned; every file of a run, and a report.
"""

from bitzero_jax.config import default


def get_config():
  """Differences from the default config."""
  c = default()
  c.name = "smoke"
  c.rounds = 6
  c.model.width = 32
  c.model.layers = 1
  c.model.hidden = 64
  c.propose.candidates = 48
  c.solve.fresh_rows = 16
  c.learn.updates = 4
  c.learn.rows = (8, 8, 8)
  c.pool.capacity = 256
  c.optimizer.warmup = 4
  c.heldout.candidates = 2048
  c.heldout.tasks = 16
  c.every.tasks = 2
  c.every.evaluate = 3
  c.every.save = 2
  return c
