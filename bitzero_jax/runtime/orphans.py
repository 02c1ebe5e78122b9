"""Reads that nobody waits for any more.

Orbax reads all leaves of a checkpoint at once, and closes its event loop at the
first that fails. Each of the others ends later, in a thread of tensorstore,
finds the loop closed, and Python prints a traceback that says nothing of what
is wrong. There may be hundreds, beside the one line that does say it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

_CLOSED = "Event loop is closed"  # in asyncio's words


class _Hook:
  """`sys.unraisablehook`, but for those reads."""

  def __init__(self, before: Callable[[Any], object]):
    self.before = before

  def __call__(self, report: Any) -> None:
    error = report.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == _CLOSED):
      self.before(report)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
  """Keeps them quiet, during a read and, where it failed, from then on.

  When the last of them ends is not known to us.
  """
  before = sys.unraisablehook
  if not isinstance(before, _Hook):
    sys.unraisablehook = _Hook(before)
  yield
  sys.unraisablehook = before
