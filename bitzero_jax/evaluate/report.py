"""One self-contained HTML page about a run, from what lies in its workdir.

The page needs no network and no file beside it. A section whose metrics were
never written is left out.
"""

import html
import importlib.resources
import json
import os
import pathlib
import string
from collections.abc import Mapping
from typing import Any

from bitzero_jax.evaluate.alerts import alerts
from bitzero_jax.evaluate.bit_heat_map import bit_tables
from bitzero_jax.evaluate.dynamic_chart import dynamic_charts
from bitzero_jax.evaluate.figure import grid
from bitzero_jax.evaluate.held_out import held_out, verdict
from bitzero_jax.evaluate.kernel_heat_map import kernel_heat_maps
from bitzero_jax.evaluate.panels import (
  BITS,
  CODES,
  COLLAPSE,
  PROPOSALS,
  SPEED,
  TRAINING,
  draw,
)
from bitzero_jax.evaluate.phase_times import phases
from bitzero_jax.evaluate.proposed_tasks import (
  candidates,
  learnability_histogram,
  over_time,
  solve_rate_histogram,
  trained_lengths,
)
from bitzero_jax.evaluate.reliability_diagram import reliability_diagrams
from bitzero_jax.evaluate.run_record import (
  all_metrics,
  config_table,
  environment_table,
  key_numbers,
)
from bitzero_jax.runtime import bucket, metrics
from bitzero_jax.runtime.workdir import EVALUATIONS_FOLDER

REPORT_FILE = "report.html"


def write_report(
  workdir: str | os.PathLike[str],
  *,
  defaults: Mapping[str, Any] | None = None,
) -> pathlib.Path:
  """Writes `report.html` into `workdir`, replacing an older one in one move.

  Reads `metrics.jsonl` and, where they exist, `config.json`,
  `environment.json`, `parameters.json`, `tasks.jsonl`, `graded.jsonl`,
  `evaluations/heldout.json` and `evaluations/heldout_dynamic.json`.

  Args:
    workdir: the folder of the run.
    defaults: a nested config; fields that differ from it are shown first.

  Returns:
    The path of the page.

  Raises:
    ValueError: `metrics.jsonl` is missing or holds no line, or one of the
      files is not the JSON that it should be.
  """
  workdir = bucket.absolute(bucket.locate(workdir))
  path = workdir / metrics.METRICS_FILE
  if not path.is_file():
    raise ValueError(f"{path} is missing: nothing to report on")
  lines = metrics.read(path)
  if not lines:
    raise ValueError(f"{path} is empty: nothing to report on")
  config = _load(workdir / "config.json", dict)
  environment = _load(workdir / "environment.json", dict)
  parameters = _load(workdir / "parameters.json", list)
  tasks, graded = (
    metrics.read(workdir / file) if (workdir / file).is_file() else []
    for file in (metrics.TASKS_FILE, metrics.GRADED_FILE)
  )
  evaluation, by_task = (
    _load(workdir / EVALUATIONS_FOLDER / f"{suite}.json", dict)
    for suite in ("heldout", "heldout_dynamic")
  )

  sections = (
    ("Held-out accuracy", held_out(lines)),
    ("Confidence", reliability_diagrams(graded, evaluation)),
    ("Training", grid(*draw(lines, TRAINING), solve_rate_histogram(lines))),
    (
      "Proposals",
      grid(
        candidates(lines),
        *draw(lines, PROPOSALS),
        learnability_histogram(lines),
        trained_lengths(lines),
      ),
    ),
    ("Proposals over time", over_time(tasks)),
    ("Collapse indicators", alerts(lines) + grid(*draw(lines, COLLAPSE))),
    (
      "Codes",
      grid(*kernel_heat_maps(lines, parameters), *draw(lines, CODES)),
    ),
    (
      "Bits",
      bit_tables(parameters)
      + grid(*draw(lines, BITS), *dynamic_charts(by_task)),
    ),
    ("Time and speed", grid(phases(lines), *draw(lines, SPEED))),
    ("Config", config_table(config, defaults)),
    ("Environment", environment_table(environment)),
    ("All metrics", all_metrics(lines)),
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
    verdict=html.escape(verdict(lines, _primary(config))),
    facts=key_numbers(lines, parameters, environment),
    body=body,
  )
  report = workdir / REPORT_FILE
  fresh = workdir / (REPORT_FILE + ".new")
  with bucket.telling(report):
    fresh.write_text(page, encoding="utf-8")
    fresh.replace(report)
  return report


def _primary(config: Mapping[str, Any]) -> str:
  """The declared measure; accuracy where a config has none."""
  return config.get("heldout", {}).get("primary", "accuracy")


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
