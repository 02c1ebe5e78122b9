"""Where a process's time goes, from one metric line to the next."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax


class Work(NamedTuple):
  """What one run does in a round.

  Attributes:
    rows, tokens: trained on, padding counted.
    tasks: proposed.
  """

  rows: int
  tokens: int
  tasks: int


class Pace:
  """Measures rounds.

  Seconds are the process's. Speeds are those of one run, so where several
  seeds are trained side by side theirs add up to what the process does.

  Attributes:
    training: seconds spent in rounds.
    evaluating: seconds spent in evaluations.
  """

  def __init__(
    self,
    work: Work,
    number: int,
    waited: Callable[[], float],
    verified: Callable[[], float],
  ):
    """Starts the clock.

    Args:
      work: of a round.
      number: rounds done.
      waited: seconds that the device has waited for the host.
      verified: seconds that the host has verified.
    """
    self.training = 0.0
    self.evaluating = 0.0
    self._work = work
    self._waited = waited
    self._verified = verified
    self._last = self._reading(number)

  def _reading(self, number: int) -> tuple[float, ...]:
    now = time.monotonic()
    return number, now, self._waited(), self._verified(), self.evaluating

  def lap(self, number: int) -> dict[str, float]:
    """What the rounds since the last call were like; `number` is the newest."""
    now = self._reading(number)
    rounds, wall, waited, verified, evaluated = (
      new - old for new, old in zip(now, self._last, strict=True)
    )
    self._last = now
    wall = max(wall, 1e-9)
    busy = max(wall - evaluated, 1e-9)
    return {
      "speed/rows_per_s": rounds * self._work.rows / busy,
      "speed/tokens_per_s": rounds * self._work.tokens / busy,
      "speed/tasks_per_s": rounds * self._work.tasks / busy,
      "seconds/verify": waited,
      "seconds/evaluate": evaluated,
      "seconds/device": max(wall - waited - evaluated, 0.0),
      "executor/share": min(waited / wall, 1.0),
      "executor/seconds": verified,
      "memory/peak_mb": peak_mb(),
      "memory/arrays": len(jax.live_arrays()),
    } | _held()


def peak_mb() -> float:
  """Most memory that this process has held, in 10^6 bytes."""
  unit = 1 if sys.platform == "darwin" else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _held() -> dict[str, float]:
  """Memory that this process holds now, in 10^6 bytes, where Linux says so."""
  pages = Path("/proc/self/statm")
  if not pages.exists():
    return {}
  held = int(pages.read_text().split()[1]) * resource.getpagesize()
  return {"memory/mb": held / 1e6}
