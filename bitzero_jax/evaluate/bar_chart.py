"""Groups of upright bars that hold shares.

Letters: B = groups of bars.
"""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bitzero_jax.evaluate.axes import BOTTOM, LEFT, Axes, ticks
from bitzero_jax.evaluate.figure import GREY, HEIGHT, WIDTH, figure
from bitzero_jax.evaluate.number_format import percent


class Bars(NamedTuple):
  """One bar in each group; NaN leaves its place empty.

  Attributes:
    name: what the legend calls it.
    values: [B] float.
    color: 0 to 7.
  """

  name: str
  values: np.ndarray
  color: int


def bar_chart(
  title: str,
  labels: Sequence[str],
  groups: Sequence[Bars],
  *,
  axis: str,
  top: float | None = None,
  reference: tuple[str, float] | None = None,
  note: str = "",
) -> str:
  """Groups of upright bars that hold shares, the value above each bar.

  Args:
    title: heading of the chart.
    labels: [B] names below the groups.
    groups: one bar in every group each.
    axis: what the vertical axis counts.
    top: highest share to make room for; None: the highest bar.
    reference: name and height of a dashed line.
    note: one line below.

  Returns:
    A `<figure>`, or "" when there are no labels.
  """
  if not labels:
    return ""
  heights = np.concatenate([group.values for group in groups])
  heights = heights[np.isfinite(heights)]
  most = [float(heights.max())] if len(heights) else []
  most += [] if top is None else [top]
  most += [] if reference is None else [reference[1]]
  plot = Axes(None, ticks(0.0, max(most, default=1.0)), axis, percent)
  room = (WIDTH - LEFT - 8) / len(labels)
  width = min(room * 0.76 / len(groups), 40.0)
  parts = [plot.grid()]
  values = []
  for place, label in enumerate(labels):
    middle = LEFT + room * (place + 0.5)
    text = html.escape(label)
    y = HEIGHT - BOTTOM + 16
    parts.append(
      f'<text class="tick mid" x="{middle:.1f}" y="{y}">{text}</text>'
    )
    for index, group in enumerate(groups):
      value = float(group.values[place])
      if not math.isfinite(value):
        continue
      x = middle + (index - len(groups) / 2) * width
      y = plot.y(value)
      height = max(plot.y(0.0) - y, 0.5)
      parts.append(
        f'<rect class="bar c{group.color}" x="{x + 1:.1f}" y="{y:.1f}"'
        f' width="{width - 2:.1f}" height="{height:.1f}"/>'
      )
      values.append(
        f'<text class="value mid" x="{x + width / 2:.1f}" y="{y - 4:.1f}">'
        f"{100 * value:.0f}</text>"
      )
  legend = [(group.name, group.color, False) for group in groups]
  if reference is not None:
    y = plot.y(reference[1])
    parts.append(
      f'<path class="line c{GREY} dash" d="M{LEFT} {y:.1f}H{WIDTH - 8}"/>'
    )
    legend.append((f"{reference[0]} {percent(reference[1])}", GREY, True))
  return figure(title, legend, "".join(parts + values), note)
