"""Runs programs that nobody has read, in a pool of locked interpreters.

`Executor.run` is a total function: it never raises for what a job holds, never
blocks past its deadline and never loses or swaps a row. Every program runs
twice, in processes with different hash seeds and in opposite order, so what
depends on set order, addresses or an earlier program does not pass as a value
(unless the caller asks for one seed, which every verdict then says).
"""

import functools
import hashlib
import json
import subprocess
import threading
import time
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bitzero_jax.verify import agree, lockdown, monty
from bitzero_jax.verify.dispatch import Dispatcher
from bitzero_jax.verify.pool import PYTHON, Row, Task
from bitzero_jax.verify.verdict import (
  FORBIDDEN,
  STATUSES,
  UNKNOWN,
  Engine,
  Job,
  Limits,
  Stats,
  Verdict,
)

DEFAULT_LIMITS = Limits()

_POOLS = {"cpython": Dispatcher, "monty": monty.MontyPool}
ENGINES = ("auto", *_POOLS)

_HERE = Path(__file__).parent
_SEEDS = (1, 2)
_TASK_INPUTS = 32
_INPUT_MS = 20
_MONTY_FILES = ("canonical.py", "monty.py")
_WORKER_FILES = tuple(
  """
  canonical.py fuel.py guards.py kinds.py lockdown.py meters.py methods.py
  modules.py namespace.py order.py policy.py rewrite.py runner.py texts.py
  worker.py
  """.split()
)
_PROOFS = (
  ("def f(x): return x + 1", ("ok",)),
  ("def f(x):\n  while True: pass", ("timeout",)),
  ("def f(x): return sum(range(10**13))", ("timeout",)),
  ("def f(x): return [0] * 10**11", ("memory",)),
  ("def f(x): return f(x)", ("error", "timeout")),  # whichever limit is first
  ("def f(x): return open('/etc/passwd')", ("forbidden",)),
)

_Checked = tuple[str, tuple[str, ...], dict[int, str]]


class Executor:
  """A pool of locked-down interpreters; safe to share between threads.

  Attributes:
    engine: what stands behind the verdicts.
    tier: one line about the lock-down.
  """

  def __init__(
    self,
    limits: Limits = DEFAULT_LIMITS,
    *,
    workers: int = 2,
    seeds: Sequence[int] = _SEEDS,
    engine: str = "auto",
    allow_unsandboxed: bool = False,
  ):
    """Starts the workers and proves that their walls hold.

    Args:
      limits: what a run may use.
      workers: processes that work, the same number for each hash seed. One
        more for each seed stands ready to replace a lost one.
      seeds: hash seeds: two, or one for programs that are known to be
        deterministic.
      engine: "cpython"; "monty", which is no CPython but holds without help of
        the kernel; or "auto": monty where CPython cannot be locked down.
      allow_unsandboxed: start CPython even where no seccomp filter can be had.

    Raises:
      ValueError: there are not one or two different seeds, `workers` is no
        positive multiple of their number, a limit is below 1, or there is no
        such engine.
      RuntimeError: no engine that holds can be had here, or a wall fails.
    """
    seeds = tuple(seeds)
    if not 0 < len(seeds) == len(set(seeds)) <= 2:
      raise ValueError(f"seeds={seeds}: must be one or two that differ")
    if workers < 1 or workers % len(seeds):
      raise ValueError(
        f"workers={workers}: must be a positive multiple of {len(seeds)}, the "
        "number of hash seeds"
      )
    if engine not in ENGINES:
      allowed = ", ".join(ENGINES)
      raise ValueError(f"engine={engine!r}: must be one of {allowed}")
    for name, value in limits._asdict().items():
      if value < 1:
        raise ValueError(f"limits.{name}={value}: must be at least 1")
    self._limits = limits
    self._seeds = seeds
    self._lock = threading.Lock()
    self._forget()
    if engine == "auto":
      locks = allow_unsandboxed or lockdown.can_lock()
      engine = "cpython" if locks or not monty.installed() else "monty"
    self._pool = _POOLS[engine](limits, seeds, workers)
    self._finalizer = weakref.finalize(self, self._pool.close)
    try:
      self.engine = self._greet(allow_unsandboxed)
      self._prove()
    except BaseException:
      self.close()
      raise
    self._pool.hire_spares()
    self._forget()  # the proofs are no part of the statistics

  @property
  def tier(self) -> str:
    return self.engine.tier

  @property
  def stats(self) -> Stats:
    """What happened since the start."""
    total = max(sum(self._counts.values()), 1)
    return Stats(
      counts={status: self._counts[status] for status in STATUSES},
      unknown_rate=self._counts[UNKNOWN] / total,
      flip_rate=self._flips / total,
      seconds=self._seconds,
      cpu_seconds=self._cpu_us / 1e6,
      restarts=self._pool.restarts,
    )

  def run(self, jobs: Sequence[Job]) -> list[list[Verdict]]:
    """Runs every job on every input.

    Args:
      jobs: programs with their inputs; whatever they hold, nothing is raised.

    Returns:
      for each job, in order, one verdict for each input, in order.
    """
    with self._lock:
      begin = time.monotonic()
      checked = [self._check(job) for job in jobs]
      verdicts = self._run(checked, begin)
      self._seconds += time.monotonic() - begin
      return verdicts

  def close(self) -> None:
    """Ends the workers; the executor cannot run after this."""
    self._finalizer()

  def __enter__(self) -> "Executor":
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def worker_pids(self) -> list[int]:
    """Process ids of the workers, for monitors."""
    return self._pool.pids()

  def _forget(self) -> None:
    self._counts: Counter[str] = Counter()
    self._flips = 0
    self._seconds = 0.0
    self._cpu_us = 0

  def _greet(self, allow_unsandboxed: bool) -> Engine:
    name, tier = self._pool.greet()
    if not self._pool.needs_lock:
      policy = _policy_hash(_MONTY_FILES)
      return Engine(name, policy, self._limits, self._seeds, tier)
    if lockdown.is_sandboxed(tier):
      failed = _breaches(self._limits.memory_mb)
      if failed:
        raise RuntimeError(f"seccomp is in force but allows: {failed}")
    elif not allow_unsandboxed:
      raise RuntimeError(
        f"no seccomp here, only {tier or 'nothing'}: programs are not run; "
        "pip install 'bitzero-jax[monty]', or Executor(allow_unsandboxed=True)"
      )
    else:
      tier = f"UNSANDBOXED+{tier}".rstrip("+")
    policy = _policy_hash(_WORKER_FILES)
    return Engine(name, policy, self._limits, self._seeds, tier)

  def _prove(self) -> None:
    """Runs programs whose verdicts are known."""
    jobs = [Job(program, ("[1]",)) for program, _ in _PROOFS]
    verdicts = self.run(jobs)
    for (program, due), (verdict,) in zip(_PROOFS, verdicts, strict=True):
      if verdict.status not in due:
        raise RuntimeError(
          f"self-test: {program!r} gives {verdict.status} {verdict.error!r}, "
          f"not {' or '.join(due)}"
        )

  def _check(self, job: Job) -> _Checked:
    """Program, inputs, and the rule that some inputs break before any run."""
    try:
      program, inputs = job
      inputs = tuple(inputs)
    except Exception:  # whatever stands in for a job may do anything
      return "", (), {}
    fault = _fault("program", program, self._limits.source_bytes)
    refused = {}
    for i, text in enumerate(inputs):
      rule = fault or _fault("input", text, self._limits.input_bytes)
      if rule:
        refused[i] = rule
    if refused:
      inputs = tuple("" if i in refused else t for i, t in enumerate(inputs))
    return "" if fault else program, inputs, refused

  def _run(self, checked: list[_Checked], begin: float) -> list[list[Verdict]]:
    total = sum(len(inputs) for _, inputs, _ in checked)
    deadline = begin + (self._limits.batch_ms + _INPUT_MS * total) / 1000
    tasks = [
      Task(j, first, program, inputs[first : first + _TASK_INPUTS], 0)
      for j, (program, inputs, refused) in enumerate(checked)
      if len(refused) < len(inputs)
      for first in range(0, len(inputs), _TASK_INPUTS)
    ]
    if len(self._seeds) == 2:
      tasks += [task._replace(side=1) for task in reversed(tasks)]
    runs: list[list[list[Row]]] = [
      [[_NO_ROW] * len(inputs) for _, inputs, _ in checked] for _ in self._seeds
    ]
    for task, rows in self._pool.collect(tasks, deadline):
      runs[task.side][task.job][task.first : task.first + len(rows)] = rows
    third = self._third(checked, runs, deadline) if len(runs) == 2 else {}
    verdicts = []
    for j, (_, _, refused) in enumerate(checked):
      both = zip(*(side[j] for side in runs), strict=True)
      verdicts.append(
        [
          self._verdict(rows + third.get((j, i), ()), refused.get(i))
          for i, rows in enumerate(both)
        ]
      )
    self._flips += len(third)
    for row in verdicts:
      self._counts.update([verdict.status for verdict in row])
      self._cpu_us += sum([verdict.cpu_us for verdict in row])
    return verdicts

  def _third(
    self,
    checked: list[_Checked],
    runs: list[list[list[Row]]],
    deadline: float,
  ) -> dict[tuple[int, int], tuple[Row]]:
    """Runs again, alone, what two runs left open."""
    tasks = []
    for j, (program, inputs, _) in enumerate(checked):
      if runs[0][j] == runs[1][j]:
        continue
      for i, (a, b) in enumerate(zip(runs[0][j], runs[1][j], strict=True)):
        if not agree.settled(a, b):
          side = agree.doubtful(a, b)
          tasks.append(Task(j, i, program, (inputs[i],), side))
    answers = self._pool.collect(tasks, deadline, alone=True)
    return {(task.job, task.first): (rows[0],) for task, rows in answers}

  def _verdict(self, rows: tuple[Row, ...], refused: str | None) -> Verdict:
    if refused:
      return Verdict(FORBIDDEN, "", refused, 0, 0, self.engine)
    if len(rows) == 2 and agree.same(*rows) and rows[0][0] != UNKNOWN:
      # Nearly every row of a round of training: no lists are built for it.
      status, value, error, cpu_us = rows[0]
      cpu_us += rows[1][3]
      return Verdict(status, value, error, cpu_us, 2, self.engine)
    cpu_us = sum([row[3] for row in rows])
    runs = sum([row[0] != UNKNOWN for row in rows])
    return Verdict(*agree.decide(*rows), cpu_us, runs, self.engine)


_NO_ROW: Row = (UNKNOWN, "", "not run", 0)


def _fault(what: str, text: object, limit: int) -> str:
  """The rule that a text breaks before anybody reads it, or ""."""
  if not isinstance(text, str):
    return f"{what} is no text"
  if len(str.encode(text, "utf-8", "surrogatepass")) > limit:
    return f"{what} of more than {limit} bytes"
  return ""


@functools.cache
def _breaches(memory_mb: int) -> list[str]:
  """What a locked process could still do; nothing, if all is well."""
  command = [*PYTHON, str(_HERE / "breach.py"), str(memory_mb)]
  done = subprocess.run(
    command, env={}, cwd="/", capture_output=True, timeout=30, check=False
  )
  try:
    return json.loads(done.stdout)
  except ValueError:
    return [f"self-test ended with {done.returncode}"]


@functools.cache
def _policy_hash(files: tuple[str, ...]) -> str:
  """Names the code that decides verdicts."""
  digest = hashlib.sha256()
  for name in files:
    digest.update((_HERE / name).read_bytes())
  return digest.hexdigest()[:12]
