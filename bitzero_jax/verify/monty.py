"""A second engine: pydantic-monty, an interpreter that is a wall by itself.

For places that cannot lock a CPython worker down, such as macOS. Monty is a
Python subset written in Rust that can reach nothing but its own memory, in a
process of its own; a program that it cannot run is "forbidden". Its answers can
differ from CPython's (sets keep insertion order), so a verdict names its engine
and answers of two engines are never compared. It has no hash seed; the two
runs differ in their clock and their random numbers. Its time limit is a clock,
not counted steps.
"""

import contextlib
import datetime
import importlib.metadata
import importlib.util
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bitzero_jax.verify import canonical
from bitzero_jax.verify.dispatch import Answer
from bitzero_jax.verify.pool import Row, Task
from bitzero_jax.verify.verdict import (
  ERROR,
  FORBIDDEN,
  MEMORY,
  OK,
  TIMEOUT,
  UNKNOWN,
  Limits,
)

_RECURSION = 1000
_ARGUMENTS = "arguments_of_f"
_CALL = f"f(*{_ARGUMENTS})"
_EPOCH = datetime.datetime(2000, 1, 1)
# What monty says of a program that leaves its language or asks for the world.
_REFUSALS = ("ModuleNotFoundError", "PermissionError")
_NOT_YET = "monty syntax parser"  # in its NotImplementedError
_LIMITS = {
  "TimeoutError": (TIMEOUT, "", "cpu"),
  "MemoryError": (MEMORY, "", "MemoryError"),
}
_NO_LIST = (FORBIDDEN, "", "input is no list of arguments")


def installed() -> bool:
  """Whether the engine can be had."""
  return importlib.util.find_spec("pydantic_monty") is not None


class MontyPool:
  """What `Dispatcher` is for locked interpreters, for monty's processes.

  Attributes:
    needs_lock: False: the interpreter itself is the wall.
    restarts: always 0: monty replaces its own processes.
  """

  needs_lock = False

  def __init__(self, limits: Limits, seeds: Sequence[int], workers: int):
    import pydantic_monty

    self.restarts = 0
    self._monty = pydantic_monty
    self._limits = limits
    self._resources: Any = {
      "max_feed_duration_secs": limits.cpu_ms / 1000,
      "max_memory": limits.memory_mb << 20,
      "max_recursion_depth": _RECURSION,
    }
    self._policies: list[Any] = [
      {
        "datetime": _EPOCH + datetime.timedelta(days=seed % 10_000),
        "sleep": "zero",
        "random_start": {"seed": seed},
      }
      for seed in seeds
    ]
    self._open = contextlib.ExitStack()
    self._threads = self._open.enter_context(ThreadPoolExecutor(workers))
    self._pool = self._open.enter_context(
      pydantic_monty.Monty(min_processes=workers, max_processes=workers)
    )

  def greet(self) -> tuple[str, str]:
    """The engine and the tier."""
    return f"monty-{importlib.metadata.version('pydantic-monty')}", "monty"

  def hire_spares(self) -> None:
    """Nothing to do: monty keeps its processes."""

  def pids(self) -> list[int]:
    """Process ids of the workers: monty does not tell."""
    return []

  def close(self) -> None:
    """Ends monty's processes."""
    self._open.close()

  def collect(
    self, tasks: Sequence[Task], deadline: float, *, alone: bool = False
  ) -> list[Answer]:
    """Runs all tasks, each input in a fresh session; as `Dispatcher`."""
    del alone  # every run is
    run = self._threads.map(lambda task: self._rows(task, deadline), tasks)
    return list(zip(tasks, run, strict=True))

  def _rows(self, task: Task, deadline: float) -> list[Row]:
    return [self._row(task, text, deadline) for text in task.inputs]

  def _row(self, task: Task, text: str, deadline: float) -> Row:
    if time.monotonic() > deadline:
      return UNKNOWN, "", "deadline", 0
    begin = time.perf_counter()
    answer = self._answer(task, text)
    return (*answer, round((time.perf_counter() - begin) * 1e6))

  def _answer(self, task: Task, text: str) -> tuple[str, str, str]:
    monty = self._monty
    try:
      with self._session(task.side) as session:
        arguments = session.feed_run(text)
        if type(arguments) is not list:
          return _NO_LIST
      with self._session(task.side) as session:
        session.feed_run(task.program)
        value = session.feed_run(_CALL, inputs={_ARGUMENTS: arguments})
    except monty.MontyCrashedError as error:
      if error.timed_out:
        return TIMEOUT, "", "cpu"
      return ERROR, "", "Crash"
    except monty.MontyError as error:
      raised = error.exception()
      name = type(raised).__name__
      if name in _REFUSALS or _NOT_YET in str(raised):
        return FORBIDDEN, "", name
      return _LIMITS.get(name, (ERROR, "", name))
    except Exception as error:  # a value that cannot leave monty
      return ERROR, "", type(error).__name__
    return self._canonical(value)

  def _session(self, side: int) -> Any:
    return self._pool.checkout(
      limits=self._resources, os_policy=self._policies[side]
    )

  def _canonical(self, value: object) -> tuple[str, str, str]:
    limits = self._limits
    bounds = limits.value_nodes, limits.value_depth, limits.value_bytes
    try:
      text = canonical.canonical(value, *bounds)
    except (canonical.NotAValue, canonical.ValueTooLarge) as error:
      return ERROR, "", type(error).__name__
    if " at 0x" in text:  # monty writes functions so when they leave it
      return ERROR, "", "NotAValue"
    return OK, text, ""
