"""Differences between two arms, task by task, with an interval.

Letters: K = task types, U = units that are resampled (programs), S = seeds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.state import RIGHT, UNKNOWN

REPLICATES = 2000
_SEED = 20260101  # of the resampling; the same table every time


class Paired(NamedTuple):
  """One arm against its control on one exam, of one seed.

  Attributes:
    gain: float [K, U], arm minus control, summed over a unit's tasks.
    size: float [K, U], what the sum is over: tasks, or tokens.
  """

  gain: np.ndarray
  size: np.ndarray

  @property
  def mean(self) -> float:
    """Mean over the types of each type's gain per task or token."""
    return float(np.mean(self.gain.sum(1) / np.maximum(self.size.sum(1), 1)))


class Difference(NamedTuple):
  """Arm minus control.

  Attributes:
    mean: over the seeds.
    low, high: ends of the 95 % interval.
    by_seed: one for each seed.
  """

  mean: float
  low: float
  high: float
  by_seed: tuple[float, ...]

  def verdict(self, less_is_better: bool) -> str:
    """The words "better" or "worse" where 0 is outside, else "level"."""
    if self.low <= 0 <= self.high:
      return "level"
    return "better" if (self.mean < 0) == less_is_better else "worse"


def pair(
  arm: Graded,
  control: Graded,
  where: np.ndarray,
  kinds: Sequence[str],
  log_loss: bool,
) -> Paired:
  """Pairs two sittings of one exam.

  Accuracy counts the tasks whose verdict is known in both; log-loss is nats per
  token of the gold answer.

  Args:
    arm, control: the sittings.
    where: bool [n], the tasks that count.
    kinds: types, over which a mean is taken.
    log_loss: whether to compare log-loss and not accuracy.

  Raises:
    ValueError: they sat different exams.
  """
  if arm.exam != control.exam:
    raise ValueError(f"exams {arm.exam} and {control.exam} are not the same")
  units = int(arm.program.max()) + 1
  gain, size = np.zeros((2, len(kinds), units))
  for row, kind in enumerate(kinds):
    if log_loss:
      counts = where * arm.tokens[kind]
      worth = where * (arm.nats[kind] - control.nats[kind])
    else:
      mine, theirs = arm.grade[kind], control.grade[kind]
      counts = where & (mine != UNKNOWN) & (theirs != UNKNOWN)
      right = (mine == RIGHT).astype(float) - (theirs == RIGHT)
      worth = counts * right
    np.add.at(gain[row], arm.program, worth)
    np.add.at(size[row], arm.program, counts)
  asked = np.unique(arm.program[where])
  return Paired(gain[:, asked], size[:, asked])


def difference(seeds: Sequence[Paired], shared: bool) -> Difference:
  """The mean difference over seeds, with a bootstrapped 95 % interval.

  A replicate draws S - 1 of the S seeds with replacement (Rao and Wu 1988: as
  many as S would make the spread of few seeds too small), then in each the
  exam's programs, all tasks and types of a program together, as many as there
  are. The interval holds the middle 95 % of the replicates. With one seed it
  speaks of the tasks alone.

  Measured on made-up arms that are level, with 510 tasks a seed: where the true
  differences of the seeds scatter by 0, 0.01, 0.02 and 0.03, the interval holds
  0 in 99, 100, 97 and 95 % of 300 cases with 3 seeds, and in 98, 99, 94 and
  94 % with 5.

  Args:
    seeds: one for each seed.
    shared: whether every seed sat the very same exam. Then its programs are
      drawn once for all seeds of a replicate.
  """
  count = len(seeds)
  drawn = max(1, count - 1)
  rng = np.random.default_rng(_SEED)
  chosen = rng.integers(count, size=(REPLICATES, drawn))
  total = np.zeros(REPLICATES)

  def redraw(units: int, times: int) -> np.ndarray:
    """How often each unit is drawn: float [times, units]."""
    row = units * np.arange(times)[:, None]
    cells = row + rng.integers(units, size=(times, units))
    counts = np.bincount(cells.reshape(-1), minlength=times * units)
    return counts.reshape(times, units).astype(float)

  units = seeds[0].gain.shape[1]
  common = redraw(units, REPLICATES) if shared else None
  for place in range(drawn):
    for seed, paired in enumerate(seeds):
      mine = chosen[:, place] == seed
      if common is None:
        times = redraw(paired.gain.shape[1], mine.sum())
      else:
        times = common[mine]
      size = np.maximum(times @ paired.size.T, 1)
      total[mine] += np.mean((times @ paired.gain.T) / size, axis=1)
  low, high = np.quantile(total / drawn, [0.025, 0.975])
  by_seed = tuple(paired.mean for paired in seeds)
  return Difference(float(np.mean(by_seed)), float(low), float(high), by_seed)
