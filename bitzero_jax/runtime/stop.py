"""A signal asks a run to stop; the run says when it does."""

import contextlib
import signal
from collections.abc import Iterator


class Stop:
  """Set by SIGINT and SIGTERM: finish this round, save, leave."""

  def __init__(self) -> None:
    self.by = ""

  @contextlib.contextmanager
  def listening(self) -> Iterator[None]:
    """Catches the signals inside the block; a second one acts as usual."""
    before = {}

    def catch(number, _):
      self.by = signal.Signals(number).name
      signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
      before[number] = signal.signal(number, catch)
    try:
      yield
    finally:
      for number, handler in before.items():
        signal.signal(number, handler)
