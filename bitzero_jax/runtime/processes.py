"""Several processes that run one program, on one host or on many.

Compiled code crosses processes by itself. What the hosts must agree on beside
it, a signal, a failure, a folder's state, goes through here. Of one process all
of this is nothing.
"""

import contextlib
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

T = TypeVar("T")
_PATIENCE_MS = 3_600_000  # for the slowest process to compile
_FAREWELL_MS = 30_000  # for the others to say why they stop
_LAST_S = 1.0  # for the others to be gone before process 0
_WORD = 512  # bytes of what a process says
# Whoever asks the other processes asks for the transfers as well.
_ASKED = jax.transfer_guard("allow")


def start(address: str | None, count: int | None, number: int | None) -> None:
  """Joins the other processes, before anything else asks JAX for devices.

  Args:
    address: HOST:PORT of process 0; None where the cluster tells: TPU VMs, GKE,
      Slurm, Open MPI.
    count: processes in all; None likewise.
    number: of this one, from 0; None likewise.

  Raises:
    ValueError: nothing tells what is missing.
    RuntimeError: the others cannot be reached.
  """
  jax.distributed.initialize(address, count, number)
  if jax.default_backend() == "cpu":
    # Process 0 alone would find its programs there, and one that was read back
    # was seen to wait for ever for those that the others had just compiled.
    jax.config.update("jax_enable_compilation_cache", False)


def leave(status: int) -> NoReturn:
  """Ends this process at once, after a failure.

  The usual way out waits for the others, who may wait for this one.
  """
  sys.stderr.flush()
  os._exit(status)


def part() -> bool:
  """Waits a moment for the others to stop as well; whether all do.

  JAX aborts who outlives process 0, so none leaves before all have said why.
  """
  try:
    wait = multihost.get_barrier_sync_fn()
    wait(key="bitzero/part", timeout_ms=_FAREWELL_MS)
  except Exception:  # of every class, by what became of the others
    return False
  if first():
    time.sleep(_LAST_S)  # else JAX may speak, or abort, in who is still leaving
  return True


@contextlib.contextmanager
def unbroken(last_good: Callable[[], str]) -> Iterator[None]:
  """Ends this process, with a line, where another one is gone.

  At once: whatever else is to be closed may wait for it.

  Args:
    last_good: says which checkpoint stands.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if count() == 1:
      raise
    said = str(error).strip().splitlines()[0][:_WORD]
    # First of all: where process 0 is gone, JAX ends this one in a moment.
    sys.stderr.write(
      f"bitzero: process {jax.process_index()} could not go on with the others "
      f"({said}); {last_good()}\n"
    )
    sys.stderr.flush()
    if part():  # then it is an error like any other
      raise
    leave(1)


def count() -> int:
  """Processes in all."""
  return jax.process_count()


def first() -> bool:
  """Whether this is process 0, which alone writes what people read."""
  return jax.process_index() == 0


def meet(where: str) -> None:
  """Waits until all processes are here, however long their work before was.

  Collectives of a device wait for each other too, but not for long: on CPUs 30
  seconds when devices first meet.
  """
  if count() > 1:
    wait = multihost.get_barrier_sync_fn()
    wait(key=f"bitzero/{where}", timeout_ms=_PATIENCE_MS)


@_ASKED
def agree(*words: str) -> list[str]:
  """What any process says, heard by all; every process must ask.

  Args:
    words: this process's; "" where it has nothing to say.

  Returns:
    Of each, what the first process said that said anything, with its number in
    front where there are several.
  """
  if count() == 1:
    return list(words)
  said = np.zeros((len(words), _WORD), np.uint8)
  for row, word in zip(said, words, strict=True):
    text = word.encode()[:_WORD]
    row[: len(text)] = np.frombuffer(text, np.uint8)
  heard = multihost_utils.process_allgather(said)  # [P, words, _WORD]
  result = []
  for rows in np.moveaxis(heard, 1, 0):
    texts = [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in rows]
    spoken = [f"process {i}: {text}" for i, text in enumerate(texts) if text]
    result.append(spoken[0] if spoken else "")
  return result


def together(act: Callable[[], T]) -> T:
  """Does it in every process; where it fails in one, it fails in all.

  Raises:
    RuntimeError: it failed in another process; the message says in which.
  """
  if count() == 1:
    return act()
  done, error = None, None
  try:
    done = act()
  except Exception as caught:
    error = caught
  meet("together")
  (word,) = agree("" if error is None else str(error) or repr(error))
  if error is not None:
    raise error
  if word:
    raise RuntimeError(word)
  return done  # type: ignore[return-value]


def from_first(act: Callable[[], T]) -> T:
  """What it gives in process 0, in every process; others do not call it.

  Raises:
    RuntimeError: it failed there.
  """
  if count() == 1:
    return act()
  mine = together(act if first() else lambda: None)
  data = np.frombuffer(pickle.dumps(mine), np.uint8)
  size = int(_broadcast(np.int32(data.size)))
  sent = data if first() else np.zeros(size, np.uint8)
  return pickle.loads(bytes(_broadcast(sent)))


@_ASKED
def _broadcast(value: np.ndarray | np.int32) -> np.ndarray:
  """What process 0 has."""
  return multihost_utils.broadcast_one_to_all(value)


@_ASKED
def whole(record: Any) -> Any:
  """Arrays of all processes as numpy in each; every process must ask."""
  leaves = jax.tree.leaves(record)
  if all(leaf.is_fully_addressable for leaf in leaves):
    return jax.device_get(record)
  return multihost_utils.process_allgather(record, tiled=True)
