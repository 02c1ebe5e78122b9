"""Held-out accuracy: in one sentence, over the run, and by program length."""

import re

import numpy as np

from bitzero_jax.evaluate import primary
from bitzero_jax.evaluate.bar_chart import Bars, bar_chart
from bitzero_jax.evaluate.figure import GREY, grid
from bitzero_jax.evaluate.number_format import percent
from bitzero_jax.evaluate.panels import COLORS, HELD_OUT, TYPES, draw
from bitzero_jax.evaluate.series import Lines, readings


def verdict(lines: Lines, measure: str = "accuracy") -> str:
  """The run in numbers: the primary measure, then accuracies, first to last."""
  found = [primary.value(measure, line) for line in lines]
  declared = [x for x in found if x is not None]
  head = ""
  if declared:
    ends = declared if len(declared) == 1 else (declared[0], declared[-1])
    curve = " → ".join(f"{end:.3f}" for end in ends)
    head = f"Primary measure, {primary.PRIMARY[measure].words}: {curve}. "
  parts = []
  for kind in TYPES:
    curve = readings(lines, f"eval/{kind}", kind)
    if len(curve.values) > 1:
      first, last = (percent(curve.values[i]) for i in (0, -1))
      parts.append(f"{kind} {first} → {last}")
    elif len(curve.values):
      parts.append(f"{kind} {percent(curve.values[0])}")
  if parts:
    constant = readings(lines, "eval/constant").values
    tail = ""
    if len(constant):
      tail = f"; the best constant answer scores {percent(constant[-1])}"
    return f"{head}Held-out accuracy: {', '.join(parts)}{tail}."
  for kind in TYPES:
    rates = readings(lines, f"solve_rate/{kind}", kind).values
    if len(rates):
      parts.append(f"{kind} {percent(rates[-1])}")
  if parts:
    return f"Not evaluated yet; solve rate on fresh tasks: {', '.join(parts)}."
  return "No accuracy was measured yet."


def held_out(lines: Lines) -> str:
  """The curves of accuracy, then bars by program length for each type."""
  constant = readings(lines, "eval/constant").values
  buckets = {kind: _bucket_bars(lines, kind) for kind in TYPES}
  heights = [bar.values for _, bars in buckets.values() for bar in bars]
  top = float(np.nanmax(np.concatenate(heights))) if heights else None
  level = ("constant", constant[-1]) if len(constant) else None
  bars = [
    bar_chart(
      f"{kind.capitalize()} by program length",
      labels,
      groups,
      axis="percent of answers right",
      top=top,
      reference=level,
    )
    for kind, (labels, groups) in buckets.items()
  ]
  return grid(*draw(lines, HELD_OUT)) + grid(*bars)


def _bucket_bars(lines: Lines, kind: str) -> tuple[list[str], list[Bars]]:
  """Accuracy by length bucket, first evaluation beside the last."""
  prefix = f"eval/{kind}/"
  keys = {key for line in lines for key in line if key.startswith(prefix)}
  curves = {key: readings(lines, key) for key in keys}
  keys = sorted((k for k in keys if len(curves[k].values)), key=_bucket_order)
  labels = [key.removeprefix(prefix) for key in keys]
  if not keys:
    return [], []
  last = Bars(
    "last evaluation",
    np.array([curves[key].values[-1] for key in keys]),
    COLORS[kind],
  )
  if all(len(curves[key].values) == 1 for key in keys):
    return labels, [last]
  first = np.array([curves[key].values[0] for key in keys])
  return labels, [Bars("first evaluation", first, GREY), last]


def _bucket_order(key: str) -> tuple[bool, int, str]:
  """Plain buckets by their first number, then named ones such as "long"."""
  bucket = key.rpartition("/")[2]
  found = re.search(r"\d+", bucket)
  return not bucket[:1].isdigit(), int(found.group()) if found else 0, bucket
