"""Methods that consume an iterable, search, or build something large."""

import functools
import string
from collections import deque

from fuel import fuel  # type: ignore[import-not-found]
from kinds import Kind  # type: ignore[import-not-found]
from meters import copied, eager, growing, room  # type: ignore[import-not-found]
from order import ordered, unordered  # type: ignore[import-not-found]
from texts import field  # type: ignore[import-not-found]

# Other codecs are files that a locked process cannot load.
_CODECS = frozenset("ascii iso-8859-1 latin-1 latin1 utf-8 utf8".split())
_SORTED_ITEMS = 32  # comparisons of a sort in the time of a step
_SCANNED_ITEMS = 64
_SCANNED_BYTES = 1024
_SEARCHED_BYTES = 4096  # of a text times a pattern that both may be long
_REPLACED_BYTES = 128

_CONSUME = frozenset(
  """
  difference difference_update fromkeys intersection intersection_update
  isdisjoint issubset issuperset subtract symmetric_difference
  symmetric_difference_update union update
  """.split()
)
_GROW = frozenset("extend extendleft".split())
_SCAN = frozenset(
  """
  capitalize casefold copy count endswith find index isalnum isalpha isdecimal
  isdigit islower isnumeric isspace istitle isupper lower lstrip maketrans
  partition removeprefix removesuffix reverse rfind rindex rpartition rsplit
  rstrip split splitlines strip swapcase title upper
  """.split()
)
_FROM_RIGHT = frozenset("rfind rindex rpartition rsplit".split())
_TEXTS = (str, bytes)


def method(owner, name: str):
  """`owner.name`, guarded; `rewrite.py` sends only `GUARDED_METHODS` here."""
  kind = type(owner)
  if kind is Kind:
    return _unbound(owner, name)
  guard = _METHODS.get((kind, name))
  if guard is not None:
    return functools.partial(guard, owner)
  plain = getattr(owner, name)
  if name in _SCAN and kind in (list, tuple, deque, *_TEXTS):
    return functools.partial(_scan, owner, name, plain)
  if name in _GROW:
    return lambda items: plain(growing(items))
  if name in _CONSUME:
    return _consumer(plain, name)
  return plain


def _unbound(kind: Kind, name: str):
  """`str.upper` and its like: the owner comes as first argument."""
  plain = getattr(kind, name)
  if name in ("fromkeys", "maketrans"):
    return _consumer(plain, name)
  if name == "from_iterable":
    return plain

  def call(owner, *args, **kwargs):
    if not kind.__instancecheck__(owner):
      return plain(owner, *args, **kwargs)  # raises as it should
    return method(owner, name)(*args, **kwargs)

  return call


def _consumer(plain, name: str):
  def call(*args, **kwargs):
    if name == "fromkeys":
      return plain(eager(ordered(args[0])), *args[1:]) if args else plain()
    return plain(*map(eager, args), **kwargs)

  return call


def _scan(owner, name: str, plain, *args, **kwargs):
  size = len(owner)
  if type(owner) not in _TEXTS:
    if size > _SCANNED_ITEMS:
      fuel.charge(size // _SCANNED_ITEMS)
  elif size > _SCANNED_BYTES:
    fuel.charge(size // _SCANNED_BYTES)
    if name in _FROM_RIGHT and args and type(args[0]) in _TEXTS:
      fuel.charge(size * len(args[0]) // _SEARCHED_BYTES)
  return plain(*args, **kwargs)


def format_(template, /, *args, **kwargs):
  """`str.format` for plain fields: no attributes, no items."""
  return format_map(template, kwargs, args)


def format_map(template, kwargs, args=()):
  """`str.format_map`, and what `str.format` has in common with it."""
  automatic = iter(range(len(args)))
  numbered = set()  # what kinds of field numbers were met

  def value(name: str):
    if "." in name or "[" in name:
      fuel.stop("forbidden", "format field")
    if name == "" or name.isdecimal():
      numbered.add(name == "")
      if len(numbered) > 1:
        raise ValueError("cannot mix automatic and manual field numbering")
      return args[int(name) if name else next(automatic, len(args))]
    return kwargs[name]

  def fill(pattern: str, depth: int) -> str:
    if depth < 0:
      raise ValueError("Max string recursion exceeded")
    parts = []
    for literal, name, spec, conversion in string.Formatter().parse(pattern):
      parts.append(literal)
      if name is not None:
        found = value(name)
        spec = fill(spec, depth - 1) if spec else ""
        if conversion not in (None, "s", "r", "a"):
          raise ValueError(f"Unknown conversion specifier {conversion!r}")
        parts.append(field(found, conversion or "", spec))
    return "".join(parts)

  return fill(template, 1)


def _ordering(items) -> None:
  """Pays for the comparisons of a sort."""
  if len(items) > _SORTED_ITEMS:
    fuel.charge(len(items) * len(items).bit_length() // _SORTED_ITEMS)


def sorted_(iterable, /, *, key=None, reverse=False):
  """`sorted`."""
  items = list(eager(ordered(iterable)))
  _ordering(items)
  items.sort(key=key, reverse=reverse)
  return items


def _sort(items, *, key=None, reverse=False):
  _ordering(items)
  items.sort(key=key, reverse=reverse)


def _insert(items, index, item):
  copied(items)
  items.insert(index, item)


def _pop(items, *index):
  if index:
    copied(items)
  return items.pop(*index)


def _pop_any(items):
  if not unordered(items):
    return items.pop()
  item = ordered(items)[0]
  items.remove(item)
  return item


def _remove(items, item):
  if len(items) > _SCANNED_ITEMS:
    fuel.charge(len(items) // _SCANNED_ITEMS)
  items.remove(item)


def _join(separator, items):
  items = ordered(items)
  if type(items) not in (list, tuple):
    items = list(eager(items))
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
    fuel.charge(len(whole) // _REPLACED_BYTES)
  return whole.replace(old, new, count)


def _expandtabs(whole, tabsize=8):
  if isinstance(tabsize, int):
    room(len(whole) + whole.count("\t") * max(tabsize, 0))
  return whole.expandtabs(tabsize)


def _translate(whole, table):
  if type(table) is dict:
    sizes = (len(v) for v in table.values() if isinstance(v, str))
    room(len(whole) * max(sizes, default=1))
    fuel.charge(len(whole) // _REPLACED_BYTES)
  else:  # it may call the program back for each character
    room(4 * len(whole))
    fuel.charge(len(whole))
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
    room(len(whole))
    return getattr(whole, name)(encoding, errors)

  return code


def _in_range(name: str):
  """A range looks ints up at once, and walks to find anything else."""

  def find(items, item):
    if not isinstance(item, int):
      eager(items)
    return getattr(items, name)(item)

  return find


_METHODS = {
  (list, "insert"): _insert,
  (list, "pop"): _pop,
  (list, "remove"): _remove,
  (list, "sort"): _sort,
  (set, "pop"): _pop_any,
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

GUARDED_METHODS = frozenset(name for _, name in _METHODS).union(
  _CONSUME, _GROW, _SCAN
)
