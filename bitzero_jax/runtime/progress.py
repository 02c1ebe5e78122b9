"""Live progress of a run in the terminal.

On a terminal one live panel is redrawn; anywhere else one plain line is printed
every few seconds, so that log files stay readable.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_TYPES = {"deduction": "D", "abduction": "A", "induction": "I"}


def format_seconds(seconds: float | None) -> str:
  """Writes seconds as "7 s", "1:02", "3:04:05"; None and NaN as "-"."""
  if seconds is None or not math.isfinite(seconds):
    return "-"
  whole = round(seconds)
  if whole < 60:
    return f"{whole} s"
  minutes, rest = divmod(whole, 60)
  if minutes < 60:
    return f"{minutes}:{rest:02d}"
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{rest:02d}"


class Progress:
  """Shows how far a run is and how well it does. Use as a context manager.

  Time left is the mean time of a step in this process, times the steps left.
  An interval between two updates in which something compiled counts neither
  its time nor its steps, as the first call of a jitted step does both.
  """

  def __init__(
    self,
    total: int,
    out: TextIO | None = None,
    *,
    start: int = 0,
    print_every: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Prepares the display; nothing shows before `with`.

    Args:
      total: the step at which the run ends, at least 1.
      out: where to write; None is standard error.
      start: the step of the restored checkpoint, 0 for a new run.
      print_every: least seconds between two plain lines off a terminal.
      clock: seconds from any origin, never going back.

    Raises:
      ValueError: `total` is below 1.
    """
    if total < 1:
      raise ValueError(f"total={total}: must be at least 1")
    self._total = total
    self._out = sys.stderr if out is None else out
    self._print_every = print_every
    self._clock = clock
    self._step = start
    self._values: dict[str, Any] = {}
    self._started = self._updated = clock()
    self._clean_seconds = 0.0
    self._clean_steps = 0
    self._compiling: tuple[str, float] | None = None
    self._compiled_since_update = False
    self._printed: float | None = None
    self._live: Live | None = None
    if self._out.isatty():
      self._live = Live(
        console=Console(file=self._out),
        get_renderable=self._panel,
        refresh_per_second=4,
        transient=False,
      )

  def __enter__(self) -> "Progress":
    self._started = self._updated = self._clock()
    if self._live:
      self._live.start(refresh=True)
    return self

  def __exit__(self, *_: object) -> None:
    if self._live:
      self._live.stop()

  def resume(self, step: int) -> None:
    """Says where a restored run stands, before its first update."""
    self._step = step

  def note(self, text: str) -> None:
    """Prints one line that stays."""
    if self._live:
      self._live.console.print(Text(text))
    else:
      print(text, file=self._out, flush=True)

  @contextlib.contextmanager
  def compiling(self, name: str) -> Iterator[None]:
    """Says that `name` compiles, and when it is done how long it took."""
    began = self._clock()
    self._compiling = (name, began)
    self._compiled_since_update = True
    if not self._live:
      self.note(f"compiling {name} ...")
    try:
      yield
    finally:
      self._compiling = None
    self.note(f"compiled {name} in {self._clock() - began:.1f} s")

  def update(self, step: int, values: Mapping[str, Any]) -> None:
    """Takes the latest step and metrics; a value stays until a newer comes.

    Args:
      step: gradient updates done, counted from the start of the whole run.
      values: metrics under the names that `metrics.jsonl` uses.
    """
    now = self._clock()
    if not self._compiled_since_update:
      self._clean_seconds += now - self._updated
      self._clean_steps += step - self._step
    self._compiled_since_update = False
    self._updated = now
    self._step = step
    self._values.update(values)
    if self._live:
      return
    due = self._printed is None or now - self._printed >= self._print_every
    if due or step >= self._total:
      self._printed = now
      self.note(self._line())

  def finish(self, summary: Mapping[str, Any]) -> None:
    """Ends the live display and prints the summary, one value a line."""
    if self._live:
      self._live.stop()
    elapsed = format_seconds(self._clock() - self._started)
    self.note(f"done: step {self._step}/{self._total} in {elapsed}")
    width = max((len(name) for name in summary), default=0)
    for name, value in summary.items():
      shown = f"{value:.4g}" if isinstance(value, float) else value
      self.note(f"  {name:<{width}}  {shown}")

  def seconds_left(self) -> float | None:
    """Seconds to the last step; None before the first clean interval."""
    if self._clean_steps <= 0:
      return None
    left = max(self._total - self._step, 0)
    return left * self._clean_seconds / self._clean_steps

  def _clock_text(self) -> str:
    elapsed = format_seconds(self._clock() - self._started)
    left = self.seconds_left()
    return f"elapsed {elapsed}, left {format_seconds(left)}"

  def _line(self) -> str:
    percent = 100 * self._step / self._total
    parts = [f"step {self._step}/{self._total} ({percent:.0f} %)"]
    parts.append(self._clock_text())
    parts += [f"{name} {value}" for name, value in self._readings()]
    return " | ".join(parts)

  def _readings(self) -> list[tuple[str, str]]:
    """What is known so far, as name and text."""
    readings = []
    for name, prefix in (("solve", "solve_rate"), ("held-out", "eval")):
      known = {
        short: self._values[f"{prefix}/{kind}"]
        for kind, short in _TYPES.items()
        if f"{prefix}/{kind}" in self._values
      }
      if known:
        texts = [f"{short} {_percent(rate)}" for short, rate in known.items()]
        readings.append((name, " ".join(texts)))
    for name, key, show in (
      ("accept", "accept/rate", _percent),
      ("rows/s", "speed/rows_per_s", _number),
      ("bits/weight", "bits/stored_per_weight", _number),
    ):
      if key in self._values:
        readings.append((name, show(self._values[key])))
    return readings

  def _panel(self) -> RenderableType:
    head = Table.grid(padding=(0, 1))
    done = min(self._step, self._total)
    head.add_row(
      Text(f"step {self._step}/{self._total}", style="bold"),
      ProgressBar(total=self._total, completed=done, width=30),
      Text(self._clock_text()),
    )
    body = Table.grid(padding=(0, 2))
    for name, value in self._readings():
      body.add_row(Text(name, style="dim"), Text(value))
    parts: list[RenderableType] = [head, body]
    compiling = self._compiling
    if compiling is not None:
      name, began = compiling
      seconds = format_seconds(self._clock() - began)
      parts.append(Text(f"compiling {name} ... {seconds}", style="yellow"))
    return Group(*parts)


def _known(value: Any) -> bool:
  return value is not None and math.isfinite(value)


def _percent(share: Any) -> str:
  return f"{100 * float(share):.1f}%" if _known(share) else "-"


def _number(value: Any) -> str:
  if not _known(value):
    return "-"
  value = float(value)
  return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
