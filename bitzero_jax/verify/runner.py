"""Runs one program on its inputs, inside a worker."""

import ast
import gc
import json
import re
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable

import canonical  # type: ignore[import-not-found]
import guards  # type: ignore[import-not-found]
import policy  # type: ignore[import-not-found]
import rewrite  # type: ignore[import-not-found]
from fuel import FATAL, fuel  # type: ignore[import-not-found]

_CACHED_CHARACTERS = 1 << 20
_PRELOADED = "_pylong", "encodings.ascii", "encodings.latin_1", "warnings"
_PLAIN_INTS = re.compile(r"[\[\]0-9, -]*")
_TOO_DEEP = (RecursionError, MemoryError)

Row = tuple[str, str, str, int]

# process_time would only move with the clock tick while a timer is armed
now = time.thread_time_ns


def prepare() -> None:
  """Imports what C code would import later, when no file can be opened."""
  for name in _PRELOADED:
    try:
      __import__(name)
    except ImportError:
      continue  # `_pylong` is there from 3.12 on
  sys.set_int_max_str_digits(4300)
  sys.unraisablehook = lambda _: None
  ast.parse("0")
  gc.collect()
  gc.freeze()


class Runner:
  """Runs jobs; compiled programs and inputs are remembered by their text.

  Attributes:
    worn: the process ran out of memory and should be replaced.
  """

  def __init__(self, limits: dict[str, int]):
    self._steps = limits["steps"]
    self._cpu = limits["cpu_ms"] / 1000
    self._bounds = (
      limits["value_nodes"],
      limits["value_depth"],
      limits["value_bytes"],
    )
    self._builtins = guards.namespace()
    self._program = _Cache(compile_program)
    self._input = _Cache(compile_input)
    self._armed = False
    signal.signal(signal.SIGVTALRM, self._late)

  @property
  def worn(self) -> bool:
    return fuel.worn

  def job(self, program: str, inputs: list[str]) -> list[Row]:
    """One row for each input: status, value, error, CPU microseconds."""
    begin = now()
    signal.setitimer(signal.ITIMER_PROF, 2 * self._cpu)
    code = self._program(program)
    rows = []
    for text in inputs:
      status, value, error = self._guarded(code, text)
      end = now()
      rows.append((status, value, error, (end - begin) // 1000))
      begin = end
    return rows

  def _guarded(self, code, text: str) -> tuple[str, str, str]:
    """Runs once; whatever happens, one answer comes back."""
    if isinstance(code, tuple):
      return code
    fuel.refill(self._steps + 1)  # the call of f itself is free
    namespace = {
      "__builtins__": self._builtins,
      "@fuel": fuel.source,
      "@tick": fuel.source.__next__,
    }
    try:
      self._arm()
      result = self._run(code, text, namespace)
    except FATAL:
      fuel.note()
      result = ("error", "", "Stop")
    except BaseException as error:
      result = ("error", "", type(error).__name__)
    finally:
      self._disarm()
    namespace.clear()
    if fuel.mark:
      return fuel.mark[0], "", fuel.mark[1]
    return result

  def _run(self, code, text: str, namespace: dict) -> tuple[str, str, str]:
    args = self._arguments(text)
    if isinstance(args, tuple):
      return args
    exec(code, namespace)
    function = namespace.get("f")
    if not callable(function):
      return "error", "", "NameError"
    try:
      return "ok", canonical.canonical(function(*args), *self._bounds), ""
    finally:
      self._armed = False

  def _arguments(self, text: str):
    """A fresh list of arguments, or the answer that refuses the text."""
    if _PLAIN_INTS.fullmatch(text):
      try:
        args = json.loads(text)
        if type(args) is list:
          return args
      except (ValueError, RecursionError):
        pass  # Python's parser has the last word
    code = self._input(text)
    return code if isinstance(code, tuple) else eval(code, {"__builtins__": {}, "set": set})

  def _arm(self) -> None:
    """Soft limit in user time, hard limit in CPU time: that one kills."""
    self._armed = True
    signal.setitimer(signal.ITIMER_VIRTUAL, self._cpu)
    signal.setitimer(signal.ITIMER_PROF, 2 * self._cpu)

  def _disarm(self) -> None:
    self._armed = False
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.setitimer(signal.ITIMER_PROF, 0)

  def _late(self, signum, frame) -> None:
    del signum, frame
    if self._armed:
      fuel.stop("timeout", "cpu")


class _Cache:
  """Makes a thing from a text once, while the texts fit."""

  def __init__(self, make: Callable[[str], object]):
    self._make = make
    self._made: OrderedDict[str, object] = OrderedDict()
    self._characters = 0

  def __call__(self, text: str):
    found = self._made.get(text)
    if found is not None:
      return found
    made = self._make(text)
    self._made[text] = made
    self._characters += len(text)
    while self._characters > _CACHED_CHARACTERS:
      oldest, _ = self._made.popitem(last=False)
      self._characters -= len(oldest)
    return made


def compile_program(source: str):
  """Code of a program, or the answer that every input of it gets."""
  try:
    tree = ast.parse(source)
    bound = policy.check_program(tree)
    return compile(rewrite.add_meters(tree, bound), "<program>", "exec")
  except policy.Forbidden as error:
    return "forbidden", "", str(error)
  except SyntaxError:
    return "error", "", "SyntaxError"
  except _TOO_DEEP:
    return "forbidden", "", "nesting"
  except Exception as error:  # such as ValueError for a NUL byte
    return "forbidden", "", f"syntax {type(error).__name__}"


def compile_input(text: str):
  """Code that builds the arguments afresh, or the answer that refuses."""
  try:
    tree = ast.parse(text, mode="eval")
    policy.check_input(tree)
    return compile(tree, "<input>", "eval")
  except policy.Forbidden as error:
    return "forbidden", "", str(error)
  except SyntaxError:
    return "error", "", "SyntaxError"
  except _TOO_DEEP:
    return "forbidden", "", "nesting"
  except Exception as error:
    return "forbidden", "", f"input {type(error).__name__}"
