"""What a run writes while it learns: numbers, sample tasks, graded exams.

All files are JSON lines with a `step` (gradient updates done) on every line.
Only the first process of a multi-host run should open a writer.
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import tensorboardX

from bitzero_jax.runtime import bucket

METRICS_FILE = "metrics.jsonl"
TASKS_FILE = "tasks.jsonl"
GRADED_FILE = "graded.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Reads a JSON-lines file, in file order.

  A kill can tear the last line in half: a last line that does not parse is
  left out. A value that was not finite when written reads back as None.

  Args:
    path: the file. It must exist.

  Returns:
    One dict a line.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: a line before the last one is not a JSON object.
  """
  path = bucket.locate(path)
  texts = path.read_bytes().splitlines()
  lines = []
  for number, text in enumerate(texts, start=1):
    try:
      line = json.loads(text)
    except ValueError as error:
      if number == len(texts):
        break
      raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
    if not isinstance(line, dict):
      raise ValueError(f"{path}, line {number}: not an object: {line!r}")
    lines.append(line)
  return lines


class MetricsWriter:
  """Writes numbers to `metrics.jsonl` and to TensorBoard events."""

  def __init__(
    self,
    workdir: str | os.PathLike[str],
    *,
    resume_step: int | None = None,
  ):
    """Opens `workdir`, which is made if it is missing.

    Args:
      workdir: a local folder.
      resume_step: the step of the restored checkpoint. Lines past it, which a
        killed run wrote and will write again, are dropped; TensorBoard hides
        its events past it. -1 starts over and drops every line. None: a new
        run, whose files must not hold lines yet.

    Raises:
      ValueError: `resume_step` is None and `metrics.jsonl` holds lines.
    """
    workdir = pathlib.Path(workdir)
    self._log = _LineLog(workdir / METRICS_FILE, resume_step)
    # Event files are named by the second: a quick restart would overwrite one.
    resumed = resume_step is not None
    self._events = tensorboardX.SummaryWriter(
      logdir=str(workdir / TENSORBOARD_FOLDER),
      purge_step=resume_step + 1 if resumed else None,
      filename_suffix=f".after{resume_step}" if resumed else "",
    )

  def write(self, step: int, values: Mapping[str, Any]) -> None:
    """Appends one line and hands it to the operating system at once.

    Args:
      step: gradient updates done.
      values: numbers, strings, None or short lists of them; numpy and JAX
        scalars and small arrays count as these. A number that is not finite
        becomes null, and is left out of TensorBoard, as are strings and lists.

    Raises:
      TypeError: a value is of another kind.
      ValueError: `values` has a key "step".
    """
    line = self._log.write(step, values)
    for name, value in line.items():
      if name != "step" and isinstance(value, int | float):
        self._events.add_scalar(name, value, line["step"])
    self._events.flush()

  def close(self) -> None:
    try:
      self._log.close()
    finally:
      self._events.close()

  def __enter__(self) -> "MetricsWriter":
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    with _after(kind):
      self.close()


class TaskLog:
  """Writes sample tasks to `tasks.jsonl`, or other records to another file."""

  def __init__(
    self,
    workdir: str | os.PathLike[str],
    *,
    resume_step: int | None = None,
    file: str = TASKS_FILE,
  ):
    """Opens `workdir`; `resume_step` and errors as for `MetricsWriter`."""
    self._log = _LineLog(pathlib.Path(workdir) / file, resume_step)

  def write(self, step: int, tasks: Iterable[Mapping[str, Any]]) -> None:
    """Appends one line a record; values and errors as for `MetricsWriter`."""
    for task in tasks:
      self._log.write(step, task)

  def close(self) -> None:
    self._log.close()

  def __enter__(self) -> "TaskLog":
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    with _after(kind):
      self.close()


def _after(
  kind: type[BaseException] | None,
) -> contextlib.AbstractContextManager[None]:
  """What to close a file in: the first error is the one to tell."""
  return contextlib.suppress(OSError) if kind else contextlib.nullcontext()


class _LineLog:
  """An append-only file of JSON lines, cut back to a step when reopened."""

  def __init__(self, path: pathlib.Path, resume_step: int | None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
      _cut_back(path, resume_step)
    self._file = path.open("a", encoding="ascii")

  def write(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
    if "step" in values:
      raise ValueError("values must not hold the key 'step': pass it apart")
    line: dict[str, Any] = {"step": int(step)}
    for name, value in values.items():
      line[name] = _plain(name, value)
    try:
      self._file.write(json.dumps(line, allow_nan=False) + "\n")
      self._file.flush()
    except OSError as error:  # which does not say of which file it speaks
      raise OSError(error.errno, error.strerror, self._file.name) from error
    return line

  def close(self) -> None:
    self._file.close()


def _cut_back(path: pathlib.Path, resume_step: int | None) -> None:
  """Replaces the file, in one move, by its whole lines up to `resume_step`."""
  lines = read(path)
  if resume_step is None:
    if lines:
      raise ValueError(
        f"{path} already holds {len(lines)} lines: pass resume_step to go on"
        " from a checkpoint, or -1 to start over"
      )
    resume_step = -1
  kept = [line for line in lines if line["step"] <= resume_step]
  fresh = path.with_name(path.name + ".new")
  with fresh.open("w", encoding="ascii") as file:
    file.writelines(json.dumps(line) + "\n" for line in kept)
    file.flush()
    os.fsync(file.fileno())
  os.replace(fresh, path)


def _plain(name: str, value: Any) -> Any:
  """The value as strict JSON knows it; numpy and JAX values have `tolist`."""
  if hasattr(value, "tolist"):
    value = value.tolist()
  if value is None or isinstance(value, bool | int | str):
    return value
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  if isinstance(value, list | tuple):
    return [_plain(name, item) for item in value]
  raise TypeError(
    f"{name}={value!r}: expected a number, a string, None or a list of them,"
    f" got {type(value).__name__}"
  )
