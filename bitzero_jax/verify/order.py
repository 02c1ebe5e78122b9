"""The order in which a program sees a set: never one to rely on."""

from fuel import fuel  # type: ignore[import-not-found]

_ITEMS = 16  # of a set, sorted in the time of a step


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
  fuel.charge(len(items) // _ITEMS)
  return sorted(items, key=repr, reverse=order.reverse)


def _hashes_alike(item) -> bool:
  kind = type(item)
  if kind in (tuple, frozenset):
    return all(map(_hashes_alike, item))
  return kind in (int, bool, float)
