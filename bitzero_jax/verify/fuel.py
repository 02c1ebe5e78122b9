"""The step counter: one C iterator that every loop and call draws from.

`compress(items, fuel)` yields the items unchanged and spends one step each at C
speed. When the fuel is gone, each further draw raises `Stop`, so no handler or
`finally` can go on for long, and the mark that it leaves cannot be taken back.
"""

from collections import deque
from itertools import chain, islice, repeat
from operator import length_hint


class Stop(BaseException):
  """Ends a run; programs cannot name it, so they cannot catch it."""


class Fuel:
  """Steps that are left to the present run, and why it must end.

  A program may not answer after it met a limit: the answer would be a function
  of the limit. So every mark is final.

  Attributes:
    source: draws one step each time that it is asked for the next item.
    caught: gets the key MemoryError or RecursionError when a handler meets one.
      A store needs no call, and so no stack, which is what there is none of.
    worn: whether the process itself ran out of memory.
  """

  def __init__(self):
    self.caught: dict[type, bool] = {}
    self.worn = False
    self.refill(0)

  def refill(self, steps: int) -> None:
    """Starts a run with this many steps."""
    self._left = repeat(True, steps)
    self.source = chain(self._left, map(self._empty, repeat(None)))
    self._mark: tuple[str, str] | None = None
    self.caught[MemoryError] = self.caught[RecursionError] = False

  @property
  def mark(self) -> tuple[str, str] | None:
    """Status and error once a limit was met, else None."""
    if self.caught.get(MemoryError):
      self.worn = True
      return self._mark or ("memory", "MemoryError")
    if self.caught.get(RecursionError):
      return self._mark or ("error", "RecursionError")
    return self._mark

  def stop(self, status: str, error: str) -> None:
    """Marks the run, the first mark counts, and raises Stop."""
    self._mark = self._mark or (status, error)
    raise Stop

  def charge(self, steps: int) -> None:
    """Spends several steps at once."""
    if steps > length_hint(self._left):
      deque(self._left, maxlen=0)
      self._empty()
    deque(islice(self._left, steps), maxlen=0)

  def _empty(self, _: None = None) -> None:
    self.stop("timeout", "steps")


fuel = Fuel()
