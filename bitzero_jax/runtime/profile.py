"""A trace of chosen rounds: what the device and the host did, and when.

XProf (`pip install xprof`) opens the folder, and ui.perfetto.dev the
`trace.json.gz` in it.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from bitzero_jax.runtime import bucket

FOLDER = "profile"


def check(workdir: Path, window: tuple[int, ...]) -> None:
  """Asks, before any work, whether the rounds of a window can be traced there.

  Raises:
    ValueError: the profiler cannot write into a bucket.
  """
  if window and bucket.is_address(workdir):
    raise ValueError(
      f"profile.steps={window} needs a folder as --workdir, not {workdir}"
    )


class Profile:
  """Traces the rounds of one window. Use as a context manager.

  A run that ends inside the window still writes what was traced until then.
  """

  def __init__(
    self, workdir: Path, window: tuple[int, ...], note: Callable[[str], None]
  ):
    """Traces nothing yet.

    Args:
      workdir: the trace goes into `workdir`/profile.
      window: first and last round, both traced; empty for none.
      note: told where the trace lies.
    """
    self._folder = Path(workdir) / FOLDER
    self._first, self._last = window or (0, 0)
    self._note = note
    self._traced: list[int] = []

  @contextlib.contextmanager
  def round(self, number: int) -> Iterator[None]:
    """What round `number` runs in."""
    if self._first <= number <= self._last:
      if not self._traced:
        jax.profiler.start_trace(self._folder)
      self._traced.append(number)
    with jax.profiler.StepTraceAnnotation("round", step_num=number):
      yield
    if number == self._last:
      self._end()

  def _end(self) -> None:
    if not self._traced:
      return
    jax.profiler.stop_trace()
    first, last = self._traced[0], self._traced[-1]
    self._traced = []
    self._note(
      f"trace of rounds {first} to {last}: {self._folder} (for XProf; the "
      "trace.json.gz in it for ui.perfetto.dev)"
    )

  def __enter__(self) -> "Profile":
    return self

  def __exit__(self, *_: object) -> None:
    self._end()
