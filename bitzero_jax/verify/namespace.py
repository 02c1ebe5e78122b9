"""The names that a program finds: built-ins, modules and added meters."""

import builtins
import copy
import functools
import importlib
import itertools
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque

import guards  # type: ignore[import-not-found]
import policy  # type: ignore[import-not-found]
from fuel import fuel  # type: ignore[import-not-found]
from methods import consumer, method, paid, sorted_  # type: ignore[import-not-found]

_PLAIN_TYPES = frozenset(
  (
    *(int, float, bool, str, bytes, list, tuple, dict, set, frozenset, range),
    *(type(None), Counter, OrderedDict, defaultdict, deque),
  )
)
_CONSUMERS = "all any enumerate filter map max min sum zip".split()
_TYPES = "bytes dict frozenset list set tuple".split()
_ENDLESS = """
  combinations combinations_with_replacement count cycle permutations product
  repeat
""".split()


class Module:
  """A module as a program sees it: some names, and none can be set."""

  def __init__(self, name: str, exports: dict[str, object]):
    self.__dict__.update(exports)
    self._name = name

  def __repr__(self):
    return f"<module {self._name!r}>"


def namespace() -> dict[str, object]:
  """Built-ins of a program, with the names that `rewrite.py` adds."""
  real = vars(builtins)
  table = {name: real[name] for name in policy.BUILTINS}
  table.update({name: consumer(real[name]) for name in _CONSUMERS})
  table.update({f"@{name}": consumer(real[name]) for name in _TYPES})
  table.update({f"@{name}": _module(name) for name in policy.MODULES})
  table.update(
    {
      "__import__": _import,
      "ascii": lambda value: guards.text(ascii(value)),
      "format": guards.formatted,
      "iter": _iter,
      "pow": guards.power,
      "print": lambda *args, **kwargs: None,
      "sorted": sorted_,
      "repr": lambda value: guards.text(repr(value)),
      "type": _type,
      "@type": _type,
      "@str": lambda *args: guards.text(str(*args)),
      "@slice": slice,
      "@compress": itertools.compress,
      "@caught": fuel.caught,
      "@Exception": Exception,
      "@MemoryError": MemoryError,
      "@RecursionError": RecursionError,
      "@method": method,
      "@meter": guards.meter,
      "@delegate": guards.delegate,
      "@contains": guards.contains,
      "@field": guards.field,
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


def _module(name: str) -> Module:
  real = importlib.import_module(name)
  replaced = _REPLACED.get(name, {})
  exports = {}
  for export in policy.MODULES[name]:
    value = replaced.get(export, getattr(real, export))
    if export not in replaced and name in _CONSUMING_MODULES:
      value = consumer(value)
    exports[export] = value
  return Module(name, exports)


def _import(name: str, *_):
  """C code may ask for `_pylong`; programs cannot name this function."""
  if name == "_pylong" and name in sys.modules:
    return sys.modules[name]
  raise ImportError(name)


def _iter(*args):
  if len(args) == 2:  # calls until a value comes: no end in sight
    return itertools.compress(iter(*args), fuel.source)
  return iter(*args)


def _type(value):
  """The type of a plain value; other types lead out of the language."""
  kind = type(value)
  if kind not in _PLAIN_TYPES:
    fuel.stop("forbidden", "type")
  return kind


def _bounded(function, size):
  """A function of ints whose result has at most `size` bits."""

  def call(*args):
    if all(type(a) is int for a in args):
      guards.bits(max(size(*args), 0))
    return function(*args)

  return call


def _endless(name: str):
  """A function of itertools whose every result is paid for."""
  function = getattr(itertools, name)

  def call(*args, **kwargs):
    return itertools.compress(function(*map(paid, args), **kwargs), fuel.source)

  return call


def _chain(*iterables):
  return itertools.chain(*map(guards.meter, iterables))


def _chain_all(iterables):
  return itertools.chain.from_iterable(
    map(guards.meter, guards.meter(iterables))
  )


_chain.from_iterable = _chain_all  # type: ignore[attr-defined]


def _reduce(function, items, *start):
  return functools.reduce(function, guards.meter(items), *start)


_CONSUMING_MODULES = ("collections", "heapq", "itertools")
_REPLACED = {
  "math": {
    "factorial": _bounded(math.factorial, lambda n: n * n.bit_length()),
    "comb": _bounded(math.comb, lambda n, k: min(k, n - k) * n.bit_length()),
    "perm": _bounded(
      math.perm, lambda n, k=None: (n if k is None else k) * n.bit_length()
    ),
    "prod": lambda items, *, start=1: _reduce(guards.mul, items, start),
    "fsum": consumer(math.fsum),
  },
  "operator": {
    "add": guards.add,
    "contains": lambda items, item: guards.contains(item, items),
    "mod": guards.mod,
    "mul": guards.mul,
    "and_": guards.common,
    "or_": guards.union,
    "sub": guards.without,
    "xor": guards.either,
  },
  "functools": {"reduce": _reduce},
  # Their second argument, a memo, would show addresses.
  "copy": {
    "copy": lambda value: copy.copy(value),
    "deepcopy": lambda value: copy.deepcopy(value),
  },
  "itertools": {"chain": _chain, **{name: _endless(name) for name in _ENDLESS}},
}
