"""Operators that a program meets instead of Python's.

A guard gives the same result as the operator, or `meters` end the run.
"""

import operator
from collections import Counter, deque
from types import GeneratorType

from fuel import fuel  # type: ignore[import-not-found]
from meters import (  # type: ignore[import-not-found]
  SIZED,
  bits,
  copied,
  each,
  eager,
  growing,
  lazy,
  room,
)
from texts import percent_widths, text  # type: ignore[import-not-found]

_SMALL_INT = 1 << 30
_SET_ITEMS = 16  # of both sets, looked at in the time of a step


def add(a, b):
  """`a + b`; a sum at most doubles an object, so it pays afterwards."""
  result = a + b
  kind = type(result)
  if kind is not int and kind in SIZED:
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
    if type(a) is not int and type(a) in SIZED and type(b) in SIZED:
      fuel.charge(sized(len(a), len(b)) // _SET_ITEMS)
    elif type(a) in SIZED and type(b) is not int:
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
    percent_widths(template, b)
    return text(a % b)
  return a % b


def contains(item, items):
  """`item in items`."""
  kind = type(items)
  if kind is range:
    return item in (items if isinstance(item, int) else lazy(items))
  if kind in (list, tuple, str, deque):
    eager(items)
  elif kind not in SIZED:
    items = lazy(items)
  return item in items


def delegate(iterable):
  """What `yield from` may read: a generator keeps its protocol."""
  return iterable if type(iterable) is GeneratorType else each(iterable)
