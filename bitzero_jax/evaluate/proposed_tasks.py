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
  labels = ["0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1"]
  rows = [line.get("solve_rate/histogram") for line in lines]
  counts = [row for row in rows if row and all(map(is_number, row))]
  counts = [row for row in counts if len(row) == len(labels) and sum(row) > 0]
  if not counts:
    return ""
  shares = np.array([np.array(row) / sum(row) for row in counts])  # [N, 5]
  part = max(1, len(shares) // 10)
  groups = [Bars("last tenth", shares[-part:].mean(0), 0)]
  if len(shares) > 1:
    first = Bars("first tenth of the run", shares[:part].mean(0), 7)
    groups.insert(0, first)
  return bar_chart(
    "Tasks by estimated solve rate",
    labels,
    groups,
    axis="percent of tasks",
    note="Tasks at both ends teach little: never solved, or always.",
  )


def sample_tasks(tasks: Lines) -> str:
  """One task of each type, early, midway and late; the model's own first."""
  steps = sorted({task["step"] for task in tasks})
  if not steps:
    return ""
  stages = {
    steps[-1]: "late",
    steps[len(steps) // 2]: "middle" if len(steps) > 2 else "late",
    steps[0]: "early",
  }
  rows = []
  for step in sorted(stages):
    here = [task for task in tasks if task["step"] == step]
    for kind in TYPES:
      chosen = [task for task in here if task.get("type") == kind]
      chosen.sort(key=lambda task: task.get("source") != "model")
      rows += [(stages[step], task) for task in chosen[:1]]
  return f"<h3>Sample tasks</h3>{task_table(rows)}"


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
