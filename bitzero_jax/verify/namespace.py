"""The names that a program finds: built-ins, modules and added meters."""

import builtins
import copy
import functools
import heapq
import importlib
import itertools
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque

import guards  # type: ignore[import-not-found]
import policy  # type: ignore[import-not-found]
from fuel import fuel  # type: ignore[import-not-found]
from guards import eager, lazy, ordered  # type: ignore[import-not-found]
from kinds import Kind, Typing  # type: ignore[import-not-found]
from methods import method, sorted_  # type: ignore[import-not-found]

_PLAIN_TYPES = (int, float, bool, range, type(None))
_REST = slice(1, None)
_ALL = slice(None)
# Which positional arguments are walked along, an item at a time.
_LAZY = {
  "all": slice(1),
  "any": slice(1),
  "enumerate": slice(1),
  "filter": _REST,
  "map": _REST,
  "zip": _ALL,
}
_LAZY_TOOLS = {
  "compress": _ALL,
  "dropwhile": _REST,
  "filterfalse": _REST,
  "groupby": slice(1),
  "islice": slice(1),
  "pairwise": slice(1),
  "starmap": _REST,
  "takewhile": _REST,
  "tee": slice(1),
  "zip_longest": _ALL,
}
# These go on by themselves, from all items that they were given.
_ENDLESS = {
  "combinations": slice(1),
  "combinations_with_replacement": slice(1),
  "count": slice(0),
  "cycle": slice(1),
  "permutations": slice(1),
  "product": _ALL,
  "repeat": slice(0),
}
_ITERABLES = ("iterable", "iterables")  # names of such parameters


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
  table.update({n: walks(real[n], which) for n, which in _LAZY.items()})
  table.update({kind.__name__: _KINDS[kind] for kind in _KINDS})
  table.update({f"@{name}": _module(name) for name in policy.MODULES})
  table.update(
    {
      "__import__": _import,
      "__name__": "program",
      "ascii": lambda value: guards.text(ascii(value)),
      "format": guards.formatted,
      "iter": _iter,
      "max": _extreme(max),
      "min": _extreme(min),
      "pow": guards.power,
      "print": lambda *args, **kwargs: None,
      "repr": guards.shown,
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
      "@args": guards.args,
      "@each": guards.each,
      "@eager": eager,
      "@lazy": lazy,
      "@spread": guards.spread,
      "@spread_each": guards.spread_each,
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


def walks(function, which: slice):
  """A function that walks along some arguments, an item at a time."""

  def call(*args, **kwargs):
    args = list(args)
    args[which] = map(lazy, args[which])
    return function(*args, **_keywords(lazy, kwargs))

  return call


def reads(function, which: slice):
  """A function that reads all of some arguments at once."""

  def call(*args, **kwargs):
    args = list(args)
    args[which] = map(eager, map(ordered, args[which]))
    return function(*args, **_keywords(eager, kwargs))

  return call


def _keywords(pay, kwargs):
  for name in kwargs.keys() & _ITERABLES:
    kwargs[name] = pay(kwargs[name])
  return kwargs


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


def _text(*args, **kwargs):
  """`str`."""
  if len(args) == 1 and not kwargs:
    return guards.shown_plainly(args[0])
  return guards.text(str(*args, **kwargs))


def _bytes(*args, **kwargs):
  """`bytes`."""
  if args and isinstance(args[0], int):
    guards.room(args[0])
  return reads(bytes, slice(1))(*args, **kwargs)


_KINDS = {
  str: Kind(str, _text),
  bytes: Kind(bytes, _bytes),
  defaultdict: Kind(defaultdict, reads(defaultdict, slice(1, 2))),
  **{
    kind: Kind(kind, reads(kind, slice(1)))
    for kind in (list, tuple, dict, set, frozenset, Counter, deque, OrderedDict)
  },
}


def _module(name: str) -> Module:
  real = importlib.import_module(name)
  replaced = _REPLACED.get(name, {})
  return Module(
    name,
    {
      export: replaced.get(export, getattr(real, export))
      for export in policy.MODULES[name]
    },
  )


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
  if kind in _KINDS:
    return _KINDS[kind]
  if kind not in _PLAIN_TYPES:
    fuel.stop("forbidden", "type")
  return kind


def _bounded(function, size):
  """A function of ints whose result has at most `size` bits."""

  def call(*args):
    if all(type(a) is int for a in args if a is not None):
      guards.bits(max(size(*args), 0))
    return function(*args)

  return call


def _endless(name: str, which: slice):
  """A function of itertools whose every result is paid for."""
  function = reads(getattr(itertools, name), which)

  def call(*args, **kwargs):
    return itertools.compress(function(*args, **kwargs), fuel.source)

  return call


def _chain(*iterables):
  return itertools.chain(*map(lazy, iterables))


def _chain_all(iterables):
  return itertools.chain.from_iterable(map(lazy, lazy(iterables)))


_chain.from_iterable = _chain_all  # type: ignore[attr-defined]


def _accumulate(iterable, func=None, *, initial=None):
  function = func or guards.add
  return itertools.accumulate(lazy(iterable), function, initial=initial)


def _reduce(function, items, *start):
  return functools.reduce(function, lazy(items), *start)


def _heapify(heap):
  eager(heap)  # a list, or an error comes
  heapq.heapify(heap)


def _extremes(function):
  """`nlargest` and `nsmallest`."""

  def call(n, iterable, key=None):
    pay = eager if key is None else lazy
    return function(n, pay(ordered(iterable)), key)

  return call


def _itemgetter(*items):
  def item(value, index):
    if type(index) is slice:
      return guards.cut(value, index.start, index.stop, index.step)
    return value[index]

  if len(items) == 1:
    return lambda value: item(value, items[0])
  if not items:
    raise TypeError("itemgetter expected at least 1 argument, got 0")
  return lambda value: tuple(item(value, index) for index in items)


def _deepcopy(value):
  # A memo, so that the steps are shared and not copied.
  return copy.deepcopy(value, {id(fuel.source): fuel.source})


_REPLACED = {
  "math": {
    "factorial": _bounded(math.factorial, lambda n: n * n.bit_length()),
    "comb": _bounded(math.comb, lambda n, k: min(k, n - k) * n.bit_length()),
    "perm": _bounded(
      math.perm, lambda n, k=None: (n if k is None else k) * n.bit_length()
    ),
    "prod": lambda items, *, start=1: _reduce(guards.mul, items, start),
    "fsum": reads(math.fsum, slice(1)),
  },
  "operator": {
    "add": guards.add,
    "contains": lambda items, item: guards.contains(item, items),
    "itemgetter": _itemgetter,
    "mod": guards.mod,
    "mul": guards.mul,
    "and_": guards.common,
    "or_": guards.union,
    "sub": guards.without,
    "xor": guards.either,
  },
  "functools": {"reduce": _reduce},
  "copy": {"copy": lambda value: copy.copy(value), "deepcopy": _deepcopy},
  "heapq": {
    "heapify": _heapify,
    "merge": walks(heapq.merge, _ALL),
    "nlargest": _extremes(heapq.nlargest),
    "nsmallest": _extremes(heapq.nsmallest),
  },
  "collections": {
    kind.__name__: _KINDS[kind]
    for kind in (Counter, OrderedDict, defaultdict, deque)
  },
  "itertools": {
    "accumulate": _accumulate,
    "chain": _chain,
    **{n: walks(getattr(itertools, n), w) for n, w in _LAZY_TOOLS.items()},
    **{name: _endless(name, which) for name, which in _ENDLESS.items()},
  },
}
