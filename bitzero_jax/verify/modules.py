"""The modules that a program may import, with functions that pay."""

import copy
import functools
import heapq
import importlib
import itertools
import math
from collections import Counter, OrderedDict, defaultdict, deque

import guards  # type: ignore[import-not-found]
import policy  # type: ignore[import-not-found]
from fuel import fuel  # type: ignore[import-not-found]
from kinds import KINDS  # type: ignore[import-not-found]
from meters import (  # type: ignore[import-not-found]
  bits,
  eager,
  lazy,
  reads,
  walks,
)
from order import ordered  # type: ignore[import-not-found]

_REST = slice(1, None)
_ALL = slice(None)
# Which positional arguments are walked along, an item at a time.
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


class Module:
  """A module as a program sees it: some names, and none can be set."""

  def __init__(self, name: str, exports: dict[str, object]):
    self.__dict__.update(exports)
    self._name = name

  def __repr__(self):
    return f"<module {self._name!r}>"


def module(name: str) -> Module:
  """The module of this name."""
  real = importlib.import_module(name)
  replaced = _REPLACED.get(name, {})
  return Module(
    name,
    {
      export: replaced.get(export, getattr(real, export))
      for export in policy.MODULES[name]
    },
  )


def _bounded(function, size):
  """A function of ints whose result has at most `size` bits."""

  def call(*args):
    if all(type(a) is int for a in args if a is not None):
      bits(max(size(*args), 0))
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
    kind.__name__: KINDS[kind]
    for kind in (Counter, OrderedDict, defaultdict, deque)
  },
  "itertools": {
    "accumulate": _accumulate,
    "chain": _chain,
    **{n: walks(getattr(itertools, n), w) for n, w in _LAZY_TOOLS.items()},
    **{name: _endless(name, which) for name, which in _ENDLESS.items()},
  },
}
