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
from typing import Any

import canonical  # type: ignore[import-not-found]
import namespace  # type: ignore[import-not-found]
import order  # type: ignore[import-not-found]
import policy  # type: ignore[import-not-found]
import rewrite  # type: ignore[import-not-found]
from fuel import fuel  # type: ignore[import-not-found]

_CACHED_CHARACTERS = 1 << 20
_PRELOADED = """
  _pylong encodings.ascii encodings.latin_1 unicodedata warnings
""".split()
_INT_DIGITS = 4300
_RULE_CHARACTERS = 80
_PLAIN_INTS = re.compile(r"[\[\]0-9, -]*")

Answer = tuple[str, str, str]  # status, value, error

# process_time would only move with the clock tick while a timer is armed
now = time.thread_time_ns


def prepare() -> None:
  """Loads what C code would load later, when no file can be opened."""
  for name in _PRELOADED:
    try:
      __import__(name)
    except ImportError:
      continue  # `_pylong` is there from 3.12 on
  sys.set_int_max_str_digits(_INT_DIGITS)
  sys.unraisablehook = _unraisable
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for the host
  ast.parse("0")
  gc.collect()
  gc.freeze()
  gc.disable()  # each run's garbage is collected at its end, not in another's


def _unraisable(what) -> None:
  """What a generator raises when it is thrown away counts as caught."""
  if what.exc_type in (MemoryError, RecursionError):
    fuel.caught[what.exc_type] = True


class Runner:
  """Runs jobs; compiled programs and inputs are remembered by their text."""

  def __init__(self, limits: dict[str, int]):
    self._steps = limits["steps"]
    self._seconds = limits["cpu_ms"] / 1000
    self._bounds = (
      limits["value_nodes"],
      limits["value_depth"],
      limits["value_bytes"],
    )
    self._builtins = namespace.namespace()
    order.order.reverse = limits["reverse_sets"] > 0
    self._program = _Cache(compile_program)
    self._input = _Cache(compile_input)
    self._armed = False
    signal.signal(signal.SIGVTALRM, self._late)

  @property
  def worn(self) -> bool:
    """Whether the process ran out of memory and should be replaced."""
    return fuel.worn

  def job(
    self, program: str, inputs: list[str]
  ) -> list[tuple[str, str, str, int]]:
    """For each input: status, value, error, CPU microseconds."""
    begin = now()
    self._set_hard_limit(self._seconds)
    code = self._program(program)
    rows = []
    for text in inputs:
      answer = code if isinstance(code, tuple) else self._answer(code, text)
      end = now()
      rows.append((*answer, (end - begin) // 1000))
      begin = end
    self._set_hard_limit(0)
    return rows

  def _answer(self, code, text: str) -> Answer:
    """Runs once; whatever happens, one answer comes back."""
    fuel.refill(self._steps + 1)  # the call of f itself is free
    names = {
      "__builtins__": self._builtins,
      "@tick": fuel.source.__next__,
    }
    self._set_hard_limit(self._seconds)
    try:
      answer = self._run(code, text, names)
    except BaseException as error:
      fuel.caught[type(error)] = True
      answer = ("error", "", type(error).__name__)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    names.clear()  # a function and its globals would live as a cycle
    gc.collect(0)
    re.purge()  # its cache would tell what ran before
    mark = fuel.mark
    return (mark[0], "", mark[1]) if mark else answer

  def _run(self, code, text: str, names: dict) -> Answer:
    self._armed = True
    try:
      signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
      arguments = self._arguments(text)
      if isinstance(arguments, tuple):
        return arguments
      exec(code, names)
      function = names.get("f")
      if not callable(function):
        return "error", "", "NameError"
      value = function(*arguments)
      return "ok", canonical.canonical(value, *self._bounds), ""
    finally:
      self._armed = False

  def _arguments(self, text: str):
    """A fresh list of arguments, or the answer that refuses the text."""
    if _PLAIN_INTS.fullmatch(text):
      try:
        arguments = json.loads(text)
        if type(arguments) is list:
          return arguments
      except (ValueError, RecursionError):
        pass  # Python's parser has the last word
    code = self._input(text)
    if isinstance(code, tuple):
      return code
    return eval(code, {"__builtins__": {}, "set": set})

  def _set_hard_limit(self, seconds: float) -> None:
    """CPU time after which this process is killed, twice the soft limit."""
    signal.setitimer(signal.ITIMER_PROF, 2 * seconds)

  def _late(self, signum, frame) -> None:
    """The soft limit: user time of one run."""
    del signum, frame
    if self._armed:
      fuel.stop("timeout", "cpu")


class _Cache:
  """Makes a thing from a text once, while the texts fit."""

  def __init__(self, make: Callable[[str], object]):
    self._make = make
    self._made: OrderedDict[str, object] = OrderedDict()
    self._characters = 0

  def __call__(self, text: str) -> Any:
    found = self._made.get(text)
    if found is not None:
      return found
    made = self._made[text] = self._make(text)
    self._characters += len(text)
    while self._characters > _CACHED_CHARACTERS:
      oldest, _ = self._made.popitem(last=False)
      self._characters -= len(oldest)
    return made


def compile_program(source: str):
  """Code of a program, or the answer that each of its inputs gets."""

  def build():
    tree = _parse(source)
    policy.check_program(tree)
    return compile(rewrite.add_meters(tree), "<program>", "exec")

  return _compiled(build)


def compile_input(text: str):
  """Code that builds the arguments afresh, or the answer that refuses."""

  def build():
    tree = _parse(text, "eval")
    policy.check_input(tree)
    return compile(tree, "<input>", "eval")

  return _compiled(build)


def _parse(text: str, mode: str = "exec") -> Any:
  try:
    return ast.parse(text, mode=mode)
  except MemoryError:  # so says the parser of what is nested too deeply
    raise policy.Forbidden("nesting") from None


def _compiled(build: Callable[[], object]):
  try:
    return build()
  except policy.Forbidden as error:
    return "forbidden", "", str(error)[:_RULE_CHARACTERS]
  except SyntaxError:
    return "error", "", "SyntaxError"
  except RecursionError:
    return "forbidden", "", "nesting"
  except MemoryError:
    fuel.worn = True
    return "memory", "", "MemoryError"
  except Exception as error:  # such as ValueError for a NUL byte
    return "forbidden", "", f"syntax {type(error).__name__}"
