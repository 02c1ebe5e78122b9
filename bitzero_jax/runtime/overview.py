"""The parameter table: how each tensor is quantized, and its packed bytes."""

import re
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from bitzero_jax.quant.tree import TensorRow


def as_records(rows: Sequence[TensorRow]) -> list[dict[str, Any]]:
  """Rows for parameters.json."""
  return [
    {
      "path": row.path,
      "shape": list(row.shape),
      "parameters": row.parameters,
      "bits": row.stored_bits,
      "stored_bits": row.stored_bits,
      "bytes": row.packed_bytes,
      "quantizer": row.kind,
      "planes": row.planes,
    }
    | ({"groups": list(row.groups)} if row.groups else {})
    for row in rows
  ]


def stored_bits(rows: Sequence[TensorRow]) -> float:
  """Mean stored bits of a quantized weight; 32 where nothing is quantized."""
  matrices = [row for row in rows if row.path.endswith("kernel")]
  count = sum(row.parameters for row in matrices)
  return sum(row.parameters * row.stored_bits for row in matrices) / count


def table(rows: Sequence[TensorRow]) -> Table:
  """A table for the terminal, the same tensor of all layers in one line."""
  lines: dict[str, list[TensorRow]] = {}
  for row in rows:
    lines.setdefault(re.sub(r"layers_\d+", "layers_*", row.path), []).append(
      row
    )
  shown = Table(title="parameters", title_justify="left", box=None)
  for name in ("tensor", "shape", "count", "kind", "bits", "bytes packed"):
    left = name in ("tensor", "kind")
    shown.add_column(name, justify="left" if left else "right")
  for path, same in lines.items():
    first = same[0]
    shape = "x".join(map(str, first.shape))
    shown.add_row(
      path.removesuffix("/kernel").removesuffix("/scale"),
      shape if len(same) == 1 else f"{len(same)} of {shape}",
      f"{sum(row.parameters for row in same):,}",
      first.kind,
      f"{first.stored_bits:g}",
      f"{sum(row.packed_bytes for row in same):,}",
    )
  count = sum(row.parameters for row in rows)
  size = sum(row.packed_bytes for row in rows)
  bits = 8 * size / count
  shown.add_row("all", "", f"{count:,}", "", f"{bits:.2f}", f"{size:,}")
  return shown
