"""Host side of one worker: its process, its pipe and the request it holds."""

import json
import os
import secrets
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bitzero_jax.verify.verdict import STATUSES, Limits

# Isolated, but for PYTHONHASHSEED, which -I would ignore: no site packages, no
# script folder, and the environment holds nothing else.
PYTHON = (sys.executable, "-s", "-S", "-P", "-W", "ignore")

WORKER = Path(__file__).with_name("worker.py")
_KNOWN = frozenset(STATUSES)
_MAX_FRAME = 1 << 28
_READ_BYTES = 1 << 20

Row = tuple[str, str, str, int]


class Lost(Exception):
  """A worker is of no more use."""


class Gone(Lost):
  """Its process ended."""


class Tampered(Lost):
  """It said something that no worker says, so nothing it says counts."""


class Task(NamedTuple):
  """Part of a job, to be run on one side of the pool.

  Attributes:
    job: index of the job.
    first: index of the first input.
    program: the source.
    inputs: the inputs, from `first` on.
    side: which of the two hash seeds.
  """

  job: int
  first: int
  program: str
  inputs: tuple[str, ...]
  side: int


class Worker:
  """A locked interpreter, reached through two pipes that never block us.

  Attributes:
    side: which hash seed it was started with.
    ready: (engine name, tier) once it has locked itself down, else None.
    tasks: what it has not answered yet, in order.
    alone: whether its request held a single task.
    answered: how many tasks of its request it has answered.
    served: inputs answered so far.
  """

  def __init__(
    self,
    side: int,
    seed: int,
    limits: Limits,
    greeting: tuple[str, str] | None = None,
  ):
    """Starts the process; it is of use once it is `ready`.

    Args:
      side: which of the hash seeds.
      seed: the hash seed itself.
      limits: what a run may use.
      greeting: what `ready` must be; None takes whatever it is.
    """
    self.side = side
    self.ready: tuple[str, str] | None = None
    self.tasks: list[Task] = []
    self.alone = False
    self.served = 0
    self.heard = time.monotonic()
    self._greeting = greeting
    self._requests = 0
    self._secret = ""
    self.answered = 0
    self._limits = limits
    self._incoming = bytearray()
    self._outgoing = memoryview(b"")
    self._process = _start(limits, side, seed)
    assert self._process.stdin and self._process.stdout
    self.stdin = self._process.stdin.fileno()
    self.stdout = self._process.stdout.fileno()
    os.set_blocking(self.stdin, False)
    os.set_blocking(self.stdout, False)

  @property
  def pid(self) -> int:
    return self._process.pid

  @property
  def idle(self) -> bool:
    return self.ready is not None and not self.tasks

  @property
  def wants_to_write(self) -> bool:
    return len(self._outgoing) > 0

  def ask(self, tasks: list[Task]) -> None:
    """Queues one request; `write` sends it.

    Raises:
      Gone: the process ended.
    """
    self._requests += 1
    self._secret = secrets.token_hex(8)
    self.answered = 0
    self.tasks = list(tasks)
    self.alone = len(tasks) == 1
    self.heard = time.monotonic()
    jobs = [(task.program, task.inputs) for task in tasks]
    data = json.dumps([self._requests, self._secret, jobs]).encode()
    self._outgoing = memoryview(struct.pack("<I", len(data)) + data)
    self.write()

  def write(self) -> None:
    """Sends what the pipe takes now.

    Raises:
      Gone: the process ended.
    """
    try:
      while self._outgoing:
        sent = os.write(self.stdin, self._outgoing)
        self._outgoing = self._outgoing[sent:]
    except BlockingIOError:
      return
    except OSError as error:
      raise Gone(str(error)) from error

  def read(self) -> Iterator[tuple[Task, list[Row]]]:
    """Yields tasks that were answered since the last call, with their rows.

    Raises:
      Lost: the worker is gone or broke the protocol; what was yielded counts.
    """
    try:
      data = os.read(self.stdout, _READ_BYTES)
    except BlockingIOError:
      return
    except OSError as error:
      raise Gone(str(error)) from error
    if not data:
      raise Gone("end of file")
    self.heard = time.monotonic()
    self._incoming += data
    while len(self._incoming) >= 4:
      size = struct.unpack_from("<I", self._incoming)[0]
      if size > _MAX_FRAME:
        raise Tampered("frame")
      if len(self._incoming) < 4 + size:
        break
      frame = bytes(self._incoming[4 : 4 + size])
      del self._incoming[: 4 + size]
      try:
        message = json.loads(frame)
      except (ValueError, RecursionError) as error:
        raise Tampered("frame") from error
      yield from self._accept(message)

  def _accept(self, message) -> list[tuple[Task, list[Row]]]:
    """Takes a message only if it is exactly what was asked for."""
    if type(message) is not list:
      raise Tampered("message")
    if self.ready is None:
      if len(message) != 3 or message[0] != "ready":
        raise Tampered("greeting")
      greeting = (str(message[1]), str(message[2]))
      if self._greeting not in (None, greeting):
        raise Tampered("greeting")
      self.ready = greeting
      return []
    if len(message) != 4 or message[:3] != [
      self._requests,
      self._secret,
      self.answered,
    ]:
      raise Tampered("message")
    answers = message[3]
    if type(answers) is not list or not 0 < len(answers) <= len(self.tasks):
      raise Tampered("answers")
    answered = []
    for task, columns in zip(self.tasks, answers, strict=False):
      answered.append((task, self._rows(columns, len(task.inputs))))
      self.served += len(task.inputs)
    self.answered += len(answers)
    self.tasks = self.tasks[len(answers) :]
    return answered

  def _rows(self, columns, count: int) -> list[Row]:
    """Rows from the four columns; a round of training brings 10,000 rows."""
    if type(columns) is not list or len(columns) != 4:
      raise Tampered("columns")
    if any(type(c) is not list or len(c) != count for c in columns):
      raise Tampered("rows")
    statuses, values, errors, cpu_us = columns
    if {*map(type, statuses), *map(type, values), *map(type, errors)} != {str}:
      raise Tampered("texts")
    if set(map(type, cpu_us)) != {int} or not _KNOWN.issuperset(statuses):
      raise Tampered("row")
    if max(map(len, values)) > self._limits.value_bytes:
      raise Tampered("value")
    return list(zip(statuses, values, errors, cpu_us, strict=True))

  def end(self, *, kill: bool = False) -> int:
    """Ends and reaps the process; its exit status, negative for a signal."""
    for pipe in (self._process.stdin, self._process.stdout):
      assert pipe
      pipe.close()
    if kill:
      self._process.kill()
    try:
      return self._process.wait(timeout=1)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
      return -signal.SIGKILL


def _start(limits: Limits, side: int, seed: int) -> subprocess.Popen:
  orders = json.dumps(limits._asdict() | {"reverse_sets": side})
  # A child keeps its parent's mask: Ctrl-C is not for it, from the start on.
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    return subprocess.Popen(
      [*PYTHON, str(WORKER), orders],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      env={"PYTHONHASHSEED": str(seed)},
      cwd="/",
      bufsize=0,
    )
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
