"""Names of quantizers: the one row that a new variant adds."""

import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from bitzero_jax.quant import (
  absmean,
  adaptive,
  binary,
  digits,
  identity,
  integer,
  nested,
)
from bitzero_jax.quant.base import Quantizer

Constructor = Callable[..., Quantizer]


def tabulate(
  rows: Iterable[tuple[str, Constructor]],
) -> Mapping[str, Constructor]:
  """Builds a read-only table from (name, constructor) rows.

  Raises:
    ValueError: a name occurs twice.
  """
  table: dict[str, Constructor] = {}
  for name, constructor in rows:
    if name in table:
      raise ValueError(f"quantizer {name!r} is in the table twice")
    table[name] = constructor
  return MappingProxyType(table)


QUANTIZERS = tabulate(
  (
    ("absmean", absmean.quantizer),
    ("adaptive", adaptive.quantizer),
    ("allocated", functools.partial(adaptive.quantizer, learned=True)),
    ("binary", binary.quantizer),
    ("digits", digits.quantizer),
    ("identity", identity.quantizer),
    ("int4", functools.partial(integer.quantizer, 4)),
    ("int8", functools.partial(integer.quantizer, 8)),
    ("nested", nested.quantizer),
  )
)


def make(name: str, **options: int) -> Quantizer:
  """Makes a quantizer by name.

  Args:
    name: a name in the table.
    **options: of the constructor: `planes` (digits, adaptive, allocated,
      nested), `groups` (adaptive, allocated), `bits` (identity).

  Raises:
    ValueError: the name is unknown, or an option has a value that is not
      allowed.
    TypeError: the constructor has no such option.
  """
  if name not in QUANTIZERS:
    allowed = ", ".join(sorted(QUANTIZERS))
    raise ValueError(f"unknown quantizer {name!r}, allowed: {allowed}")
  return QUANTIZERS[name](**options)
