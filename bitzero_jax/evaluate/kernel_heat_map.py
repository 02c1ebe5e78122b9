"""Heat maps of the quantized matrices over a run: flips, zeros, scales.

Letters: T = readings, N = matrices, a row each, C = columns, spans of updates.
"""

import html
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bitzero_jax.evaluate.axes import BOTTOM, LEFT, RIGHT, TOP, Axes, ticks
from bitzero_jax.evaluate.bit_heat_map import PROJECTIONS, Rows, place_of
from bitzero_jax.evaluate.figure import HEIGHT, WIDTH, figure
from bitzero_jax.evaluate.number_format import number, percent
from bitzero_jax.evaluate.series import Lines, is_number

_SHADES = 13  # colours of a map; odd, so that a drift has a middle
_COLUMNS = 48  # more spans of updates cannot be told apart
_GAP = 5  # between two projections


class Matrix(NamedTuple):
  """One matrix: its projection, such as "q", and its layer, -1 for none."""

  name: str
  layer: int


class _Map(NamedTuple):
  title: str
  metric: str
  axis: str
  show: Callable[[float], str]
  note: str
  drift: bool = False  # ln(value / first value), in two colours


MAPS = (
  _Map(
    "Flips by matrix",
    "ternary/kernels/flip_rate",
    "share of codes that flip in a round",
    percent,
    "In each band a row is a layer, the first on top. Bad: few flips early, or"
    " many to the end.",
  ),
  _Map(
    "Zeros by matrix",
    "ternary/kernels/zero_share",
    "share of codes that are 0",
    percent,
    "Gaussian weights under absmean have 31 %. Bad: near 100 %.",
  ),
  _Map(
    "Scale by matrix",
    "ternary/kernels/scale",
    "scale over its first reading",
    lambda drift: f"\N{MULTIPLICATION SIGN}{number(math.exp(drift))}",
    "Blue grew, orange shrank. Bad: one that runs away from the others.",
    drift=True,
  ),
)


def kernel_heat_maps(lines: Lines, parameters: Rows) -> list[str]:
  """A map for each measure of single matrices; "" where it has no reading.

  Args:
    lines: of `metrics.jsonl`, with lists `ternary/kernels/...` [N].
    parameters: rows of `parameters.json`, which say what the N matrices are.
  """
  matrices = matrices_of(parameters)
  figures = []
  for one in MAPS:
    readings = {
      line["step"]: line[one.metric]
      for line in lines
      if len(line.get(one.metric) or ()) == len(matrices) > 0
      and all(map(is_number, line[one.metric]))
    }
    figures.append(_draw(one, matrices, readings) if readings else "")
  return figures


def matrices_of(parameters: Rows) -> list[Matrix]:
  """The matrices that have codes, in the order of `quant.health`'s lists."""
  found = []
  for row in sorted(parameters, key=lambda row: row["path"]):
    path, shape = row["path"], row["shape"]
    if path.endswith("/kernel") and row["quantizer"] != "identity":
      layer, name = place_of(path) or (-1, path.split("/")[-2])
      stack = range(shape[0]) if len(shape) == 3 else [layer]
      found += [Matrix(name, number) for number in stack]
  return found


def _draw(
  one: _Map, matrices: list[Matrix], readings: dict[int, list[float]]
) -> str:
  steps = sorted(readings)
  values = np.array([readings[step] for step in steps], float)  # [T, N]
  if one.drift:
    values = np.maximum(values, np.finfo(float).tiny)
    values = np.log(values / values[0])
  # Each column ends with its last reading.
  spans = np.array_split(np.arange(len(steps)), min(len(steps), _COLUMNS))
  cells = np.array([values[span].mean(0) for span in spans]).T  # [N, C]
  start = max(0, 2 * steps[0] - steps[1]) if len(steps) > 1 else 0
  ends = [start, *(max(steps[span[-1]], start + 1) for span in spans)]
  marks = ticks(float(cells.min()), float(cells.max()))
  low, high = marks[0], marks[-1]
  if one.drift:
    high = max(abs(low), high)
    low = -high
  share = (cells - low) / (high - low)
  shades = np.clip(share * _SHADES, 0, _SHADES - 1).astype(int)

  plot = Axes((start, ends[-1]), [0.0, 1.0], one.axis, one.show)
  tops, height, middles = _layout(matrices)
  boxes: dict[int, str] = dict.fromkeys(range(_SHADES), "")
  for top, row in zip(tops, shades, strict=True):
    for shade, first, last in _runs(row):
      left, right = plot.x(ends[first]), plot.x(ends[last])
      boxes[shade] += (
        f"M{left:.1f} {top:.1f}H{right:.1f}V{top + height:.1f}H{left:.1f}z"
      )
  parts = [plot.heading(), plot.steps(), _key(one, low, high)]
  parts += [
    f'<path {_paint(one, shade)} d="{path}"/>'
    for shade, path in boxes.items()
    if path
  ]
  for name, middle in middles.items():
    same = [matrix.name == name for matrix in matrices]
    shown = one.show(float(values[-1][same].mean()))
    parts.append(
      f'<text class="tick end" x="{LEFT - 6}" y="{middle + 4:.1f}">'
      f'{html.escape(name)}</text><text class="last c6"'
      f' x="{WIDTH - RIGHT + 5}" y="{middle + 4:.1f}">{shown}</text>'
    )
  return figure(one.title, [], "".join(parts), one.note)


def _layout(
  matrices: Sequence[Matrix],
) -> tuple[list[float], float, dict[str, float]]:
  """Tops of the rows [N], their height, and the middle of each projection."""
  known = list(PROJECTIONS)
  names = sorted(
    dict.fromkeys(matrix.name for matrix in matrices),
    key=lambda name: known.index(name) if name in known else len(known),
  )
  room = HEIGHT - TOP - BOTTOM - _GAP * (len(names) - 1)
  height = room / len(matrices)
  tops = [0.0] * len(matrices)
  middles, top = {}, float(TOP)
  for name in names:
    mine = [i for i, matrix in enumerate(matrices) if matrix.name == name]
    mine.sort(key=lambda i: matrices[i].layer)
    for place, i in enumerate(mine):
      tops[i] = top + place * height
    middles[name] = top + len(mine) * height / 2
    top += len(mine) * height + _GAP
  return tops, height, middles


def _runs(shades: np.ndarray) -> Iterator[tuple[int, int, int]]:
  """(shade, first cell, cell after the last) of neighbours of one shade."""
  at = 0
  for shade, same in itertools.groupby(shades):
    first, at = at, at + len(list(same))
    yield int(shade), first, at


def _paint(one: _Map, shade: int) -> str:
  """Class and depth of a shade; a drift's middle is the palest."""
  depth, kind = shade / (_SHADES - 1), "cells"
  if one.drift:
    depth = 2 * depth - 1
    kind = "cells shrunk" if depth < 0 else "cells"
  return f'class="{kind}" style="--heat:{0.07 + 0.93 * abs(depth):.2f}"'


def _key(one: _Map, low: float, high: float) -> str:
  """All shades in a strip, between the values at its ends."""
  right, width = WIDTH - RIGHT, 7
  left = right - _SHADES * width
  strip = "".join(
    f'<path {_paint(one, shade)} d="M{left + shade * width} 4h{width}v8'
    f'h-{width}z"/>'
    for shade in range(_SHADES)
  )
  return (
    f'<text class="tick end" x="{left - 5}" y="12">{one.show(low)}</text>'
    f'{strip}<text class="tick" x="{right + 5}" y="12">{one.show(high)}</text>'
  )
