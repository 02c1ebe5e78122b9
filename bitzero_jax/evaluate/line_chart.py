"""Curves and stacked shares over gradient updates, labelled at their ends.

Letters: N = readings of a series.
"""

import html
from collections.abc import Callable, Sequence

import numpy as np

from bitzero_jax.evaluate.axes import BOTTOM, RIGHT, Axes, step_range, ticks
from bitzero_jax.evaluate.figure import HEIGHT, WIDTH, figure
from bitzero_jax.evaluate.number_format import number, percent
from bitzero_jax.evaluate.series import Series, smooth

_SMOOTH_FROM = 40  # a series with fewer readings is drawn as it is


def line_chart(
  title: str,
  series: Sequence[Series],
  *,
  axis: str,
  show: Callable[[float], str] = number,
  note: str = "",
  from_zero: bool = True,
  smoothed: bool = True,
) -> str:
  """Curves over gradient updates, each with its last value at its end.

  Args:
    title: heading of the chart.
    series: curves; empty ones are left out.
    axis: what the vertical axis counts.
    show: writes a value of that axis.
    note: one line below, such as what a bad value looks like.
    from_zero: whether the axis must reach zero.
    smoothed: whether a long curve shows its running mean over thin readings.

  Returns:
    A `<figure>`, or "" when no curve has a reading.
  """
  series = [item for item in series if len(item.values)]
  if not series:
    return ""
  values = np.concatenate([item.values for item in series])
  low, high = float(values.min()), float(values.max())
  if from_zero or 0 <= low < 0.4 * high:
    low, high = min(low, 0.0), max(high, 0.0)
  plot = Axes(
    step_range([item.steps for item in series]), ticks(low, high), axis, show
  )
  parts = [plot.grid()]
  ends = []
  for item in series:
    bold = item.values
    if smoothed and len(bold) >= _SMOOTH_FROM and not item.dashed:
      bold = smooth(bold)
      thin = plot.path(item.steps, item.values)
      parts.append(f'<path class="line thin c{item.color}" d="{thin}"/>')
    dash = " dash" if item.dashed else ""
    path = plot.path(item.steps, bold)
    parts.append(f'<path class="line c{item.color}{dash}" d="{path}"/>')
    if len(bold) < _SMOOTH_FROM and not item.dashed:
      parts += [
        f'<circle class="dot c{item.color}" cx="{plot.x(step):.1f}"'
        f' cy="{plot.y(value):.1f}" r="2.5"><title>'
        f"{html.escape(item.name)}, step {step}: {show(value)}</title></circle>"
        for step, value in zip(item.steps, bold, strict=True)
      ]
    ends.append((plot.y(bold[-1]), show(float(bold[-1])), item.color))
  parts.append(_end_labels(ends))
  legend = [(item.name, item.color, item.dashed) for item in series]
  return figure(title, legend, "".join(parts), note)


def stacked_chart(
  title: str,
  series: Sequence[Series],
  *,
  axis: str,
  note: str = "",
) -> str:
  """Shares on top of each other; all series have the same steps.

  Returns:
    A `<figure>`, or "" when there is no reading.
  """
  if not series or not len(series[0].steps):
    return ""
  steps = series[0].steps
  levels = [item.values for item in series]
  if len(steps) >= _SMOOTH_FROM:
    levels = [smooth(values) for values in levels]
  stack = np.cumsum([np.zeros(len(steps)), *levels], axis=0)  # [series + 1, N]
  if len(steps) == 1:  # a single reading still needs a width to be seen
    steps, stack = np.append(steps, steps + 1), np.repeat(stack, 2, axis=1)
  top = max(1.0, float(stack[-1].max()))
  plot = Axes(step_range([steps]), ticks(0.0, top), axis, percent)
  parts = [plot.grid()]
  ends = []
  for index, item in enumerate(series):
    upper = plot.path(steps, stack[index + 1])
    lower = plot.path(steps[::-1], stack[index][::-1]).replace("M", "L", 1)
    parts.append(f'<path class="area c{item.color}" d="{upper}{lower}Z"/>')
    share = float(stack[index + 1][-1] - stack[index][-1])
    middle = (stack[index][-1] + stack[index + 1][-1]) / 2
    ends.append((plot.y(middle), percent(share), item.color))
  parts.append(_end_labels(ends))
  legend = [(item.name, item.color, False) for item in series]
  return figure(title, legend, "".join(parts), note)


def _end_labels(ends: list[tuple[float, str, int]]) -> str:
  """Last values right of the plot, pushed apart so that none overlap."""
  gap = 12.5
  ends = sorted(ends)
  places: list[float] = []
  for y, _, _ in ends:
    places.append(max(y, places[-1] + gap) if places else y)
  bottom = HEIGHT - BOTTOM
  for index in range(len(places) - 1, -1, -1):
    places[index] = min(places[index], bottom - gap * (len(places) - 1 - index))
  return "".join(
    f'<text class="last c{color}" x="{WIDTH - RIGHT + 5}" y="{y + 4:.1f}">'
    f"{text}</text>"
    for y, (_, text, color) in zip(places, ends, strict=True)
  )
