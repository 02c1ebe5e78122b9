"""Ternary products on this device: the table, and what it writes."""

import datetime
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from pallas_kernels.ternary_matmul import bench, bench_table, targets
from pallas_kernels.ternary_matmul.contenders import Case


def choose(
  shapes: str | None, rows: str | None, planes: str | None, x: str | None
) -> list[Case]:
  """The cases that the command line names, all where it names none.

  Args:
    shapes, rows, planes, x: items joined by commas, None for the defaults.

  Raises:
    ValueError: an item is not allowed.
  """
  return bench.cases(
    _items(shapes),
    numbers("--rows", rows),
    numbers("--planes", planes),
    _items(x),
  )


def measure(
  chosen: Sequence[Case],
  tune: bool,
  report: str | None,
  table: str | None,
  show: Callable[[str], None],
  say: Callable[[str], None],
) -> bool:
  """Prints the table, and whether targets were met; writes what is asked for.

  The targets are those of an H100: of another device nothing is judged.

  Args:
    chosen: from `choose`.
    tune: try every candidate's tiles.
    report: file for the records as JSON, None for none.
    table: file for rows of the dispatch table, None for none.
    show: told the results.
    say: told what is going on.

  Returns:
    Whether every contender that ran was right.
  """
  for text in bench_table.about():
    show(text)
  results = []
  for result in bench.run(chosen, tune=tune, say=say):
    results.append(result)
    say(f"  {result.verdict}")
    _write(report, table, results)  # a sweep that is cut short leaves something
  show(bench_table.HEADER)
  show(bench_table.RULE)
  for record in bench_table.records(results):
    show(bench_table.line(record))
  kind = jax.devices()[0].device_kind
  if targets.DEVICE in kind:
    for text in bench_table.judgement(results):
      show(text)
  else:
    show(
      f"\nWhat must be reached is set for an {targets.DEVICE}, not for {kind}."
    )
  return not any(r.verdict.startswith(bench.WRONG) for r in results)


def _write(
  report: str | None, table: str | None, results: Sequence[bench.Result]
) -> None:
  if report is not None:
    about = {"about": bench_table.about()}
    _replace(report, about | {"results": bench_table.records(results)})
  if table is not None:
    rows = bench.dispatch_rows(results, datetime.date.today())
    _replace(table, [row._asdict() for row in rows])


def _replace(path: str, value: object) -> None:
  """Writes beside the file first, so that no half of one is left."""
  beside = Path(f"{path}.part")
  beside.write_text(json.dumps(value, indent=1) + "\n")
  beside.replace(path)


def _items(text: str | None) -> list[str]:
  return [item.strip() for item in text.split(",")] if text else []


def numbers(flag: str, text: str | None) -> list[int]:
  """Whole numbers joined by commas.

  Raises:
    ValueError: something else is among them.
  """
  try:
    return [int(item) for item in _items(text)]
  except ValueError:
    raise ValueError(f"{flag}={text} must be whole numbers") from None
