"""One metric over gradient updates: read from a run, smoothed, thinned.

Letters: N = readings of a series.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.evaluate.figure import GREY

_MOST_POINTS = 240  # more than that cannot be seen at a chart's width

Lines = Sequence[Mapping[str, Any]]


class Series(NamedTuple):
  """One curve.

  Attributes:
    name: what the legend calls it.
    steps: [N] int, gradient updates, rising.
    values: [N] float, finite.
    color: 0 to 7.
    dashed: for a reference rather than a result.
  """

  name: str
  steps: np.ndarray
  values: np.ndarray
  color: int
  dashed: bool = False


def readings(
  lines: Lines, key: str, name: str = "", color: int = GREY
) -> Series:
  """All finite readings of one metric; the later of two at one step wins."""
  found = {
    line["step"]: float(line[key]) for line in lines if is_number(line.get(key))
  }
  steps = sorted(found)
  values = np.array([found[step] for step in steps], dtype=float)
  return Series(name, np.array(steps, int), values, color)


def is_number(value: Any) -> bool:
  """Whether a field of a line is a finite number."""
  return isinstance(value, int | float) and math.isfinite(value)


def smooth(values: np.ndarray) -> np.ndarray:
  """Running mean over about a twentieth of the readings, [N] -> [N]."""
  half = len(values) // 40
  total = np.concatenate([[0.0], np.cumsum(values)])
  index = np.arange(len(values))
  low = np.maximum(index - half, 0)
  high = np.minimum(index + half + 1, len(values))
  return (total[high] - total[low]) / (high - low)


def extremes(values: np.ndarray) -> np.ndarray:
  """Indices of few readings that still show every peak, in order."""
  if len(values) <= _MOST_POINTS:
    return np.arange(len(values))
  kept = {0, len(values) - 1}
  for part in np.array_split(np.arange(len(values)), _MOST_POINTS // 2):
    kept.add(int(part[values[part].argmin()]))
    kept.add(int(part[values[part].argmax()]))
  return np.array(sorted(kept))
