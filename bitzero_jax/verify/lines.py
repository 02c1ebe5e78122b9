"""The executor as a tool of its own: JSON lines in, verdicts out, streaming."""

import json
import os
import queue
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, TextIO

from rich.console import Console
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  TextColumn,
  TimeRemainingColumn,
)

from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job

_BATCH = 512  # most jobs run, and lines written, at once


class Line(NamedTuple):
  """One line of the input: a job, and its name where it has one."""

  job: Job
  name: Any


def check(path: str) -> int | None:
  """Reads a file once without running anything.

  Args:
    path: as for `read`.

  Returns:
    how many jobs it holds; None for a stream, which can be read only once.

  Raises:
    OSError, ValueError: as `read`.
  """
  if path == "-":
    return None
  kind = os.stat(path).st_mode
  if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
    return None
  return sum(1 for _ in read(path))


def read(path: str) -> Iterator[Line]:
  """Reads jobs from JSON lines, one at a time.

  Args:
    path: a file, or "-" for standard input. Each line is an object with
      `program` (source with a function `f`), `input` (its argument list in
      brackets, as text) and, if wanted, `name`. Empty lines are skipped.

  Yields:
    the job of each line.

  Raises:
    OSError: the file cannot be read.
    ValueError: a line is not such an object; the message has its number.
  """
  # Not sys.stdin: Python would wait for its lock at exit, after Ctrl-C.
  source = sys.stdin.fileno() if path == "-" else path
  with open(source, "rb", closefd=path != "-") as file:
    yield from _read(file, path)


def _read(file: BinaryIO, path: str) -> Iterator[Line]:
  for number, raw in enumerate(file, start=1):
    text = raw.decode(errors="surrogateescape")
    if text.strip():
      yield _line(text, f"{path}:{number}")


def _line(text: str, where: str) -> Line:
  try:
    value = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{where}: not JSON: {error}") from None
  if not isinstance(value, dict):
    raise ValueError(f"{where}: must be an object, got {type(value).__name__}")
  for key in ("program", "input"):
    if not isinstance(value.get(key), str):
      raise ValueError(f"{where}: {key!r} must be text, got {value.get(key)!r}")
  return Line(Job(value["program"], (value["input"],)), value.get("name"))


def write(lines: Iterable[Line], out: TextIO, total: int | None = None) -> None:
  """Runs the jobs and writes one JSON line each, in the same order.

  Whatever has come in is run at once, so a slow writer gets its verdicts one by
  one and a fast one in large batches. Keys: `name` where it was given,
  `verdict`, `value` (canonical text, for "ok"), `error` (exception name or
  reason), `engine`, `cpu_us`. Progress goes to standard error.

  Args:
    lines: the jobs.
    out: where the verdicts go.
    total: how many jobs there will be, if that is known.

  Raises:
    OSError, ValueError: `lines` does; what was read before is answered.
  """
  counts: Counter[str] = Counter()
  with Executor() as executor, _progress() as progress:
    engine = f"executor: {executor.engine.name}, {executor.tier}"
    progress.console.print(engine, highlight=False)
    bar = progress.add_task("verdicts", total=total)
    for batch in _batches(lines):
      results = executor.run([line.job for line in batch])
      for line, (verdict,) in zip(batch, results, strict=True):
        counts[verdict.status] += 1
        named = {} if line.name is None else {"name": line.name}
        record = named | {
          "verdict": verdict.status,
          "value": verdict.value if verdict.status == "ok" else None,
          "error": verdict.error or None,
          "engine": verdict.engine.name,
          "cpu_us": verdict.cpu_us,
        }
        out.write(json.dumps(record) + "\n")
      out.flush()
      progress.advance(bar, len(batch))
  said = ", ".join(f"{count:,} {status}" for status, count in counts.items())
  sys.stderr.write(f"verdicts: {said or 'none'}\n")


def _progress() -> Progress:
  console = Console(stderr=True, soft_wrap=True)
  columns = (
    *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
    TimeRemainingColumn(),
  )
  hidden = not console.is_terminal
  return Progress(*columns, console=console, transient=True, disable=hidden)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
  """Groups what is there, without waiting for more than one line."""
  waiting: queue.Queue[Line | Exception | None] = queue.Queue(2 * _BATCH)

  def fill() -> None:
    try:
      for line in lines:
        waiting.put(line)
      waiting.put(None)
    except Exception as error:  # belongs to whoever takes the lines
      waiting.put(error)

  # A daemon, as nothing can end its wait for standard input.
  threading.Thread(target=fill, daemon=True).start()
  while True:
    batch: list[Line] = []
    item = waiting.get()
    while isinstance(item, Line):
      batch.append(item)
      if len(batch) == _BATCH:
        break
      try:
        item = waiting.get_nowait()
      except queue.Empty:
        break
    if batch:
      yield batch
    if item is None:
      return
    if isinstance(item, Exception):
      raise item
