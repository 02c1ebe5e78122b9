"""Which kernel was measured to be best where: the checked-in dispatch table.

`measured.json` holds one row for each device, matrix, number of planes, dtype
and range of rows of x. `bitzero bench kernels --tune --table=FILE` writes such
rows. Where a row stands for rows of x that were not timed themselves, its
`harness` says what was.
"""

import functools
import importlib.resources
import json
from typing import Any, NamedTuple


class Row(NamedTuple):
  """One measured choice.

  Attributes:
    device: `jax.Device.device_kind`.
    rows, columns: K and N of the matrix.
    planes: digit planes.
    x: "int8" or "bfloat16".
    least, most: rows of x that it holds for, inclusive.
    implementation: its name in `api.IMPLEMENTATIONS`.
    tiles: of the implementation's `Tiles`, by name.
    microseconds: what it took.
    harness: how that was measured.
    jax: version.
    date: of the measurement, as 2026-11-27.
  """

  device: str
  rows: int
  columns: int
  planes: int
  x: str
  least: int
  most: int
  implementation: str
  tiles: dict[str, int]
  microseconds: float
  harness: str
  jax: str
  date: str


def read(text: str) -> tuple[Row, ...]:
  """Rows from JSON text, a list of objects.

  Raises:
    ValueError: a row lacks a field, or has one that is unknown.
  """
  rows = []
  for number, values in enumerate(json.loads(text)):
    if set(values) != set(Row._fields):
      wrong = sorted(set(values) ^ set(Row._fields))
      raise ValueError(f"measured row {number}: {wrong} must be the fields")
    rows.append(Row(**values))
  return tuple(rows)


@functools.cache
def table() -> tuple[Row, ...]:
  """The rows that ship with this version."""
  file = importlib.resources.files(__name__.rpartition(".")[0])
  file = file / "measured.json"
  return read(file.read_text())


def find(
  rows: tuple[Row, ...],
  *,
  device: str,
  shape: tuple[int, int],
  planes: int,
  x: Any,
  count: int,
) -> Row | None:
  """The row for `count` rows of x, None where nobody has measured."""
  for row in rows:
    same = (row.device, row.rows, row.columns, row.planes, row.x)
    if same == (device, *shape, planes, x) and row.least <= count <= row.most:
      return row
  return None
