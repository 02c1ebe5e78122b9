"""The executor as a tool of its own: JSON lines in, verdicts out."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job

_BATCH = 512  # jobs run, and lines written, at once


class Line(NamedTuple):
  """One line of the input: a job, and its name where it has one."""

  job: Job
  name: Any


def read(path: str) -> list[Line]:
  """Reads jobs from JSON lines.

  Args:
    path: a file, or "-" for standard input. Each line is an object with
      `program` (source with a function `f`), `input` (its argument list in
      brackets, as text) and, if wanted, `name`. Empty lines are skipped.

  Raises:
    OSError: the file cannot be read.
    ValueError: a line is not such an object; the message has its number.
  """
  if path == "-":
    text = sys.stdin.buffer.read().decode(errors="surrogateescape")
  else:
    text = Path(path).read_text("utf-8", errors="surrogateescape")
  lines = []
  for number, line in enumerate(text.split("\n"), start=1):
    if line.strip():
      lines.append(_line(line, f"{path}:{number}"))
  return lines


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


def write(lines: list[Line], out: TextIO) -> None:
  """Runs the jobs and writes one JSON line each, in the same order.

  Keys: `name` where it was given, `verdict`, `value` (canonical text, for
  "ok"), `error` (exception name or reason), `engine`, `cpu_us`.
  """
  with Executor() as executor:
    sys.stderr.write(f"executor: {executor.tier}\n")
    for begin in range(0, len(lines), _BATCH):
      batch = lines[begin : begin + _BATCH]
      results = executor.run([line.job for line in batch])
      for line, (verdict,) in zip(batch, results, strict=True):
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
