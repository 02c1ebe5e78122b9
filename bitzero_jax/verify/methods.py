"""Methods and functions that consume an iterable or build something large."""

import functools
import string

from fuel import fuel  # type: ignore[import-not-found]
from guards import copied, field, meter, room  # type: ignore[import-not-found]

# Other codecs are files that a locked process cannot load.
_CODECS = frozenset("ascii iso-8859-1 latin-1 latin1 utf-8 utf8".split())
_SORTED_ITEMS = 32  # comparisons of a sort in the time of a step
_SEARCHED_BYTES = 128
_NO_ITERABLES = frozenset((int, float, bool, type(None), type))


def method(owner, name: str):
  """`owner.name`, guarded; `rewrite.py` sends only risky names here."""
  guard = _METHODS.get((type(owner), name))
  if guard is not None:
    return functools.partial(guard, owner)
  if type(owner) is type and (owner, name) in _METHODS:
    return _METHODS[owner, name]
  plain = getattr(owner, name)
  if name in ("count", "index") and isinstance(owner, list | tuple | str):
    meter(owner)
    return plain
  return consumer(plain)


def consumer(plain):
  """The same function, with its iterable arguments paid for."""

  def call(*args, **kwargs):
    return plain(*map(paid, args), **kwargs)

  return call


def paid(value):
  """An argument; if it is an iterable, its items are paid for."""
  if type(value) in _NO_ITERABLES or not hasattr(value, "__iter__"):
    return value
  return meter(value)


def format_(template, *args, **kwargs):
  """`str.format` for plain fields: no attributes, no items."""
  return format_map(template, kwargs, args)


def format_map(template, kwargs, args=()):
  """`str.format_map`, and what `str.format` has in common with it."""
  automatic = iter(range(len(args)))

  def value(name: str):
    if "." in name or "[" in name:
      fuel.stop("forbidden", "format field")
    if name == "":
      return args[next(automatic, len(args))]
    return args[int(name)] if name.isdecimal() else kwargs[name]

  def fill(pattern: str, depth: int) -> str:
    if depth < 0:
      raise ValueError("Max string recursion exceeded")
    parts = []
    for literal, name, spec, conversion in string.Formatter().parse(pattern):
      parts.append(literal)
      if name is not None:
        found = value(name)
        spec = fill(spec, depth - 1) if spec else ""
        parts.append(field(found, conversion or "", spec))
    return "".join(parts)

  return fill(template, 1)


def _ordered(items) -> None:
  """Pays for the comparisons of a sort."""
  if len(items) > _SORTED_ITEMS:
    fuel.charge(len(items) * len(items).bit_length() // _SORTED_ITEMS)


def sorted_(iterable, /, *, key=None, reverse=False):
  """`sorted`."""
  items = list(meter(iterable))
  _ordered(items)
  items.sort(key=key, reverse=reverse)
  return items


def _sort(items, *, key=None, reverse=False):
  _ordered(items)
  items.sort(key=key, reverse=reverse)


def _insert(items, index, item):
  copied(items)
  items.insert(index, item)


def _pop(items, *index):
  if index:
    copied(items)
  return items.pop(*index)


def _remove(items, item):
  meter(items)
  items.remove(item)


def _join(separator, items):
  if type(items) not in (list, tuple):
    items = list(meter(items))
  if all(type(item) is str for item in items):
    room(sum(map(len, items)) + len(separator) * len(items))
  return separator.join(items)


def _replace(whole, old, new, count=-1):
  if type(whole) is type(old) is type(new):
    grown = max(len(new) - len(old), 0)
    found = whole.count(old) if grown else 0
    if isinstance(count, int) and count >= 0:
      found = min(found, count)
    room(len(whole) + found * grown)
    fuel.charge(len(whole) // _SEARCHED_BYTES)
  return whole.replace(old, new, count)


def _expandtabs(whole, tabsize=8):
  if isinstance(tabsize, int):
    room(len(whole) + whole.count("\t") * max(tabsize, 0))
  return whole.expandtabs(tabsize)


def _translate(whole, table):
  if isinstance(table, dict):
    sizes = (len(v) for v in table.values() if isinstance(v, str))
    room(len(whole) * max(sizes, default=1))
  return whole.translate(table)


def _to_bytes(value, length=1, byteorder="big", *, signed=False):
  if isinstance(length, int):
    room(length)
  return value.to_bytes(length, byteorder, signed=signed)


def _padded(name: str):
  plain = getattr(str, name)

  def pad(whole, width, *fill):
    if isinstance(width, int):
      room(max(len(whole), width))
    return plain(whole, width, *fill)

  return pad


def _coded(name: str):
  def code(whole, encoding="utf-8", errors="strict"):
    if str(encoding).lower() not in _CODECS:
      raise LookupError(f"unknown encoding: {encoding}")
    return getattr(whole, name)(encoding, errors)

  return code


def _in_range(name: str):
  """A range looks ints up at once, and walks to find anything else."""

  def find(items, item):
    if not isinstance(item, int):
      for _ in meter(items):
        pass
    return getattr(items, name)(item)

  return find


_METHODS = {
  (list, "insert"): _insert,
  (list, "pop"): _pop,
  (list, "remove"): _remove,
  (list, "sort"): _sort,
  (str, "join"): _join,
  (str, "replace"): _replace,
  (bytes, "replace"): _replace,
  (str, "expandtabs"): _expandtabs,
  (str, "translate"): _translate,
  (str, "format"): format_,
  (str, "format_map"): format_map,
  (str, "encode"): _coded("encode"),
  (bytes, "decode"): _coded("decode"),
  (int, "to_bytes"): _to_bytes,
  (range, "count"): _in_range("count"),
  (range, "index"): _in_range("index"),
  (str, "center"): _padded("center"),
  (str, "ljust"): _padded("ljust"),
  (str, "rjust"): _padded("rjust"),
  (str, "zfill"): _padded("zfill"),
}
