"""Accuracy against bits, drawn: static points, rules and the oracle."""

from collections.abc import Mapping, Sequence
from typing import Any

from bitzero_jax.evaluate.figure import GREY, figure
from bitzero_jax.evaluate.number_format import percent

_LEFT, _RIGHT, _TOP, _FLOOR = 50, 382, 24, 236
_HEIGHT = _FLOOR + 40
# Colors.
_RULES = {
  "static": 3,
  "confidence": 0,
  "length": 1,
  "nesting": 5,
  "failures": 6,
  "gains": 4,
  "oracle": 2,
}

Points = Sequence[Mapping[str, Any]]


def dynamic_chart(evaluation: Mapping[str, Any]) -> str:
  """A figure of what `bitzero evaluate --dynamic --save` left; "" for nothing.

  Args:
    evaluation: what `evaluations/heldout_dynamic.json` holds.
  """
  if not evaluation:
    return ""
  points: Points = evaluation["scores"]["points"]
  most_bits = max(p["bits"] for p in points)
  low = min(p["accuracy"] for p in points)
  high = max(p["accuracy"] for p in points)
  margin = max(0.1 * (high - low), 0.005)
  low, high = max(low - margin, 0.0), min(high + margin, 1.0)

  def place(point: Mapping[str, Any]) -> tuple[float, float]:
    x = _LEFT + (_RIGHT - _LEFT) * point["bits"] / most_bits
    y = _FLOOR - (_FLOOR - _TOP) * (point["accuracy"] - low) / (high - low)
    return x, y

  parts = [_frame(most_bits, low, high)]
  for rule, color in _RULES.items():
    mine = [p for p in points if p["rule"] == rule]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, mine))
    static = rule == "static"
    dash = " dash" if static else " thin"
    parts.append(f'<path class="line{dash} c{color}" d="M{path}"/>')
    size = 5.0 if static else 3.0
    parts += [_dot(place(p), color, size, _hint(p)) for p in mine]
    parts += [_planes(place(p), p["share"]) for p in mine if static]
  legend = [(rule, color, rule == "static") for rule, color in _RULES.items()]
  return figure(
    "Accuracy where planes follow the task",
    legend,
    "".join(parts),
    "Above the dashed line between fixed numbers of planes: worth its bits.",
    _HEIGHT,
  )


def _hint(point: Mapping[str, Any]) -> str:
  return (
    f"{point['rule']} {point['share']:g}: {percent(point['accuracy'])} at"
    f" {point['bits']:.2f} bits"
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


def _frame(most_bits: float, low: float, high: float) -> str:
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
  for bits in range(0, int(most_bits) + 1, 2):
    x = _LEFT + (_RIGHT - _LEFT) * bits / most_bits
    parts.append(
      f'<text class="tick mid" x="{x:.1f}" y="{_FLOOR + 16}">{bits}</text>'
    )
  middle = (_LEFT + _RIGHT) / 2
  parts.append(
    f'<text class="axis mid" x="{middle}" y="{_HEIGHT - 6}">stored bits a'
    f' weight that a task reads</text><path class="line c{GREY}"'
    f' d="M{_LEFT} {_FLOOR}H{_RIGHT}"/>'
  )
  return "".join(parts)
