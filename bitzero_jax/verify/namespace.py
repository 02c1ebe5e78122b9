"""The names that a program finds: built-ins, modules and added meters."""

import builtins
import functools
import itertools
import sys

import guards  # type: ignore[import-not-found]
import meters  # type: ignore[import-not-found]
import policy  # type: ignore[import-not-found]
import texts  # type: ignore[import-not-found]
from fuel import fuel  # type: ignore[import-not-found]
from kinds import KINDS, Typing  # type: ignore[import-not-found]
from meters import eager, lazy  # type: ignore[import-not-found]
from methods import method, sorted_  # type: ignore[import-not-found]
from modules import module  # type: ignore[import-not-found]
from order import ordered  # type: ignore[import-not-found]

_PLAIN_TYPES = (int, float, bool, range, type(None))
# Which positional arguments are walked along, an item at a time.
_LAZY = {
  "all": slice(1),
  "any": slice(1),
  "enumerate": slice(1),
  "filter": slice(1, None),
  "map": slice(1, None),
  "zip": slice(None),
}


def namespace() -> dict[str, object]:
  """Built-ins of a program, with the names that `rewrite.py` adds."""
  real = vars(builtins)
  table = {name: real[name] for name in policy.BUILTINS}
  table.update({n: meters.walks(real[n], which) for n, which in _LAZY.items()})
  table.update({kind.__name__: KINDS[kind] for kind in KINDS})
  table.update({f"@{name}": module(name) for name in policy.MODULES})
  table.update(
    {
      "__import__": _import,
      "__name__": "program",
      "ascii": lambda value: texts.text(ascii(value)),
      "format": texts.formatted,
      "iter": _iter,
      "max": _extreme(max),
      "min": _extreme(min),
      "pow": guards.power,
      "print": lambda *args, **kwargs: None,
      "repr": texts.shown,
      "sorted": sorted_,
      "sum": _sum,
      "type": _type,
      "@slice": slice,
      "@typing": Typing(),
      "@caught": fuel.caught,
      "@Exception": Exception,
      "@MemoryError": MemoryError,
      "@RecursionError": RecursionError,
      "@method": method,
      "@args": texts.args,
      "@each": meters.each,
      "@eager": eager,
      "@spread": meters.spread,
      "@spread_each": meters.spread_each,
      "@delegate": guards.delegate,
      "@contains": guards.contains,
      "@field": texts.field,
      "@add": guards.add,
      "@mul": guards.mul,
      "@pow": guards.power,
      "@shift": guards.shift,
      "@mod": guards.mod,
      "@iadd": guards.iadd,
      "@imul": guards.imul,
      "@ipow": guards.power,
      "@ishift": guards.shift,
      "@imod": guards.mod,
      "@cut": guards.cut,
      "@union": guards.union,
      "@common": guards.common,
      "@either": guards.either,
      "@without": guards.without,
      "@iunion": guards.iunion,
      "@icommon": guards.icommon,
      "@ieither": guards.ieither,
      "@iwithout": guards.iwithout,
    }
  )
  return table


def _extreme(function):
  """`max` and `min`: of one iterable, or of their arguments."""

  def call(*args, **kwargs):
    if len(args) == 1:
      args = (lazy(args[0]) if "key" in kwargs else eager(args[0]),)
    return function(*args, **kwargs)

  return call


def _sum(items, /, start=0):
  """`sum`; of lists it copies everything at each step, so that is paid for."""
  if type(start) in (list, tuple):
    return functools.reduce(guards.add, lazy(items), start)
  return sum(eager(ordered(items)), start)


def _import(name: str, *_):
  """C code may ask for `_pylong`; programs cannot name this function."""
  if name == "_pylong" and name in sys.modules:
    return sys.modules[name]
  raise ImportError(name)


def _iter(*args):
  if len(args) == 2:  # calls until a value comes: no end in sight
    return itertools.compress(iter(*args), fuel.source)
  return iter(*map(ordered, args))


def _type(value):
  """The type of a plain value; other types lead out of the language."""
  kind = type(value)
  if kind in KINDS:
    return KINDS[kind]
  if kind not in _PLAIN_TYPES:
    fuel.stop("forbidden", "type")
  return kind
