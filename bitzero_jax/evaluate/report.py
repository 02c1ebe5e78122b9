"""One self-contained HTML page about a run, from what lies in its workdir.

The page needs no network and no file beside it. A section whose metrics were
never written is left out.
"""

import html
import importlib.resources
import json
import math
import os
import pathlib
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.evaluate import charts
from bitzero_jax.runtime import metrics, progress

REPORT_FILE = "report.html"
TYPES = ("deduction", "abduction", "induction")
_COLORS = {
  "deduction": 0,
  "abduction": 1,
  "induction": 2,
  "propose": 3,
  "solve": 4,
  "model's tasks": 3,
  "random tasks": charts.GREY,
}
_REASONS_SHOWN = 5  # more bands than that cannot be told apart by colour
_UNKNOWN_LIMIT = 0.005  # a run stops above it

Lines = Sequence[Mapping[str, Any]]


class Panel(NamedTuple):
  """One line chart of the page.

  Attributes:
    title: its heading.
    axis: what the vertical axis counts.
    curves: legend name -> metric.
    note: a line below it.
    share: whether values are shares, shown in percent.
    from_zero: whether the axis must reach zero.
    smoothed: whether long curves show a running mean.
  """

  title: str
  axis: str
  curves: Mapping[str, str]
  note: str = ""
  share: bool = False
  from_zero: bool = True
  smoothed: bool = True


def _by_type(prefix: str) -> dict[str, str]:
  return {kind: f"{prefix}/{kind}" for kind in TYPES}


def _by_role(prefix: str) -> dict[str, str]:
  return {role: f"{prefix}/{role}" for role in ("propose", "solve")}


_HELD_OUT = (
  Panel(
    "By task type",
    "share of answers right",
    {**_by_type("eval"), "best constant answer": "eval/constant"},
    "Tasks that training never sees.",
    share=True,
  ),
  Panel(
    "Tasks written by people",
    "share of answers right",
    _by_type("eval/human"),
    share=True,
  ),
)
_TRAINING = (
  Panel(
    "Solve rate on fresh self-made tasks",
    "share of answers right",
    _by_type("solve_rate"),
    "Thin: each reading. Bold: running mean.",
    share=True,
  ),
  Panel("Total loss", "nats a token", {"total": "loss/total"}, from_zero=False),
  Panel(
    "Hindsight loss",
    "nats a token",
    _by_type("loss/hindsight"),
    "Supervised, on the answers that the executor gave.",
    from_zero=False,
  ),
  Panel(
    "Policy loss",
    "policy-gradient loss",
    _by_role("loss/policy"),
    from_zero=False,
  ),
)
_PROPOSALS = (
  Panel(
    "Novelty",
    "share of candidates",
    {
      "new behaviour": "novelty/new_share",
      "duplicate": "novelty/duplicate_share",
    },
    share=True,
  ),
  Panel(
    "Pool",
    "count",
    {"tasks": "pool/size", "distinct behaviours": "pool/behaviours"},
    smoothed=False,
  ),
  Panel(
    "Learnability",
    "mean learnability",
    {
      "model's tasks": "learnability/model",
      "random tasks": "learnability/random",
    },
    "A proposer is worth its cost only above random tasks.",
  ),
  Panel(
    "Program length",
    "mean tokens",
    {"model's tasks": "length/model", "random tasks": "length/random"},
  ),
)
_COLLAPSE = (
  Panel(
    "Entropy",
    "nats a token",
    _by_role("entropy"),
    "Bad: a quick fall to near 0. Sampling stops exploring.",
  ),
  Panel(
    "Advantage collapse",
    "share of groups without signal",
    _by_role("advantage_collapse"),
    "Bad: near 100 %. All answers right or all wrong: no gradient.",
    share=True,
  ),
  Panel(
    "Duplicate share",
    "share of candidates",
    {"duplicates": "novelty/duplicate_share"},
    "Bad: rising all through. The proposer repeats itself.",
    share=True,
  ),
  Panel(
    "Ternary flip rate",
    "share of codes an update",
    {"codes changed": "ternary/flip_rate"},
    "Bad: 0 early (steps too small to move a code), or high to the end.",
    share=True,
  ),
  Panel(
    "Log-prob gap, sampler to learner",
    "nats",
    {"largest": "gap/logprob_max", "mean": "gap/logprob_mean"},
    "Bad: anything but 0. Both must run the same quantized forward.",
    smoothed=False,
  ),
  Panel(
    "Executor doubts",
    "share of verdicts",
    {
      "unknown": "executor/unknown_rate",
      "two runs differ": "executor/flip_rate",
    },
    "Bad: unknown above 0.5 %. The machine is overloaded; a run stops.",
    share=True,
    smoothed=False,
  ),
)
_BITS = (
  Panel(
    "Stored bits over the run",
    "bits a weight",
    {"all weights": "bits/stored_per_weight"},
    smoothed=False,
  ),
)
_SPEED = (
  Panel("Training rows", "rows a second", {"rows": "speed/rows_per_s"}),
  Panel("Tokens", "tokens a second", {"tokens": "speed/tokens_per_s"}),
  Panel("Tasks checked", "tasks a second", {"tasks": "speed/tasks_per_s"}),
  Panel("Peak memory", "MB", {"peak": "memory/peak_mb"}, smoothed=False),
  Panel(
    "Executor",
    "share of a round",
    {"time in the executor": "executor/share"},
    share=True,
  ),
)


def write_report(
  workdir: str | os.PathLike[str],
  *,
  defaults: Mapping[str, Any] | None = None,
) -> pathlib.Path:
  """Writes `report.html` into `workdir`, replacing an older one in one move.

  Reads `metrics.jsonl` and, where they exist, `config.json`,
  `environment.json`, `parameters.json` and `tasks.jsonl`.

  Args:
    workdir: the folder of the run.
    defaults: a nested config; fields that differ from it are shown first.

  Returns:
    The path of the page.

  Raises:
    ValueError: `metrics.jsonl` is missing or holds no line, or one of the
      files is not the JSON that it should be.
  """
  workdir = pathlib.Path(workdir).resolve()
  path = workdir / metrics.METRICS_FILE
  if not path.is_file():
    raise ValueError(f"{path} is missing: nothing to report on")
  lines = metrics.read(path)
  if not lines:
    raise ValueError(f"{path} is empty: nothing to report on")
  config = _load(workdir / "config.json", dict)
  environment = _load(workdir / "environment.json", dict)
  parameters = _load(workdir / "parameters.json", list)
  tasks_path = workdir / metrics.TASKS_FILE
  tasks = metrics.read(tasks_path) if tasks_path.is_file() else []

  sections = (
    ("Held-out accuracy", _held_out(lines)),
    ("Training", _grid(*_draw(lines, _TRAINING), _solve_rate_histogram(lines))),
    (
      "Proposals",
      _grid(_candidates(lines), *_draw(lines, _PROPOSALS))
      + _sample_tasks(tasks),
    ),
    ("Collapse indicators", _alerts(lines) + _grid(*_draw(lines, _COLLAPSE))),
    ("Bits", charts.bit_tables(parameters) + _grid(*_draw(lines, _BITS))),
    ("Time and speed", _grid(_phases(lines), *_draw(lines, _SPEED))),
    ("Config", _config(config, defaults)),
    ("Environment", _table(sorted(_flatten(environment).items()))),
    ("All metrics", _all_metrics(lines)),
  )
  body = "".join(
    f"<section><h2>{heading}</h2>{content}</section>"
    for heading, content in sections
    if content
  )
  template = (
    importlib.resources.files("bitzero_jax.evaluate") / "report_template.html"
  )
  page = string.Template(template.read_text(encoding="utf-8")).substitute(
    title=html.escape(str(config.get("name") or workdir.name)),
    verdict=html.escape(verdict(lines)),
    facts=_facts(lines, parameters, environment),
    body=body,
  )
  report = workdir / REPORT_FILE
  fresh = workdir / (REPORT_FILE + ".new")
  fresh.write_text(page, encoding="utf-8")
  os.replace(fresh, report)
  return report


def verdict(lines: Lines) -> str:
  """The run in one sentence of numbers: held-out accuracy, first to last."""
  parts = []
  for kind in TYPES:
    curve = _series(lines, f"eval/{kind}", kind)
    if len(curve.values) > 1:
      first, last = (charts.percent(curve.values[i]) for i in (0, -1))
      parts.append(f"{kind} {first} → {last}")
    elif len(curve.values):
      parts.append(f"{kind} {charts.percent(curve.values[0])}")
  if parts:
    constant = _series(lines, "eval/constant").values
    tail = ""
    if len(constant):
      tail = f"; the best constant answer scores {charts.percent(constant[-1])}"
    return f"Held-out accuracy: {', '.join(parts)}{tail}."
  for kind in TYPES:
    rates = _series(lines, f"solve_rate/{kind}", kind).values
    if len(rates):
      parts.append(f"{kind} {charts.percent(rates[-1])}")
  if parts:
    return f"Not evaluated yet; solve rate on fresh tasks: {', '.join(parts)}."
  return "No accuracy was measured yet."


def _load(path: pathlib.Path, kind: type) -> Any:
  """The file's JSON; an empty `kind` if there is no such file."""
  if not path.is_file():
    return kind()
  try:
    content = json.loads(path.read_text(encoding="utf-8"))
  except ValueError as error:
    raise ValueError(f"{path} is not JSON: {error}") from error
  if not isinstance(content, kind):
    raise ValueError(f"{path} must hold a JSON {kind.__name__}")
  return content


def _series(
  lines: Lines, key: str, name: str = "", color: int = charts.GREY
) -> charts.Series:
  """All finite readings of one metric; the later of two at one step wins."""
  found = {
    line["step"]: float(line[key])
    for line in lines
    if _is_number(line.get(key))
  }
  steps = sorted(found)
  values = np.array([found[step] for step in steps], dtype=float)
  return charts.Series(name, np.array(steps, int), values, color)


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and math.isfinite(value)


def _draw(lines: Lines, panels: Sequence[Panel]) -> list[str]:
  """The panels that have readings, as figures; "" for the others."""
  figures = []
  for panel in panels:
    curves = []
    for place, (name, key) in enumerate(panel.curves.items()):
      reference = key == "eval/constant"
      neutral = 6 if len(panel.curves) == 1 else place
      color = charts.GREY if reference else _COLORS.get(name, neutral)
      curve = _series(lines, key, name, color)
      curves.append(curve._replace(dashed=reference))
    figures.append(
      charts.line_chart(
        panel.title,
        curves,
        axis=panel.axis,
        show=charts.percent if panel.share else charts.number,
        note=panel.note,
        from_zero=panel.from_zero,
        smoothed=panel.smoothed,
      )
    )
  return figures


def _grid(*figures: str) -> str:
  shown = "".join(figures)
  return f'<div class="grid">{shown}</div>' if shown else ""


def _held_out(lines: Lines) -> str:
  constant = _series(lines, "eval/constant").values
  buckets = {kind: _bucket_bars(lines, kind) for kind in TYPES}
  heights = [bar.values for _, bars in buckets.values() for bar in bars]
  top = float(np.nanmax(np.concatenate(heights))) if heights else None
  level = ("constant", constant[-1]) if len(constant) else None
  bars = [
    charts.bar_chart(
      f"{kind.capitalize()} by program length",
      labels,
      groups,
      axis="percent of answers right",
      top=top,
      reference=level,
    )
    for kind, (labels, groups) in buckets.items()
  ]
  return _grid(*_draw(lines, _HELD_OUT)) + _grid(*bars)


def _bucket_bars(
  lines: Lines, kind: str
) -> tuple[list[str], list[charts.Bars]]:
  """Accuracy by length bucket, first evaluation beside the last."""
  prefix = f"eval/{kind}/"
  keys = {key for line in lines for key in line if key.startswith(prefix)}
  curves = {key: _series(lines, key) for key in keys}
  keys = sorted((k for k in keys if len(curves[k].values)), key=_bucket_order)
  labels = [key.removeprefix(prefix) for key in keys]
  if not keys:
    return [], []
  last = charts.Bars(
    "last evaluation",
    np.array([curves[key].values[-1] for key in keys]),
    _COLORS[kind],
  )
  if all(len(curves[key].values) == 1 for key in keys):
    return labels, [last]
  first = np.array([curves[key].values[0] for key in keys])
  return labels, [charts.Bars("first evaluation", first, charts.GREY), last]


def _bucket_order(key: str) -> tuple[bool, int, str]:
  """Plain buckets by their first number, then named ones such as "long"."""
  bucket = key.rpartition("/")[2]
  found = re.search(r"\d+", bucket)
  return not bucket[:1].isdigit(), int(found.group()) if found else 0, bucket


def _solve_rate_histogram(lines: Lines) -> str:
  labels = ["0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1"]
  rows = [line.get("solve_rate/histogram") for line in lines]
  counts = [row for row in rows if row and all(map(_is_number, row))]
  counts = [row for row in counts if len(row) == len(labels) and sum(row) > 0]
  if not counts:
    return ""
  shares = np.array([np.array(row) / sum(row) for row in counts])  # [N, 5]
  part = max(1, len(shares) // 10)
  groups = [charts.Bars("last tenth", shares[-part:].mean(0), 0)]
  if len(shares) > 1:
    first = charts.Bars("first tenth of the run", shares[:part].mean(0), 7)
    groups.insert(0, first)
  return charts.bar_chart(
    "Tasks by estimated solve rate",
    labels,
    groups,
    axis="percent of tasks",
    note="Tasks at both ends teach little: never solved, or always.",
  )


def _candidates(lines: Lines) -> str:
  """Accepted and rejected shares, stacked; rare reasons are added up."""
  lines = [line for line in lines if _is_number(line.get("accept/rate"))]
  accepted = _series(lines, "accept/rate", "accepted", 0)
  keys = {key for line in lines for key in line if key.startswith("reject/")}
  shares = {}
  for key in sorted(keys):
    found = {
      line["step"]: line[key] for line in lines if _is_number(line.get(key))
    }
    shares[key] = np.array([found.get(step, 0.0) for step in accepted.steps])
  ranked = sorted(shares, key=lambda key: -shares[key].sum())
  series = [accepted]
  for color, key in enumerate(ranked[:_REASONS_SHOWN], start=1):
    name = key.removeprefix("reject/")
    series.append(charts.Series(name, accepted.steps, shares[key], color))
  rest = ranked[_REASONS_SHOWN:]
  if rest:
    total = np.sum([shares[key] for key in rest], axis=0)
    series.append(charts.Series("other", accepted.steps, total, charts.GREY))
  names = ", ".join(key.removeprefix("reject/") for key in rest)
  return charts.stacked_chart(
    "What became of the candidates",
    series,
    axis="share of candidates",
    note=f"Other: {names}." if rest else "",
  )


def _sample_tasks(tasks: Lines) -> str:
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
  return f"<h3>Sample tasks</h3>{charts.task_table(rows)}"


def _alerts(lines: Lines) -> str:
  """What is certainly wrong, said above the charts."""
  said = []
  unknown = _series(lines, "executor/unknown_rate").values
  if len(unknown) and unknown.max() > _UNKNOWN_LIMIT:
    most, limit = charts.percent(unknown.max()), charts.percent(_UNKNOWN_LIMIT)
    said.append(f"The unknown rate reached {most}; the limit is {limit}.")
  gap = _series(lines, "gap/logprob_max").values
  if len(gap) and gap.max() > 0:
    most = charts.number(gap.max())
    said.append(f"The log-prob gap reached {most} nats; it must be 0.")
  return "".join(f'<p class="alert">{text}</p>' for text in said)


def _phases(lines: Lines) -> str:
  spent: dict[str, float] = {}
  for line in lines:
    for key, value in line.items():
      if key.startswith("seconds/") and _is_number(value):
        name = key.removeprefix("seconds/")
        spent[name] = spent.get(name, 0.0) + value
  return charts.share_table("Seconds by phase, whole run", spent)


def _facts(
  lines: Lines, parameters: Lines, environment: Mapping[str, Any]
) -> str:
  """The strip of key numbers under the verdict."""
  facts = [("updates", f"{max(line['step'] for line in lines):,}")]
  rounds = _series(lines, "round").values
  if len(rounds):
    facts.append(("rounds", f"{rounds.max():,.0f}"))
  seconds = _series(lines, "seconds").values
  if len(seconds):
    facts.append(("time", progress.format_seconds(float(seconds.max()))))
  if parameters:
    size = charts.total(parameters, "bytes")
    weights = charts.total(parameters, "parameters")
    facts.append(("weights", charts.number(weights)))
    facts.append(("stored bits a weight", f"{8 * size / max(weights, 1):.2f}"))
    facts.append(("size", charts.size_text(size)))
  if "device" in environment:
    facts.append(("device", str(environment["device"])))
  return "".join(
    f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>"
    for name, value in facts
  )


def _config(
  config: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> str:
  fields = _flatten(config)
  if not fields:
    return ""
  whole = _table(sorted(fields.items()))
  whole = (
    f"<details><summary>All {len(fields)} fields</summary>{whole}</details>"
  )
  if defaults is None:
    return whole
  usual = _flatten(defaults)
  changed = [
    (name, f"{_text(value)}  (default {_text(usual[name])})")
    if name in usual
    else (name, value)
    for name, value in sorted(fields.items())
    if name not in usual or usual[name] != value
  ]
  if not changed:
    return f"<p>Every field has its default.</p>{whole}"
  return f"<h3>Differs from the defaults</h3>{_table(changed)}{whole}"


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """{"learn": {"lr": 1}} -> {"learn.lr": 1}."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(_flatten(value, f"{prefix}{name}."))
    else:
      flat[prefix + name] = value
  return flat


def _text(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)


def _table(rows: Sequence[tuple[str, Any]]) -> str:
  if not rows:
    return ""
  shown = (
    f"<tr><th>{html.escape(name)}<td><code>{html.escape(_text(value))}</code>"
    for name, value in rows
  )
  return charts.table((), shown, "pairs")


def _all_metrics(lines: Lines) -> str:
  keys = sorted({key for line in lines for key in line} - {"step"})
  rows = []
  for key in keys:
    values = _series(lines, key).values
    if not len(values):
      continue
    cells = (values[0], values[-1], values.min(), values.max())
    shown = "".join(f'<td class="num">{charts.number(x)}' for x in cells)
    count = f'<td class="num">{len(values)}'
    rows.append(f"<tr><th>{html.escape(key)}{shown}{count}")
  head = ("", "first", "last", "least", "most", "readings")
  shown = charts.table(head, rows, "metrics")
  return f"<details><summary>{len(rows)} metrics</summary>{shown}</details>"
