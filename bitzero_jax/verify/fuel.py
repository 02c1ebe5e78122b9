"""The step counter: one C iterator that every loop and call draws from.

`compress(items, fuel)` yields the items unchanged and spends one step each at C
speed. When the fuel is gone, each further draw raises `Stop`, so no handler or
`finally` can go on for long, and the mark that it leaves cannot be taken back.
"""

import sys
from collections import deque
from itertools import chain, islice, repeat
from operator import length_hint


class Stop(BaseException):
  """Ends a run; programs cannot name it, so they cannot catch it."""


# A program may not answer after one of these: the answer would be a function of
# the limit.
FATAL = (Stop, MemoryError, RecursionError)


class Fuel:
  """Steps that are left to the present run, and why it must end.

  Attributes:
    source: draws one step each time that it is asked for the next item.
    mark: (status, error) once a limit was met, else None.
    worn: whether the process itself ran out of memory.
  """

  def __init__(self):
    self.worn = False
    self.refill(0)

  def refill(self, steps: int) -> None:
    """Starts a run with this many steps."""
    self._left = repeat(True, steps)
    self.source = chain(self._left, map(self._empty, repeat(None)))
    self.mark: tuple[str, str] | None = None

  def stop(self, status: str, error: str) -> None:
    """Marks the run, the first mark counts, and raises Stop."""
    self.mark = self.mark or (status, error)
    raise Stop

  def charge(self, steps: int) -> None:
    """Spends several steps at once."""
    if steps > length_hint(self._left):
      deque(self._left, maxlen=0)
      self._empty()
    deque(islice(self._left, steps), maxlen=0)

  def note(self) -> None:
    """Marks the run for the fatal exception that is being handled."""
    kind = sys.exc_info()[0]
    if kind is MemoryError:
      self.worn = True
      self.mark = self.mark or ("memory", "MemoryError")
    elif kind is RecursionError:
      self.mark = self.mark or ("error", "RecursionError")

  def _empty(self, _: None = None) -> None:
    self.stop("timeout", "steps")


fuel = Fuel()
