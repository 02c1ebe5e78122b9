"""The tasks of a run: how many were accepted, how hard they are, examples.

Letters: N = readings of a series.
"""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bitzero_jax.evaluate.bar_chart import Bars, bar_chart
from bitzero_jax.evaluate.figure import GREY
from bitzero_jax.evaluate.highlight import highlight
from bitzero_jax.evaluate.line_chart import stacked_chart
from bitzero_jax.evaluate.number_format import percent
from bitzero_jax.evaluate.panels import TYPES
from bitzero_jax.evaluate.series import Lines, Series, is_number, readings
from bitzero_jax.evaluate.table import table

STAGES = (0.0, 0.25, 0.5, 1.0)  # of the run
_REASONS_SHOWN = 5  # more bands than that cannot be told apart by colour


def candidates(lines: Lines) -> str:
  """Accepted and rejected shares, stacked; rare reasons are added up."""
  lines = [line for line in lines if is_number(line.get("accept/rate"))]
  accepted = readings(lines, "accept/rate", "accepted", 0)
  keys = {key for line in lines for key in line if key.startswith("reject/")}
  shares = {}
  for key in sorted(keys):
    found = {
      line["step"]: line[key] for line in lines if is_number(line.get(key))
    }
    shares[key] = np.array([found.get(step, 0.0) for step in accepted.steps])
  ranked = sorted(shares, key=lambda key: -shares[key].sum())
  series = [accepted]
  for color, key in enumerate(ranked[:_REASONS_SHOWN], start=1):
    name = key.removeprefix("reject/")
    series.append(Series(name, accepted.steps, shares[key], color))
  rest = ranked[_REASONS_SHOWN:]
  if rest:
    total = np.sum([shares[key] for key in rest], axis=0)
    series.append(Series("other", accepted.steps, total, GREY))
  names = ", ".join(key.removeprefix("reject/") for key in rest)
  return stacked_chart(
    "What became of the candidates",
    series,
    axis="share of candidates",
    note=f"Other: {names}." if rest else "",
  )


def solve_rate_histogram(lines: Lines) -> str:
  """Tasks by how often they are solved, start of the run beside its end."""
  return _histogram(
    lines,
    "solve_rate/histogram",
    "Tasks by estimated solve rate",
    ["0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1"],
    axis="percent of tasks",
    note="Tasks at both ends teach little: never solved, or always.",
  )


def learnability_histogram(lines: Lines) -> str:
  """Random tasks by p (1 - p), start of the run beside its end."""
  return _histogram(
    lines,
    "learnability/histogram",
    "Random tasks by learnability",
    ["0-0.05", "0.05-0.1", "0.1-0.15", "0.15-0.2", "0.2-0.25"],
    axis="percent of random tasks",
    note="While these stay to the right, random tasks still teach.",
  )


def trained_lengths(lines: Lines) -> str:
  """Rows trained on by program length, start of the run beside its end."""
  rows = [line.get("trained/lengths") for line in lines]
  width = max((len(row) for row in rows if row), default=0)
  return _histogram(
    lines,
    "trained/lengths",
    "Length of the programs trained on",
    [str(tokens) for tokens in range(1, width + 1)],
    axis="percent of rows",
    note="In tokens. What longer programs alone teach is length's doing.",
  )


def _histogram(
  lines: Lines,
  key: str,
  title: str,
  labels: Sequence[str],
  *,
  axis: str,
  note: str,
) -> str:
  """A metric of counts or shares, its first tenth beside its last."""
  rows = [line.get(key) for line in lines]
  counts = [row for row in rows if row and all(map(is_number, row))]
  counts = [row for row in counts if len(row) == len(labels) and sum(row) > 0]
  if not counts:
    return ""
  shares = np.array([np.array(row) / sum(row) for row in counts])  # [N, bins]
  part = max(1, len(shares) // 10)
  groups = [Bars("last tenth", shares[-part:].mean(0), 0)]
  if len(shares) > 1:
    first = Bars("first tenth of the run", shares[:part].mean(0), GREY)
    groups.insert(0, first)
  return bar_chart(title, labels, groups, axis=axis, note=note)


def over_time(tasks: Lines) -> str:
  """Proposals at four times of the run: one of each type and source."""
  steps = sorted({task["step"] for task in tasks})
  if not steps:
    return ""
  first, last = steps[0], steps[-1]
  rows = []
  shown = set()
  for share in STAGES:
    due = first + share * (last - first)
    step = min(steps, key=lambda step: (abs(step - due), -step))
    if step in shown:
      continue
    shown.add(step)
    here: dict[tuple[str, str], Mapping[str, Any]] = {}
    for task in tasks:
      if task["step"] == step:
        here.setdefault((task.get("type", ""), task.get("source", "")), task)
    order = sorted(here, key=lambda key: (key[1] == "random", key[1]))
    rows += [
      (percent(share), here[key])
      for kind in TYPES
      for key in order
      if key[0] == kind
    ]
  return task_table(rows)


def task_table(tasks: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
  """Tasks with their source; each comes with a word for when it was made.

  Args:
    tasks: the word, and the line of `tasks.jsonl`.
  """
  rows = []
  for stage, task in tasks:
    rate = task.get("solve_rate")
    origin = f"{task.get('source', '')}, {task.get('status', '')}"
    rows.append(
      f"<tr><td>{stage}<br><small>step {task['step']}</small>"
      f"<td>{html.escape(str(task.get('type', '')))}"
      f"<br><small>{html.escape(origin)}</small>"
      f"<td><pre>{highlight(str(task.get('program', '')))}</pre>"
      f"<td><code>{highlight(_short(task.get('input', '')))}</code>"
      f"<td><code>{highlight(_short(task.get('output', '')))}</code>"
      f'<td class="num">{"-" if rate is None else percent(rate)}'
    )
  head = ("When", "Task", "Program", "Input", "Output", "Solved")
  return table(head, rows, "tasks")


def _short(value: Any, limit: int = 200) -> str:
  text = value if isinstance(value, str) else json.dumps(value)
  return text if len(text) <= limit else text[: limit - 1] + "…"
