"""What each arm proposed and trained on, beside how it scored."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from bitzero_jax.evaluate.arms import Arm

# Metrics of the proposals, by the column's name; the last quarter of a run.
COLUMNS = {
  "invalid": "reject/invalid",
  "constant": "reject/constant",
  "identity": "reject/identity",
  "known": "reject/known",
  "model: constant": "constant/model",
  "model: known": "known/model",
  "new": "novelty/new_share",
  "length": "length/random",
  "model: length": "length/model",
  "depth": "depth/random",
  "model: depth": "depth/model",
  "learnability": "learnability/random",
  "model: learnability": "learnability/model",
  "entropy": "entropy/propose",
}


def last_quarter(lines: Sequence[dict[str, Any]], key: str) -> float | None:
  """Mean of a metric over the last quarter of its readings."""
  found = [line[key] for line in lines if line.get(key) is not None]
  return statistics.fmean(found[-max(1, len(found) // 4) :]) if found else None


def table(arms: Sequence[Arm]) -> list[str]:
  """A Markdown table: arms in rows, means over their seeds."""
  ends = ("trained length", "behaviours met")
  head = ("arm", *COLUMNS, *ends)
  rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
  for arm in arms:
    runs = list(arm.runs.values())
    cells = [
      _mean([last_quarter(run.lines, key) for run in runs], "{:.3f}")
      for key in COLUMNS.values()
    ]
    lengths = trained_lengths(arm)
    mean = np.dot(lengths, np.arange(1, len(lengths) + 1)) if lengths else None
    met = [run.lines[-1].get("novelty/behaviours") for run in runs]
    cells += [_mean([mean], "{:.2f}"), _mean(met, "{:,.0f}")]
    rows.append("| " + " | ".join([arm.name, *cells]) + " |")
  return rows


def trained_lengths(arm: Arm) -> tuple[float, ...]:
  """Shares of programs of 1, 2, 3 ... tokens in what an arm was trained on.

  The mean over its runs and their metric lines; empty where none was logged.
  """
  found = [
    line["trained/lengths"]
    for run in arm.runs.values()
    for line in run.lines
    if line.get("trained/lengths")
  ]
  if not found:
    return ()
  width = max(map(len, found))
  padded = [row + [0.0] * (width - len(row)) for row in found]
  return tuple(round(float(x), 4) for x in np.mean(padded, axis=0))


def _mean(values: Sequence[float | None], form: str) -> str:
  known = [float(value) for value in values if value is not None]
  return form.format(statistics.fmean(known)) if known else "-"
