"""Calibration of an exam's answers by task type, and its table to print."""

import re
from collections.abc import Mapping
from typing import Any

from bitzero_jax.evaluate.confidence import (
  brier,
  coverage,
  expected_calibration_error,
)
from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.state import UNKNOWN

MEASURES = {
  "ece": expected_calibration_error,
  "brier": brier,
  "coverage_95": coverage,
}
_KEY = re.compile(rf"(agreement/)?({'|'.join(MEASURES)})/(.+)")


def scores(graded: Graded) -> dict[str, float]:
  """Each measure, over the trained lengths and over what is beyond them.

  Returns:
    "eval/MEASURE/TYPE" by the probability of the answer and, where answers were
    sampled, "eval/agreement/MEASURE/TYPE" by agreement; for the tasks beyond
    training with "/BUCKET" at the end. What has no known grade is left out.
  """
  result = {}
  known = {kind: grade != UNKNOWN for kind, grade in graded.grade.items()}
  for room, confidences in (
    ("eval", graded.probability),
    ("eval/agreement", graded.agreement),
  ):
    for kind, confidence in confidences.items():
      for where, end in (
        (~graded.beyond, ""),
        (graded.beyond, f"/{graded.names[-1]}"),
      ):
        mine = where & known[kind]
        if not mine.any():
          continue
        for name, measure in MEASURES.items():
          value = measure(confidence[mine], graded.grade[kind][mine])
          result[f"{room}/{name}/{kind}{end}"] = value
  return result


def table(found: Mapping[str, Any]) -> list[str]:
  """Lines to print: a row a task type and kind of confidence.

  Args:
    found: what `scores` gives, without "eval/", among other scores; also the
      accuracies, as "TYPE" and "TYPE/BUCKET".

  Returns:
    Lines; none where there is no confidence.
  """
  rows: dict[str, list[str]] = {}
  for key in found:
    parts = _KEY.fullmatch(key)
    if parts is None or parts[2] != "ece":
      continue
    room, tasks = parts[1] or "", parts[3]
    values = [found[tasks]]
    values += [found[f"{room}{name}/{tasks}"] for name in MEASURES]
    cells = "".join(f"{value:>10.3f}" for value in values)
    source = room.rstrip("/") or "probability"
    line = f"{tasks.replace('/', ', '):24}{source:14}{cells}"
    rows.setdefault(tasks, []).append(line)
  if not rows:
    return []
  names = "".join(f"{name:>10}" for name in ("accuracy", "ECE", "Brier"))
  head = f"{'calibration':24}{'confidence':14}{names}  coverage at 95 %"
  return [head, *(line for lines in rows.values() for line in lines)]


def is_measure(name: str) -> bool:
  """Whether a score's name is one of `scores`, without "eval/"."""
  return _KEY.fullmatch(name) is not None
