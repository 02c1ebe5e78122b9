"""Self-test: locks children down and reports what they could still do."""

import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import lockdown  # noqa: E402

_TRIES: dict[str, Callable[[], object]] = {
  "open": lambda: os.open("/dev/null", os.O_RDONLY),
  "socket": lambda: socket.socket(),
  "fork": lambda: os.fork(),
  "kill": lambda: os.kill(os.getpid(), 0),
  "execve": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
  "exec memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | 4),
  "write to 2": lambda: os.write(2, b""),
}


def _survives(attempt: Callable[[], object], memory_bytes: int) -> bool:
  """Whether a locked child lives on after the attempt."""
  child = os.fork()
  if not child:
    lockdown.lock(memory_bytes)
    try:
      attempt()
    finally:
      os._exit(0)
  _, status = os.waitpid(child, 0)
  died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
  return not died


if __name__ == "__main__":
  memory_bytes = int(sys.argv[1]) << 20
  breaches = [n for n, go in _TRIES.items() if _survives(go, memory_bytes)]
  print(json.dumps(breaches))
