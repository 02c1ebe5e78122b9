"""Operators that a program meets instead of Python's.

A guard gives the same result as the operator or ends the run: "memory" before
something huge is built, "timeout" when the work is not paid for. One step pays
for one item of a lazy iterable, for 64 items that C code looks at (16 of a set
operator), for 4 KiB that it copies, or for 2**18 bit products of a large int:
50 to 500 ns each, not far from a turn of a loop.
"""

import itertools
import operator
import re
from collections import Counter, OrderedDict, defaultdict, deque
from types import GeneratorType

from fuel import fuel  # type: ignore[import-not-found]

_OBJECT_BYTES = 1 << 24  # the largest object that one operation may build
_INT_BITS = 1 << 16
_FREE_BITS = 512
_SMALL_INT = 1 << 30
_WIDTH = 1 << 16
_ITEMS = 64
_RANGE_ITEMS = 16
_SET_ITEMS = 16
_COPIED_ITEMS = 128
_FREE_BYTES = 4096
_VIEWS = tuple(type(view) for view in ({}.keys(), {}.values(), {}.items()))
_ADDRESS = re.compile(" at 0x[0-9a-f]{8,}>")
_SIZED = frozenset(
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
  if kind in _SIZED:
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
  return eager(iterable) if type(iterable) in _SIZED else each(iterable)


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


class _Order:
  """Which way round this process shows sets; see `ordered`."""

  reverse = False


order = _Order()


def unordered(items) -> bool:
  """Whether the order of these items is up to their hashes."""
  return type(items) in (set, frozenset) and not all(map(_hashes_alike, items))


def ordered(items):
  """The items; those of a set by their text, backwards in one of the processes.

  Two hash seeds agree on the order of two strings half of the time, so a
  program that lets a set's order show would often pass for deterministic.
  """
  if not unordered(items):
    return items
  fuel.charge(len(items) // _SET_ITEMS)
  return sorted(items, key=repr, reverse=order.reverse)


def _hashes_alike(item) -> bool:
  kind = type(item)
  if kind in (tuple, frozenset):
    return all(map(_hashes_alike, item))
  return kind in (int, bool, float)


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


def text(result):
  """Refuses text that holds an address, which changes from run to run."""
  kind = type(result)
  if kind is str and " at 0x" in result and _ADDRESS.search(result):
    fuel.stop("error", "Nondeterministic")
  if kind is bytes and b" at 0x" in result:
    fuel.stop("error", "Nondeterministic")
  return result


def shown(value) -> str:
  """`repr`."""
  if unordered(value):
    items = ", ".join(map(repr, ordered(value)))
    whole = f"{{{items}}}"
    return text(whole if type(value) is set else f"frozenset({whole})")
  return text(repr(value))


def args(error):
  """`error.args`, which may hold a message."""
  found = error.args
  if type(found) is tuple:
    for part in found:
      text(part)
  return found


def copied(items) -> None:
  """Pays for a new object that holds copies of items, before or after."""
  if len(items) > _COPIED_ITEMS:
    if isinstance(items, str | bytes):
      room(len(items))
    else:
      room(8 * len(items))
      fuel.charge(len(items) // _COPIED_ITEMS)


def add(a, b):
  """`a + b`; a sum at most doubles an object, so it pays afterwards."""
  result = a + b
  kind = type(result)
  if kind is not int and kind in _SIZED:
    copied(result)
  return result


def iadd(a, b):
  """`a += b`."""
  if type(a) in (list, deque):
    a += growing(b)
    return a
  if type(a) is Counter:
    a += b
    return a
  return add(a, b)


def mul(a, b):
  """`a * b`."""
  if type(a) is int and type(b) is int:
    if not (-_SMALL_INT < a < _SMALL_INT and -_SMALL_INT < b < _SMALL_INT):
      bits(a.bit_length() + b.bit_length())
    return a * b
  _repeat(a, b)
  return a * b


def imul(a, b):
  """`a *= b`."""
  if type(a) in (list, deque):
    _repeat(a, b)
    a *= b
    return a
  return mul(a, b)


def _repeat(a, b) -> None:
  items, times = (b, a) if isinstance(a, int) else (a, b)
  if isinstance(times, int) and type(items) in (list, tuple, str, bytes, deque):
    room(len(items) * times * (1 if isinstance(items, str | bytes) else 8))


def power(base, exp, mod=None):
  """`base ** exp` and `pow`."""
  if mod is not None:
    if all(isinstance(v, int) for v in (base, exp, mod)):
      fuel.charge(exp.bit_length() * mod.bit_length() ** 2 >> 18)
    return pow(base, exp, mod)
  ints = isinstance(base, int) and isinstance(exp, int)
  if ints and exp > 1 and abs(base) > 1:
    bits(base.bit_length() * exp)
  return base**exp


def shift(a, b):
  """`a << b`."""
  if isinstance(a, int) and isinstance(b, int) and a and b > 0:
    bits(a.bit_length() + b)
  return a << b


def cut(items, *bounds):
  """`items[lower:upper:step]`."""
  part = items[slice(*bounds)]
  if type(part) is not range:
    copied(part)
  return part


def _of_sets(operate, sized):
  """An operator of numbers and sets; a set pays for what `sized` says."""

  def guarded(a, b):
    if type(a) is not int and type(a) in _SIZED and type(b) in _SIZED:
      fuel.charge(sized(len(a), len(b)) // _SET_ITEMS)
    elif type(a) in _SIZED and type(b) is not int:
      b = eager(b)
    return operate(a, b)

  return guarded


_BOTH = int.__add__
union, common, either, without = (
  _of_sets(operate, _BOTH)
  for operate in (operator.or_, operator.and_, operator.xor, operator.sub)
)
# In place, only what comes in is looked at.
iunion, icommon, ieither, iwithout = (
  _of_sets(operate, min if operate is operator.iand else lambda _, b: b)
  for operate in (operator.ior, operator.iand, operator.ixor, operator.isub)
)


def mod(a, b):
  """`a % b`, of numbers or as a format."""
  if type(a) is str or type(a) is bytes:
    template = a.decode("latin-1") if isinstance(a, bytes) else a
    _percent_widths(template, b)
    return text(a % b)
  return a % b


def contains(item, items):
  """`item in items`."""
  kind = type(items)
  if kind is range:
    return item in (items if isinstance(item, int) else lazy(items))
  if kind in (list, tuple, str, deque):
    eager(items)
  elif kind not in _SIZED:
    items = lazy(items)
  return item in items


def delegate(iterable):
  """What `yield from` may read: a generator keeps its protocol."""
  return iterable if type(iterable) is GeneratorType else each(iterable)


def field(value, conversion: str, spec):
  """One field of an f-string or of `str.format`."""
  if conversion or unordered(value):
    value = _CONVERSIONS[conversion or "s"](value)
  return formatted(value, spec)


def formatted(value, spec=""):
  """`format`."""
  _widths(spec)
  return text(format(value, spec))


_CONVERSIONS = {
  "s": lambda value: value if type(value) is str else shown_plainly(value),
  "r": shown,
  "a": ascii,
}


def shown_plainly(value) -> str:
  """`str` of one value."""
  return shown(value) if unordered(value) else text(str(value))


def _widths(spec) -> None:
  """Ends the run when a format asks for a huge field."""
  for number in re.findall(r"\d{5,}", spec if type(spec) is str else str(spec)):
    _width(int(number[:9]))


def _percent_widths(template: str, values) -> None:
  for number in re.findall(r"%[^%a-zA-Z]*?(\d{5,})", template):
    _width(int(number[:9]))
  if "*" in template:
    for value in values if type(values) is tuple else (values,):
      if type(value) is int:
        _width(abs(value))


def _width(columns: int) -> None:
  if columns > _WIDTH:
    fuel.stop("memory", "format width")
