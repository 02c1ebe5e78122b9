"""Text of values: no addresses, no order of a set, no huge fields."""

import re

from fuel import fuel  # type: ignore[import-not-found]
from order import ordered, unordered  # type: ignore[import-not-found]

_WIDTH = 1 << 16  # columns of a field
_ADDRESS = re.compile(" at 0x[0-9a-f]{8,}>")


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


def field(value, conversion: str, spec):
  """One field of an f-string or of `str.format`."""
  if conversion or (unordered(value) and not spec):
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


def percent_widths(template: str, values) -> None:
  """As `_widths`, for the `%` operator."""
  for number in re.findall(r"%[^%a-zA-Z]*?(\d{5,})", template):
    _width(int(number[:9]))
  if "*" in template:
    for value in values if type(values) is tuple else (values,):
      if type(value) is int:
        _width(abs(value))


def _width(columns: int) -> None:
  if columns > _WIDTH:
    fuel.stop("memory", "format width")
