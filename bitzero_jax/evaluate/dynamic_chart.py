"""Accuracy against what it costs, drawn: static points, rules, the oracle."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bitzero_jax.evaluate.axes import ticks
from bitzero_jax.evaluate.figure import GREY, figure
from bitzero_jax.evaluate.number_format import percent

_LEFT, _RIGHT, _TOP, _FLOOR = 50, 382, 24, 236
_HEIGHT = _FLOOR + 40
# Colors, without the second blue.
_RULES = {
  "static": GREY,
  "confidence": 0,
  "length": 1,
  "nesting": 5,
  "failures": 6,
  "gains": 3,
  "oracle": 2,
}

Points = Sequence[Mapping[str, Any]]


class _Cost(NamedTuple):
  """An axis.

  Attributes:
    field: of a point.
    unit: by which it is divided.
    form: of a value beside a dot.
    name: of the axis.
    worth: what a point above the dashed line is worth.
  """

  field: str
  unit: float
  form: str
  name: str
  worth: str


_COSTS = (
  _Cost(
    "bits", 1.0, ".2f bits", "stored bits a weight that a task reads", "bits"
  ),
  _Cost("seconds", 1e-6, ".1f us", "microseconds of an answer", "time"),
)


def dynamic_charts(evaluation: Mapping[str, Any]) -> list[str]:
  """Figures of what `bitzero evaluate --dynamic --save` left.

  Args:
    evaluation: what `evaluations/heldout_dynamic.json` holds, which had no
      seconds once; {} for no figure.
  """
  points: Points = evaluation["scores"]["points"] if evaluation else ()
  return [
    _chart(points, cost)
    for cost in _COSTS
    if points and cost.field in points[0]
  ]


def _chart(points: Points, cost: _Cost) -> str:
  marks = ticks(0, max(p[cost.field] for p in points) / cost.unit, 6)
  low = min(p["accuracy"] for p in points)
  high = max(p["accuracy"] for p in points)
  margin = max(0.1 * (high - low), 0.005)
  low, high = max(low - margin, 0.0), min(high + margin, 1.0)

  def place(point: Mapping[str, Any]) -> tuple[float, float]:
    share = point[cost.field] / cost.unit / marks[-1]
    x = _LEFT + (_RIGHT - _LEFT) * share
    y = _FLOOR - (_FLOOR - _TOP) * (point["accuracy"] - low) / (high - low)
    return x, y

  parts = [_frame(cost, marks, low, high)]
  for rule, color in _RULES.items():
    mine = [p for p in points if p["rule"] == rule]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, mine))
    static = rule == "static"
    dash = " dash" if static else " thin"
    parts.append(f'<path class="line{dash} c{color}" d="M{path}"/>')
    size = 5.0 if static else 3.0
    parts += [_dot(place(p), color, size, _hint(p, cost)) for p in mine]
    parts += [_planes(place(p), p["share"]) for p in mine if static]
  legend = [(rule, color, rule == "static") for rule, color in _RULES.items()]
  return figure(
    "Accuracy where planes follow the task",
    legend,
    "".join(parts),
    "Above the dashed line between fixed numbers of planes: worth its "
    f"{cost.worth}.",
    _HEIGHT,
  )


def _hint(point: Mapping[str, Any], cost: _Cost) -> str:
  form, unit = cost.form.split()
  value = format(point[cost.field] / cost.unit, form)
  return (
    f"{point['rule']} {point['share']:g}: {percent(point['accuracy'])} at"
    f" {value} {unit}"
  )


def _dot(at: tuple[float, float], color: int, radius: float, hint: str) -> str:
  return (
    f'<circle class="dot c{color}" cx="{at[0]:.1f}" cy="{at[1]:.1f}"'
    f' r="{radius:g}"><title>{hint}</title></circle>'
  )


def _planes(at: tuple[float, float], planes: float) -> str:
  return (
    f'<text class="value mid" x="{at[0]:.1f}" y="{at[1] - 9:.1f}">'
    f"{planes:g}</text>"
  )


def _frame(cost: _Cost, marks: list[float], low: float, high: float) -> str:
  """Grid, ticks and names of the axes."""
  parts = ['<text class="axis" x="0" y="12">accuracy, mean of types</text>']
  for i in range(5):
    accuracy = low + (high - low) * i / 4
    y = _FLOOR - (_FLOOR - _TOP) * i / 4
    parts.append(
      f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
      f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">'
      f"{100 * accuracy:.1f}%</text>"
    )
  for value in marks:
    x = _LEFT + (_RIGHT - _LEFT) * value / marks[-1]
    parts.append(
      f'<text class="tick mid" x="{x:.1f}" y="{_FLOOR + 16}">{value:g}</text>'
    )
  middle = (_LEFT + _RIGHT) / 2
  parts.append(
    f'<text class="axis mid" x="{middle}" y="{_HEIGHT - 6}">{cost.name}</text>'
    f'<path class="line c{GREY}"'
    f' d="M{_LEFT} {_FLOOR}H{_RIGHT}"/>'
  )
  return "".join(parts)
