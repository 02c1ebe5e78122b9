"""One text for each value, so that equal text means equal value and type.

Only exact built-in types have a text. A list of ints reads as `repr` writes
it; sets are sorted; dicts keep their order, which a program can observe.
"""


class NotAValue(Exception):
  """A result of a type that has no canonical text."""


class ValueTooLarge(Exception):
  """A result above the limits of depth, nodes, bits or bytes."""


INT_BITS = 4096
_SCALARS = frozenset((int, bool, float, str, bytes, type(None)))
_OPEN = {list: "[", tuple: "(", dict: "{", set: "{", frozenset: "frozenset({"}
_CLOSE = {list: "]", tuple: ")", dict: "}", set: "}", frozenset: "})"}
_EMPTY = {set: "set()", frozenset: "frozenset()"}


def canonical(value: object, nodes: int, depth: int, size: int) -> str:
  """Writes a value as text.

  Args:
    value: anything that a program returned.
    nodes: most scalars and containers; a shared one counts each time.
    depth: most containers around a scalar.
    size: most characters of the text.

  Returns:
    the canonical text.

  Raises:
    NotAValue: the value holds something that is no exact built-in type.
    ValueTooLarge: a limit is exceeded.
  """
  if type(value) is list and len(value) < nodes:
    kinds = set(map(type, value))
    if kinds <= {int} and all(v.bit_length() <= INT_BITS for v in value):
      return _bounded(repr(value), size)
  return _Writer(nodes, size).text(value, depth)


def _bounded(text: str, size: int) -> str:
  if len(text) > size:
    raise ValueTooLarge(f"more than {size} characters")
  return text


class _Writer:
  """Counts down nodes and characters while it writes."""

  def __init__(self, nodes: int, size: int):
    self._nodes = nodes
    self._size = size

  def text(self, value: object, depth: int) -> str:
    kind = type(value)
    self._nodes -= 1
    if self._nodes < 0:
      raise ValueTooLarge("too many nodes")
    if kind in _SCALARS:
      return self._scalar(value)
    if kind not in _OPEN:
      raise NotAValue(kind.__name__)
    if depth <= 0:
      raise ValueTooLarge("nested too deeply")
    if not value and kind in _EMPTY:
      return _EMPTY[kind]
    if isinstance(value, dict):
      parts = [
        f"{self.text(k, depth - 1)}: {self.text(v, depth - 1)}"
        for k, v in value.items()
      ]
    else:
      assert isinstance(value, list | tuple | set | frozenset)
      parts = [self.text(v, depth - 1) for v in value]
      if isinstance(value, set | frozenset):
        parts.sort(key=_by_number)
      elif kind is tuple and len(parts) == 1:
        return f"({parts[0]},)"
    return _OPEN[kind] + ", ".join(parts) + _CLOSE[kind]

  def _scalar(self, value: object) -> str:
    if isinstance(value, int) and value.bit_length() > INT_BITS:
      raise ValueTooLarge(f"an int of more than {INT_BITS} bits")
    if isinstance(value, str | bytes) and len(value) > self._size:
      raise ValueTooLarge("too many characters")
    text = repr(value)
    self._size -= len(text) + 2
    if self._size < -2:
      raise ValueTooLarge("too many characters")
    return text


def _by_number(text: str) -> tuple[bool, int, str]:
  """Numbers by size, then everything else by text."""
  if text.lstrip("-").isdigit():
    return False, int(text), text
  return True, 0, text
