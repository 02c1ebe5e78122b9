"""Shares tasks among workers, replaces those that fail, loses nothing.

A task is blamed for a dead worker only when it was alone in that worker's
hands. So when a worker dies, what it had not answered is asked again, one task
a request, then one input a request.
"""

import selectors
import signal
import time
from collections import Counter, deque
from collections.abc import Sequence

from bitzero_jax.verify.pool import Gone, Lost, Row, Tampered, Task, Worker
from bitzero_jax.verify.verdict import (
  ERROR,
  FORBIDDEN,
  TIMEOUT,
  UNKNOWN,
  Limits,
)

_CHUNK_TASKS = 64
_CHUNK_INPUTS = 1024
_RECYCLE_INPUTS = 200_000
_START_MS = 20_000
_ATTEMPTS = 5
_KILLS = 4  # by one program on different inputs, before it is given up
_FAILED_STARTS = 20
_RETRY_SECONDS = 0.1
_TAMPERED, _STALLED = "tampered", "stalled"
# Ends that a program can bring on itself; any other came from outside.
_OWN_CODES = [
  -getattr(signal, f"SIG{name}")
  for name in "SEGV BUS ABRT FPE ILL PROF SYS".split()
]
_OWN = frozenset([_TAMPERED, 1, *_OWN_CODES])  # 1: a bare Python exception

Answer = tuple[Task, list[Row]]


class Dispatcher:
  """A fixed number of workers for each hash seed, and one spare each.

  Whichever are idle count as spares, so a lost worker costs no wait.

  Attributes:
    needs_lock: whether the kernel has to hold what a program does.
    restarts: workers that were replaced.
  """

  needs_lock = True

  def __init__(self, limits: Limits, seeds: Sequence[int], workers: int):
    self.restarts = 0
    self._limits = limits
    self._seeds = seeds
    self._selector = selectors.DefaultSelector()
    self._workers: list[Worker] = []
    self._vacant = [i % len(seeds) for i in range(workers)]
    self._busy_most = workers // len(seeds)
    self._failed_starts = 0
    self._greeting: tuple[str, str] | None = None
    self._fill()

  def greet(self) -> tuple[str, str]:
    """Waits for all workers: their engine and tier.

    A worker that starts later must say the same, or it gets no work.

    Raises:
      RuntimeError: a worker does not start, or differs from another.
    """
    late = time.monotonic() + _START_MS / 1000
    while self._vacant or not all(w.ready for w in self._workers):
      for worker in self._ready_to_talk(1.0):
        try:
          list(worker.read())
        except Lost as error:
          raise RuntimeError(f"a worker does not start: {error}") from error
      if self._vacant or time.monotonic() > late:
        raise RuntimeError(f"a worker does not start in {_START_MS} ms")
    greetings = {worker.ready for worker in self._workers if worker.ready}
    if len(greetings) > 1:
      raise RuntimeError(f"workers differ: {sorted(greetings)}")
    self._greeting = greetings.pop()
    return self._greeting

  def hire_spares(self) -> None:
    """Starts one more worker for each seed; nobody waits for them."""
    self._vacant += range(len(self._seeds))
    self._fill()

  def pids(self) -> list[int]:
    """Process ids of the workers."""
    return [worker.pid for worker in self._workers]

  def close(self) -> None:
    """Ends all workers."""
    while self._workers:
      self._drop(self._workers[0], kill=True)
    self._selector.close()

  def collect(
    self, tasks: Sequence[Task], deadline: float, *, alone: bool = False
  ) -> list[Answer]:
    """Runs all tasks; every input of every task gets exactly one row.

    Args:
      tasks: what to run; a task may come back in several parts.
      deadline: monotonic seconds; what is missing then is "unknown".
      alone: send one task a request.

    Returns:
      parts of tasks with their rows, in no order.
    """
    batch = _Batch(tasks, len(self._seeds), 1 if alone else _CHUNK_TASKS)
    try:
      while batch.waiting:
        if time.monotonic() > deadline:
          return batch.give_up("deadline")
        if self._failed_starts > _FAILED_STARTS:
          self._failed_starts = 0
          return batch.give_up("no worker")
        self._fill()
        self._feed(batch)
        for worker in self._ready_to_talk(deadline - time.monotonic()):
          self._talk(worker, batch)
        self._replace_stalled(batch)
      return batch.answers
    finally:
      for worker in list(self._workers):
        if worker.tasks:
          self._replace(worker, kill=True)

  def _fill(self) -> None:
    """Starts the workers that are missing."""
    while self._vacant:
      side = self._vacant[-1]
      try:
        seed = self._seeds[side]
        worker = Worker(side, seed, self._limits, self._greeting)
      except OSError:  # the machine has no room for a process now
        self._failed_starts += 1
        time.sleep(_RETRY_SECONDS)
        return
      self._vacant.pop()
      self._workers.append(worker)
      self._selector.register(worker.stdout, selectors.EVENT_READ, worker)

  def _drop(self, worker: Worker, *, kill: bool) -> int:
    self._workers.remove(worker)
    self._selector.unregister(worker.stdout)
    if worker.stdin in self._selector.get_map():
      self._selector.unregister(worker.stdin)
    return worker.end(kill=kill)

  def _replace(self, worker: Worker, *, kill: bool) -> int:
    self.restarts += 1
    if worker.ready is None:
      self._failed_starts += 1
    self._vacant.append(worker.side)
    return self._drop(worker, kill=kill)

  def _feed(self, batch: "_Batch") -> None:
    """Gives idle workers of a side its next requests, spares left over."""
    busy = Counter(worker.side for worker in self._workers if worker.tasks)
    for worker in list(self._workers):
      if not worker.idle or not batch.queues[worker.side]:
        continue
      if busy[worker.side] == self._busy_most:
        continue
      if worker.served > _RECYCLE_INPUTS:
        self._replace(worker, kill=False)
        continue
      try:
        worker.ask(batch.queues[worker.side].popleft())
      except Gone:
        batch.recover(worker, self._replace(worker, kill=False))
        continue
      busy[worker.side] += 1
      if worker.wants_to_write:
        self._selector.register(worker.stdin, selectors.EVENT_WRITE, worker)

  def _ready_to_talk(self, seconds: float) -> list[Worker]:
    seconds = min(max(seconds, 0.0), 1.0)
    events = self._selector.select(seconds)
    return list({id(key.data): key.data for key, _ in events}.values())

  def _talk(self, worker: Worker, batch: "_Batch") -> None:
    if worker not in self._workers:
      return
    try:
      if worker.wants_to_write:
        worker.write()
        if not worker.wants_to_write:
          self._selector.unregister(worker.stdin)
      for task, rows in worker.read():
        batch.answer(task, rows)
      if worker.ready:
        self._failed_starts = 0
    except Tampered:
      self._replace(worker, kill=True)
      batch.recover(worker, _TAMPERED)
    except Gone:
      batch.recover(worker, self._replace(worker, kill=False))

  def _replace_stalled(self, batch: "_Batch") -> None:
    now = time.monotonic()
    for worker in list(self._workers):
      limit = self._limits.stall_ms if worker.ready else _START_MS
      if (worker.tasks or not worker.ready) and (
        now - worker.heard > limit / 1000
      ):
        self._replace(worker, kill=True)
        batch.recover(worker, _STALLED)


class _Batch:
  """What one call of `collect` still waits for."""

  def __init__(self, tasks: Sequence[Task], sides: int, most: int):
    self.answers: list[Answer] = []
    self.queues: list[deque[list[Task]]] = [deque() for _ in range(sides)]
    self.waiting = {_key(task): task for task in tasks}
    self._tries: Counter[tuple[int, int, int]] = Counter()
    self._kills: Counter[tuple[int, int]] = Counter()
    for side, queue in enumerate(self.queues):
      chunk: list[Task] = []
      inputs = 0
      for task in (task for task in tasks if task.side == side):
        if len(chunk) == most or inputs > _CHUNK_INPUTS:
          queue.append(chunk)
          chunk, inputs = [], 0
        chunk.append(task)
        inputs += len(task.inputs)
      if chunk:
        queue.append(chunk)

  def answer(self, task: Task, rows: list[Row]) -> None:
    del self.waiting[_key(task)]
    self.answers.append((task, rows))

  def settle(self, task: Task, status: str, error: str) -> None:
    """Gives every input of a task the same row."""
    self.answer(task, [(status, "", error, 0)] * len(task.inputs))

  def give_up(self, reason: str) -> list[Answer]:
    for task in list(self.waiting.values()):
      self.settle(task, UNKNOWN, reason)
    return self.answers

  def recover(self, worker: Worker, status: int | str) -> None:
    """Asks again for what a lost worker had not answered, or settles it."""
    tasks = worker.tasks
    if not tasks:
      return
    queue = self.queues[worker.side]
    if status == 0 and worker.answered:  # it retired; the rest is blameless
      queue.appendleft(tasks)
    elif not worker.alone:
      queue.extend([task] for task in tasks)  # the blameless go first
    else:
      self._suspect(tasks[0], status)

  def _suspect(self, task: Task, status: int | str) -> None:
    """A task that was alone with a worker that was lost."""
    self._tries[_key(task)] += 1
    tries = self._tries[_key(task)]
    own = status in _OWN
    if (own or status == _STALLED) and len(task.inputs) > 1:
      del self.waiting[_key(task)]
      parts = [
        task._replace(first=task.first + i, inputs=(text,))
        for i, text in enumerate(task.inputs)
      ]
      self.waiting.update({_key(part): part for part in parts})
      self.queues[task.side].extend([part] for part in parts)
    elif status == -signal.SIGPROF:
      self.settle(task, TIMEOUT, "cpu")
      self._give_up_job(task)
    elif status == -signal.SIGSYS:
      self.settle(task, FORBIDDEN, "system call")
    elif own and tries > 1:
      self.settle(task, ERROR, "Crash")
    elif status == _STALLED and tries > 1:
      self.settle(task, UNKNOWN, "stalled")
    elif tries >= _ATTEMPTS:
      self.settle(task, UNKNOWN, "killed")
    else:
      self.queues[task.side].append([task])

  def _give_up_job(self, killer: Task) -> None:
    """Runs no more of a program that keeps killing: each costs a worker."""
    mine = (killer.job, killer.side)
    self._kills[mine] += 1
    if self._kills[mine] < _KILLS:
      return
    queue = self.queues[killer.side]
    alike = [
      chunk for chunk in queue if {task.job for task in chunk} == {killer.job}
    ]
    for chunk in alike:
      queue.remove(chunk)
      for task in chunk:
        self.settle(task, UNKNOWN, "its program killed workers")


def _key(task: Task) -> tuple[int, int, int]:
  return task.job, task.first, task.side
