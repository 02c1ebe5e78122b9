"""What a program meets instead of the built-ins that could run away.

A guard gives the same result as the built-in or ends the run: "memory" before
something huge is built, "timeout" when the work is not paid for. One step pays
for one item of a lazy iterable, or for 128 items or 1 KiB that C code copies.
"""

import functools
import importlib
import itertools
import math
import re
import string
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from types import GeneratorType

import policy  # type: ignore[import-not-found]
from fuel import FATAL, fuel  # type: ignore[import-not-found]

OBJECT_BYTES = 1 << 24  # the largest object that one operation may build
_SMALL = 1 << 30
_INT_BITS = 65_536
_VIEWS = tuple(type(view) for view in ({}.keys(), {}.values(), {}.items()))
_SIZED = frozenset(
  (list, tuple, str, bytes, dict, set, frozenset, deque, Counter, defaultdict)
) | {OrderedDict, *_VIEWS}
# Iterators whose items were paid for, or are bounded by an object in memory.
_PAID = frozenset(
  (map, filter, zip, enumerate, reversed, GeneratorType, itertools.compress)
) | {
  type(iter(empty))
  for empty in ([], (), "", b"", {}, set(), deque(), *({}.values(), {}.items()))
}


def meter(iterable):
  """The same items, paid for."""
  kind = type(iterable)
  if kind in _SIZED:
    if len(iterable) > 128:
      fuel.charge(len(iterable) >> 7)
    return iterable
  if kind in _PAID:
    return iterable
  return itertools.compress(iterable, fuel.source)


def _room(size: int) -> None:
  """Ends the run before it builds an object of so many bytes."""
  if size > OBJECT_BYTES:
    fuel.stop("memory", "object")
  if size > 1024:
    fuel.charge(size >> 10)


def _bits(bits: int) -> None:
  """Ends the run before it computes an int of so many bits."""
  if bits > _INT_BITS:
    fuel.stop("memory", "int")
  fuel.charge(bits * bits >> 18)


def add(a, b):
  result = a + b
  kind = type(result)
  if kind is not int and kind in _SIZED and len(result) > 128:
    _room(len(result) * 8 if kind in (list, tuple) else len(result))
  return result


def iadd(a, b):
  if type(a) in (list, deque):
    a += meter(b)
    return a
  if type(a) is Counter:
    a += b
    return a
  return add(a, b)


def mul(a, b):
  if type(a) is int and type(b) is int:
    if not (-_SMALL < a < _SMALL and -_SMALL < b < _SMALL):
      _bits(a.bit_length() + b.bit_length())
    return a * b
  _repeat(a, b)
  return a * b


def imul(a, b):
  if type(a) in (list, deque):
    _repeat(a, b)
    a *= b
    return a
  return mul(a, b)


def _repeat(a, b) -> None:
  items, times = (b, a) if isinstance(a, int) else (a, b)
  if isinstance(times, int) and type(items) in (list, tuple, str, bytes, deque):
    width = 1 if isinstance(items, str | bytes) else 8
    _room(len(items) * times * width)


def power(a, b, mod=None):
  if mod is not None:
    if all(isinstance(v, int) for v in (a, b, mod)):
      work = b.bit_length() * mod.bit_length() ** 2 >> 18
      fuel.charge(work)
    return pow(a, b, mod)
  if isinstance(a, int) and isinstance(b, int) and b > 1 and abs(a) > 1:
    _bits(a.bit_length() * b)
  return a**b


def shift(a, b):
  if isinstance(a, int) and isinstance(b, int) and a and b > 0:
    _bits(a.bit_length() + b)
  return a << b


def mod(a, b):
  if type(a) is str or type(a) is bytes:
    _widths(a)
    return _text(a % b)
  return a % b


def _widths(spec) -> None:
  """Ends the run when a format asks for a huge field."""
  digits = re.findall(r"\d{4,}", spec if isinstance(spec, str) else str(spec))
  if any(int(d[:9]) > 65_536 for d in digits):
    fuel.stop("memory", "format width")


def _text(text):
  """Refuses text that holds an address, which changes from run to run."""
  if " at 0x" in (text if isinstance(text, str) else ""):
    fuel.stop("error", "Nondeterministic")
  return text


def contains(item, items):
  kind = type(items)
  if kind is range:
    return item in (items if isinstance(item, int) else meter(items))
  if kind in (list, tuple, str):
    if len(items) > 128:
      fuel.charge(len(items) >> 7)
  elif kind not in _SIZED:
    items = meter(items)
  return item in items


def field(value, conversion, spec):
  """One field of an f-string."""
  if conversion != -1:
    value = {115: str, 114: repr, 97: ascii}[conversion](value)
  return format_(value, spec)


def format_(value, spec=""):
  _widths(spec)
  return _text(format(value, spec))


def str_format(template, *args, **kwargs):
  return format_map(template, kwargs, args)


def format_map(template, kwargs, args=()):
  """`str.format` for plain fields: no attributes, no items."""
  automatic = iter(range(len(args)))

  def fill(text, depth):
    parts = []
    for literal, name, spec, conversion in string.Formatter().parse(text):
      parts.append(literal)
      if name is None:
        continue
      if any(c in name for c in ".["):
        fuel.stop("forbidden", "format field")
      if name == "":
        value = args[next(automatic, len(args))]
      else:
        value = args[int(name)] if name.isdecimal() else kwargs[name]
      if spec and "{" in spec:
        if not depth:
          raise ValueError("Max string recursion exceeded")
        spec = fill(spec, depth - 1)
      code = ord(conversion) if conversion else -1
      parts.append(field(value, code, spec))
    return "".join(parts)

  return fill(template, 1)


def join(separator, items):
  if type(items) not in (list, tuple):
    items = list(meter(items))
  if all(type(item) is str for item in items):
    _room(sum(map(len, items)) + len(separator) * len(items))
  return separator.join(items)


def replace(text, old, new, count=-1):
  if type(text) is type(old) is type(new):
    grown = len(new) - len(old)
    found = text.count(old) if grown > 0 else 0
    if isinstance(count, int) and count >= 0:
      found = min(found, count)
    _room(len(text) + found * max(grown, 0))
  return text.replace(old, new, count)


def _padded(name):
  plain = getattr(str, name)

  def pad(text, width, *fill):
    if isinstance(width, int):
      _room(max(len(text), width))
    return plain(text, width, *fill)

  return pad


def expandtabs(text, tabsize=8):
  if isinstance(tabsize, int):
    _room(len(text) + text.count("\t") * max(tabsize, 0))
  return text.expandtabs(tabsize)


def translate(text, table):
  if isinstance(table, dict):
    sizes = (len(v) for v in table.values() if isinstance(v, str))
    _room(len(text) * max(sizes, default=1))
  return text.translate(table)


_CODECS = {"utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1"}


def _coded(name):
  def code(text, encoding="utf-8", errors="strict"):
    if str(encoding).lower() not in _CODECS:
      raise LookupError(f"unknown encoding: {encoding}")
    return getattr(text, name)(encoding, errors)

  return code


def to_bytes(value, length=1, byteorder="big", *, signed=False):
  if isinstance(length, int):
    _room(length)
  return int.to_bytes(value, length, byteorder, signed=signed)


def _range_find(name):
  def find(items, item):
    if not isinstance(item, int):
      for _ in meter(items):
        pass
    return getattr(items, name)(item)

  return find


_METHODS = {
  (str, "join"): join,
  (str, "replace"): replace,
  (bytes, "replace"): replace,
  (str, "expandtabs"): expandtabs,
  (str, "translate"): translate,
  (str, "format"): str_format,
  (str, "format_map"): format_map,
  (str, "encode"): _coded("encode"),
  (bytes, "decode"): _coded("decode"),
  (int, "to_bytes"): to_bytes,
  (range, "count"): _range_find("count"),
  (range, "index"): _range_find("index"),
  **{
    (str, name): _padded(name) for name in ("center", "ljust", "rjust", "zfill")
  },
}


def method(owner, name):
  """`owner.name` with a guard, for the methods that consume or build."""
  guard = _METHODS.get((type(owner), name))
  if guard is not None:
    return functools.partial(guard, owner)
  if type(owner) is type and (owner, name) in _METHODS:
    return _METHODS[owner, name]
  plain = getattr(owner, name)
  if type(owner) in (list, tuple, str) and name in ("count", "index"):
    meter(owner)
    return plain
  return _consumer(plain)


def _consumer(plain):
  """The same function, with its iterable arguments paid for."""

  def call(*args, **kwargs):
    return plain(*map(_argument, args), **kwargs)

  return call


_NOT_ITERABLE = frozenset((int, float, bool, type(None)))


def _argument(value):
  if type(value) in _NOT_ITERABLE or not hasattr(value, "__iter__"):
    return value
  return value if isinstance(value, type) else meter(value)


def _type(value):
  """The type of a plain value; other types lead out of the language."""
  kind = type(value)
  if kind not in _PLAIN_TYPES:
    fuel.stop("forbidden", "type")
  return kind


_PLAIN_TYPES = frozenset(
  (int, float, bool, str, bytes, list, tuple, dict, set, frozenset, range)
) | {type(None), Counter, OrderedDict, defaultdict, deque}


def _iter(*args):
  if len(args) == 2:  # calls until a value comes: no end in sight
    return itertools.compress(iter(*args), fuel.source)
  return iter(*args)


def _str(*args):
  return _text(str(*args)) if args and type(args[0]) is not str else str(*args)


def _delegate(iterable):
  """What `yield from` may read: generators keep their protocol."""
  return iterable if type(iterable) is GeneratorType else meter(iterable)


def _sum(iterable, /, start=0):
  return sum(meter(iterable), start)


def _sorted(iterable, /, *, key=None, reverse=False):
  return sorted(meter(iterable), key=key, reverse=reverse)


def _bounded_int(function, bits):
  def call(*args):
    if all(type(a) is int for a in args):
      _bits(max(bits(*args), 0))
    return function(*args)

  return call


_MATH = {
  "factorial": _bounded_int(
    math.factorial, lambda n: n * max(n, 1).bit_length()
  ),
  "comb": _bounded_int(
    math.comb, lambda n, k: max(min(k, n - k), 0) * n.bit_length()
  ),
  "perm": _bounded_int(
    math.perm, lambda n, k=None: (n if k is None else k) * n.bit_length()
  ),
  "prod": lambda items, *, start=1: functools.reduce(mul, meter(items), start),
  "fsum": _consumer(math.fsum),
}


def _metered_output(function):
  def call(*args, **kwargs):
    items = function(*map(_argument, args), **kwargs)
    return itertools.compress(items, fuel.source)

  return call


class Module:
  """A module as a program sees it: some names, and none can be set."""

  def __init__(self, name: str, exports: dict[str, object]):
    self.__dict__.update(exports)
    self._name = name

  def __repr__(self):
    return f"<module {self._name!r}>"


def _chain(*iterables):
  return itertools.chain(*map(meter, iterables))


_chain.from_iterable = lambda items: itertools.chain.from_iterable(  # type: ignore[attr-defined]
  map(meter, meter(items))
)

_REPLACED = {
  "math": _MATH,
  "operator": {"add": add, "mul": mul, "mod": mod, "contains": lambda a, b: contains(b, a)},
  "functools": {
    "reduce": lambda function, items, *start: functools.reduce(
      function, meter(items), *start
    )
  },
  "itertools": {
    "chain": _chain,
    **{
      name: _metered_output(getattr(itertools, name))
      for name in """combinations combinations_with_replacement count cycle
      permutations product repeat""".split()
    },
  },
}


def _module(name: str) -> Module:
  real = importlib.import_module(name)
  exports = {}
  for export in policy.MODULES[name]:
    value = getattr(real, export)
    if export in _REPLACED.get(name, ()):
      value = _REPLACED[name][export]
    elif name in ("itertools", "collections", "heapq") and callable(value):
      value = _consumer(value)
    exports[export] = value
  return Module(name, exports)


def _importer(name, *_):
  """C code may ask for `_pylong`; programs cannot name this function."""
  if name == "_pylong" and name in sys.modules:
    return sys.modules[name]
  raise ImportError(name)


def namespace() -> dict[str, object]:
  """The built-ins of a program, with the names that `rewrite.py` adds."""
  real = vars(importlib.import_module("builtins"))
  table = {name: real[name] for name in policy.BUILTINS}
  consumers = "all any enumerate filter map max min zip".split()
  table.update({name: _consumer(real[name]) for name in consumers})
  types = "bytes dict frozenset list set tuple".split()
  table.update({f"@{name}": _consumer(real[name]) for name in types})
  table.update({f"@{name}": _module(name) for name in policy.MODULES})
  table.update(
    {
      "__import__": _importer,
      "format": format_,
      "iter": _iter,
      "pow": power,
      "print": lambda *args, **kwargs: None,
      "repr": lambda value: _text(repr(value)),
      "ascii": lambda value: _text(ascii(value)),
      "sorted": _sorted,
      "sum": _sum,
      "type": _type,
      "@type": _type,
      "@str": _str,
      "@Exception": Exception,
      "@add": add,
      "@compress": itertools.compress,
      "@contains": contains,
      "@delegate": _delegate,
      "@fatal": FATAL,
      "@field": field,
      "@iadd": iadd,
      "@imod": mod,
      "@imul": imul,
      "@ipow": power,
      "@ishift": shift,
      "@meter": meter,
      "@method": method,
      "@mod": mod,
      "@mul": mul,
      "@note": fuel.note,
      "@pow": power,
      "@shift": shift,
      "@slice": slice,
    }
  )
  return table
