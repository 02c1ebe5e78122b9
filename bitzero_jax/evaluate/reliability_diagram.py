"""Reliability diagrams: accuracy against confidence, and how many tasks.

Letters: M = bins.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.evaluate.confidence import (
  BINS,
  Reliability,
  expected_calibration_error,
  reliability,
)
from bitzero_jax.evaluate.figure import GREY, figure, grid
from bitzero_jax.evaluate.graded import Graded, from_record
from bitzero_jax.evaluate.number_format import percent
from bitzero_jax.evaluate.panels import COLORS
from bitzero_jax.evaluate.series import Lines

_LEFT, _RIGHT, _TOP, _PLOT = 50, 382, 24, 196  # sides and height of the plot
_STRIP = 38  # a row of bars below it, with their counts
_BAR = 20  # its tallest bar
_AGREEMENT = 3  # color


class _Curve(NamedTuple):
  """One kind of confidence: its name, diagram and color."""

  name: str
  found: Reliability
  color: int


def reliability_diagrams(graded: Lines, evaluation: Mapping[str, Any]) -> str:
  """A diagram for each task type, of the last sitting of the held-out exam.

  Args:
    graded: lines of `graded.jsonl`.
    evaluation: what `evaluations/heldout.json` holds, {} where there is none.
      It counts unless the run has sat the exam later, and may hold agreement.

  Returns:
    Figures; "" where no confidence was kept.
  """
  sittings = [line for line in graded if line.get("suite") == "heldout"]
  steps = [line["step"] for line in sittings]
  record = sittings[-1] if sittings else {}
  if evaluation and evaluation["scores"]["step"] >= max(steps, default=0):
    record = evaluation["tasks"]
  if not record:
    return ""
  sat = from_record(record)
  return grid(*[_diagram(sat, kind) for kind in sat.probability])


def _diagram(sat: Graded, kind: str) -> str:
  curves, legend = [], [("calibrated", GREY, True)]
  for name, shares, color in (
    ("probability", sat.probability, COLORS[kind]),
    ("agreement", sat.agreement, _AGREEMENT),
  ):
    if kind not in shares:
      continue
    mine = shares[kind][~sat.beyond], sat.grade[kind][~sat.beyond]
    found = reliability(*mine)
    if not found.count.sum():
      continue
    curves.append(_Curve(name, found, color))
    error = expected_calibration_error(*mine)
    legend.append((f"{name}, ECE {error:.3f}", color, False))
  if not curves:
    return ""
  height = _TOP + _PLOT + _STRIP * len(curves) + 36
  parts = [_frame(height), *map(_line, curves)]
  parts += [_counts(curve, row) for row, curve in enumerate(curves)]
  return figure(
    f"{kind.capitalize()}: accuracy by confidence",
    legend,
    "".join(parts),
    "Below the dashed line: too confident. Bars: tasks.",
    height,
  )


def _x(confidence: float) -> float:
  return _LEFT + (_RIGHT - _LEFT) * confidence


def _y(accuracy: float) -> float:
  return _TOP + _PLOT * (1 - accuracy)


def _frame(height: int) -> str:
  """Grid, ticks, names of the axes and the diagonal."""
  parts = ['<text class="axis" x="0" y="12">share of answers right</text>']
  for share in (0, 0.25, 0.5, 0.75, 1):
    x, y = _x(share), _y(share)
    parts.append(
      f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
      f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">'
      f"{percent(share)}</text>"
      f'<text class="tick mid" x="{x:.1f}" y="{height - 20}">'
      f"{percent(share)}</text>"
    )
  middle = (_LEFT + _RIGHT) / 2
  parts.append(
    f'<text class="axis mid" x="{middle}" y="{height - 4}">confidence</text>'
    f'<path class="line c{GREY} dash"'
    f' d="M{_LEFT} {_y(0):.1f}L{_RIGHT} {_y(1):.1f}"/>'
  )
  return "".join(parts)


def _line(curve: _Curve) -> str:
  """A dot for each bin that holds tasks; the more, the larger."""
  count, confidence, accuracy = curve.found
  filled = np.flatnonzero(count)
  points = [(_x(confidence[m]), _y(accuracy[m])) for m in filled]
  path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
  parts = [f'<path class="line thin c{curve.color}" d="{path}"/>']
  for m, (x, y) in zip(filled, points, strict=True):
    radius = 2 + 6 * (count[m] / count.max()) ** 0.5
    parts.append(
      f'<circle class="dot c{curve.color}" cx="{x:.1f}" cy="{y:.1f}"'
      f' r="{radius:.1f}"><title>{curve.name} {percent(confidence[m])}: '
      f"{percent(accuracy[m])} of {count[m]} right</title></circle>"
    )
  return "".join(parts)


def _counts(curve: _Curve, row: int) -> str:
  """A row of bars below the plot, each with its number of tasks."""
  count = curve.found.count
  floor = _TOP + _PLOT + _STRIP * (row + 1)
  width = (_RIGHT - _LEFT) / BINS
  parts = [f'<path class="grid" d="M{_LEFT} {floor}H{_RIGHT}"/>']
  for m in np.flatnonzero(count):
    tall = max(_BAR * count[m] / count.max(), 0.5)
    left = _LEFT + width * m
    parts.append(
      f'<rect class="bar c{curve.color}" x="{left + 2:.1f}"'
      f' y="{floor - tall:.1f}" width="{width - 4:.1f}" height="{tall:.1f}"/>'
      f'<text class="value mid" x="{left + width / 2:.1f}"'
      f' y="{floor - tall - 3:.1f}">{count[m]}</text>'
    )
  parts.append(
    f'<text class="tick end" x="{_LEFT - 6}" y="{floor - 2}">tasks</text>'
  )
  return "".join(parts)
