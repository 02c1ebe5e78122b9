"""The child process: reads requests, runs programs, writes what came of them.

Started by path, so that nothing of the package, and so no JAX, is imported. It
locks itself down before it reads the first byte of a request.
"""

import json
import os
import struct
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import lockdown
import runner

_FLUSH_CHARACTERS = 1 << 18
_FLUSH_NS = 20_000_000  # CPU time


def _read(size: int) -> bytes:
  """Exactly so many bytes from the host; its end of the pipe ends us too."""
  parts = []
  while size:
    part = os.read(0, size)
    if not part:
      os._exit(0)
    parts.append(part)
    size -= len(part)
  return b"".join(parts)


def _write(message: list) -> None:
  data = json.dumps(message, separators=(",", ":")).encode()
  data = memoryview(struct.pack("<I", len(data)) + data)
  while data:
    data = data[os.write(1, data) :]


def serve(run: runner.Runner) -> None:
  """Answers requests until the host goes or the memory is worn out.

  A request is [id, secret, [[program, [input, ...]], ...]]. An answer is
  [id, secret, first job, [[statuses, values, errors, cpu_us], ...]], where each
  column has one item for each input; a long request gets several answers.
  """
  while True:
    size = struct.unpack("<I", _read(4))[0]
    number, secret, jobs = json.loads(_read(size))
    first, answers, held, written = 0, [], 0, runner.now()
    for done, (program, inputs) in enumerate(jobs, 1):
      answers.append(list(zip(*run.job(program, inputs), strict=True)))
      held += sum(map(len, answers[-1][1]))
      late = runner.now() - written > _FLUSH_NS
      if late or held > _FLUSH_CHARACTERS or done == len(jobs) or run.worn:
        _write([number, secret, first, answers])
        first, answers, held, written = done, [], 0, runner.now()
      if run.worn:
        os._exit(0)


def main() -> None:
  """Locks down, says how, and serves."""
  limits = json.loads(sys.argv[1])
  run = runner.Runner(limits)
  runner.prepare()
  os.environ.clear()
  sys.stderr = None  # a traceback must not write to a closed descriptor
  os.closerange(2, 64)
  tier = lockdown.lock(limits["memory_mb"] << 20)
  version = ".".join(map(str, sys.version_info[:3]))
  _write(["ready", f"{sys.implementation.name}-{version}", tier])
  try:
    serve(run)
  except BaseException:  # such as no memory for an answer
    os._exit(1)


if __name__ == "__main__":
  main()
