"""What work costs, and ways to walk along an iterable that pay for it.

Whoever asks for more than is left ends the run: "memory" before something huge
is built, "timeout" when the work is not paid for. One step pays for one item of
a lazy iterable, for 64 items that C code looks at, for 4 KiB that it copies, or
for 2**18 bit products of a large int: 50 to 500 ns each, not far from a turn of
a loop.
"""

import itertools
from collections import Counter, OrderedDict, defaultdict, deque
from types import GeneratorType

from fuel import fuel  # type: ignore[import-not-found]
from order import ordered  # type: ignore[import-not-found]

_OBJECT_BYTES = 1 << 24  # the largest object that one operation may build
_INT_BITS = 1 << 16
_FREE_BITS = 512
_ITEMS = 64
_RANGE_ITEMS = 16
_COPIED_ITEMS = 128
_FREE_BYTES = 4096
_ITERABLES = ("iterable", "iterables")  # names of such parameters
_VIEWS = tuple(type(view) for view in ({}.keys(), {}.values(), {}.items()))
SIZED = frozenset(
  (
    *(list, tuple, str, bytes, dict, set, frozenset),
    *(deque, Counter, defaultdict, OrderedDict, *_VIEWS),
  )
)
# Iterators whose items were paid for, or are bounded by an object in memory.
_PAID = frozenset(
  (map, filter, zip, enumerate, reversed, GeneratorType, itertools.compress)
).union(
  type(iter(empty))
  for empty in ([], (), "", b"", {}, set(), deque(), {}.values(), {}.items())
)


def eager(iterable):
  """The same items for C code that reads them all, paid for at once."""
  kind = type(iterable)
  if kind in SIZED:
    if len(iterable) > _ITEMS:
      fuel.charge(len(iterable) // _ITEMS)
    return iterable
  if kind is range:
    _charge_range(iterable)
    return iterable
  if kind in _PAID or not hasattr(iterable, "__iter__"):
    return iterable
  return itertools.compress(iterable, fuel.source)


def lazy(iterable):
  """The same items for code that may stop early, each paid when it is drawn.

  Also for what calls the program back at each item, which may make it longer.
  """
  if type(iterable) is itertools.compress or not hasattr(iterable, "__iter__"):
    return iterable
  return itertools.compress(ordered(iterable), fuel.source)


def growing(iterable):
  """The items for a list that may be what they come from."""
  return eager(iterable) if type(iterable) in SIZED else each(iterable)


def each(iterable):
  """What a loop walks along."""
  return itertools.compress(ordered(iterable), fuel.source)


def spread(iterable):
  """What is unpacked."""
  return eager(ordered(iterable))


def spread_each(iterables):
  """Items that a loop unpacks."""
  return map(spread, iterables)


def _charge_range(items: range) -> None:
  try:
    count = len(items)
  except OverflowError:
    fuel.stop("timeout", "steps")
  if count > _RANGE_ITEMS:
    fuel.charge(count // _RANGE_ITEMS)


def room(size: int) -> None:
  """Ends the run before it builds an object of so many bytes."""
  if size > _OBJECT_BYTES:
    fuel.stop("memory", "object")
  if size > _FREE_BYTES:
    fuel.charge(size // _FREE_BYTES)


def bits(count: int) -> None:
  """Ends the run before it computes an int of so many bits."""
  if count > _INT_BITS:
    fuel.stop("memory", "int")
  if count > _FREE_BITS:
    fuel.charge(count * count >> 18)


def copied(items) -> None:
  """Pays for a new object that holds copies of items, before or after."""
  if len(items) > _COPIED_ITEMS:
    if isinstance(items, str | bytes):
      room(len(items))
    else:
      room(8 * len(items))
      fuel.charge(len(items) // _COPIED_ITEMS)


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
