"""Self-test: locks children down and reports what they could still do."""

import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import lockdown

_TRIES: dict[str, Callable[[], object]] = {
  "open": lambda: os.open("/dev/null", os.O_RDONLY),
  "socket": lambda: socket.socket(),
  "fork": lambda: os.fork(),
  "kill": lambda: os.kill(os.getpid(), 0),
  "execve": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
  "exec memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | 4),
  "write to 2": lambda: os.write(2, b""),
}


_REFUSED = 7


def _holds(name: str, memory_bytes: int) -> bool:
  """Whether a locked child dies of the attempt; to open is only refused."""
  child = os.fork()
  if not child:
    lockdown.lock(memory_bytes)
    try:
      _TRIES[name]()
    except PermissionError:
      os._exit(_REFUSED)
    finally:
      os._exit(0)
  _, status = os.waitpid(child, 0)
  if name == "open":
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == _REFUSED
  return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS


if __name__ == "__main__":
  memory_bytes = int(sys.argv[1]) << 20
  print(json.dumps([n for n in _TRIES if not _holds(n, memory_bytes)]))
