"""A plot's axes in SVG: round ticks, places of values, the grid behind them."""

import html
import math
from collections.abc import Callable, Sequence

import numpy as np

from bitzero_jax.evaluate.figure import HEIGHT, WIDTH
from bitzero_jax.evaluate.number_format import number
from bitzero_jax.evaluate.series import extremes

LEFT, RIGHT, TOP, BOTTOM = 50, 54, 24, 36  # margins around the plot


class Axes:
  """One plot's axes.

  Args:
    span: first and last step; None for bars, which have no steps.
    rows: heights of the grid's lines, rising.
    axis: what the vertical axis counts.
    show: writes a value of that axis.
  """

  def __init__(
    self,
    span: tuple[int, int] | None,
    rows: list[float],
    axis: str,
    show: Callable[[float], str],
  ):
    self._span = span
    self._rows = rows
    self._axis = axis
    self._show = show

  def x(self, step: float) -> float:
    assert self._span is not None
    first, last = self._span
    room = WIDTH - LEFT - RIGHT
    return LEFT + room * (step - first) / (last - first)

  def y(self, value: float) -> float:
    low, high = self._rows[0], self._rows[-1]
    room = HEIGHT - TOP - BOTTOM
    return HEIGHT - BOTTOM - room * (value - low) / (high - low)

  def path(self, steps: np.ndarray, values: np.ndarray) -> str:
    """A broken line through the readings, thinned to what can be seen."""
    chosen = extremes(values)
    steps, values = steps[chosen], values[chosen]
    points = [
      f"{self.x(step):.1f} {self.y(value):.1f}"
      for step, value in zip(steps, values, strict=True)
    ]
    return "M" + "L".join(points)

  def grid(self) -> str:
    parts = [self.heading()]
    right = WIDTH - (8 if self._span is None else RIGHT)
    for row in self._rows:
      y = self.y(row)
      parts.append(
        f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
        f'<text class="tick end" x="{LEFT - 6}" y="{y + 4:.1f}">'
        f"{self._show(row)}</text>"
      )
    return "".join(parts) + ("" if self._span is None else self.steps())

  def heading(self) -> str:
    """What the vertical axis counts."""
    return f'<text class="axis" x="0" y="12">{html.escape(self._axis)}</text>'

  def steps(self) -> str:
    """Ticks and the name of the horizontal axis."""
    assert self._span is not None
    first, last = self._span
    parts = [
      f'<text class="tick mid" x="{self.x(step):.1f}"'
      f' y="{HEIGHT - BOTTOM + 16}">{number(step)}</text>'
      for step in ticks(first, last, 4)
      if first <= step <= last and float(step).is_integer()
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
      f'<text class="axis mid" x="{middle}" y="{HEIGHT - 4}">'
      "gradient updates</text>"
    )
    return "".join(parts)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
  """Round numbers that cover [low, high]; the first and last enclose it."""
  if not high > low:
    high = low + 1.0
  raw = (high - low) / count
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
  first = math.floor(low / step + 1e-9)
  last = math.ceil(high / step - 1e-9)
  return [i * step for i in range(first, last + 1)]


def step_range(all_steps: Sequence[np.ndarray]) -> tuple[int, int]:
  """First and last step of the horizontal axis; from 0 where 0 is near."""
  first = min(int(steps[0]) for steps in all_steps)
  last = max(int(steps[-1]) for steps in all_steps)
  if first < 0.1 * last:
    first = 0
  return first, max(last, first + 1)
