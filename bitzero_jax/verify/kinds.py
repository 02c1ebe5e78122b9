"""Built-in types as a program sees them: each call pays, tests go through.

A program may pass a type around, so the guard has to be the value itself and
not a rewritten call.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from meters import reads, room  # type: ignore[import-not-found]
from texts import shown_plainly, text  # type: ignore[import-not-found]


class Kind:
  """Stands for a type: calls go to a guard, everything else to the type."""

  __slots__ = ("_call", "_real")

  def __init__(self, real: type, call: Callable[..., Any]):
    self._real = real
    self._call = call

  def __call__(self, *args, **kwargs):
    return self._call(*args, **kwargs)

  def __instancecheck__(self, value):
    return isinstance(value, self._real)

  def __subclasscheck__(self, kind):
    return issubclass(plain(kind), self._real)

  def __getitem__(self, _):
    return self  # as in `list[int]`

  def __or__(self, other):
    return self._real | plain(other)

  def __ror__(self, other):
    return plain(other) | self._real

  def __getattr__(self, name: str):
    return getattr(self._real, name)

  def __repr__(self):
    return repr(self._real)

  def __copy__(self):
    return self

  def __deepcopy__(self, _):
    return self

  def __reduce__(self):
    raise TypeError("a type cannot be copied")


def plain(kind):
  """The type that a `Kind` stands for; other values as they are."""
  return kind._real if type(kind) is Kind else kind


class Typing:
  """A name of `typing`, which means nothing when a program runs."""

  __slots__ = ()

  def __getitem__(self, _):
    return self

  def __call__(self, *_, **__):
    return self

  def __or__(self, _):
    return self

  __ror__ = __or__


def _text(*args, **kwargs):
  """`str`."""
  if len(args) == 1 and not kwargs:
    return shown_plainly(args[0])
  return text(str(*args, **kwargs))


def _bytes(*args, **kwargs):
  """`bytes`."""
  if args and isinstance(args[0], int):
    room(args[0])
  return reads(bytes, slice(1))(*args, **kwargs)


KINDS = {
  str: Kind(str, _text),
  bytes: Kind(bytes, _bytes),
  defaultdict: Kind(defaultdict, reads(defaultdict, slice(1, 2))),
  **{
    kind: Kind(kind, reads(kind, slice(1)))
    for kind in (list, tuple, dict, set, frozenset, Counter, deque, OrderedDict)
  },
}
