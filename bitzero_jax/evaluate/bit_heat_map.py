"""How many bits each weight takes: a heat map of layers by projections."""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bitzero_jax.evaluate.number_format import size_text
from bitzero_jax.evaluate.table import table

PROJECTIONS = {
  "q": ("q", "q_proj", "query", "wq"),
  "k": ("k", "k_proj", "key", "wk"),
  "v": ("v", "v_proj", "value", "wv"),
  "o": ("o", "o_proj", "out", "out_proj", "wo"),
  "gate": ("gate", "gate_proj", "w_gate"),
  "up": ("up", "up_proj", "w_up"),
  "down": ("down", "down_proj", "w_down"),
}

Rows = Sequence[Mapping[str, Any]]


def bit_tables(parameters: Rows) -> str:
  """Totals, a heat map of layers by projections, then all other tensors.

  Args:
    parameters: rows of `parameters.json`: path, shape, parameters (a count),
      bits and stored_bits (of one weight), bytes, quantizer; and `groups`,
      planes of each group of outputs, where there are several.

  Returns:
    HTML, or "" when there are no rows.
  """
  if not parameters:
    return ""
  cells: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
  others: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
  for row in parameters:
    place = place_of(row["path"])
    if place is not None:
      cells.setdefault(place, []).append(row)
    else:
      name = re.sub(r"\d+", "*", row["path"])
      others.setdefault((name, row.get("quantizer") or "-"), []).append(row)
  weights, size = total(parameters, "parameters"), total(parameters, "bytes")
  return (
    f"<p>In all {weights:,.0f} weights in {size_text(size)}:"
    f" {8 * size / max(weights, 1):.2f} stored bits a weight;"
    f" bfloat16 would take {size_text(2 * weights)}.</p>"
    + (_heat_map(cells) if cells else "")
    + (_other_tensors(others) if others else "")
  )


def place_of(path: str) -> tuple[int, str] | None:
  """Layer number and projection of a parameter, None if it is neither's.

  Layers stacked into one tensor have no number in their path: -1.
  """
  for part in reversed(re.findall(r"\w+", path.lower())):
    for column, names in PROJECTIONS.items():
      if part in names:
        layer = re.search(r"(?:layers?|blocks?)\W*_?(\d+)", path.lower())
        return int(layer.group(1)) if layer else -1, column
  return None


def total(rows: Rows, field: str) -> float:
  """Sum of one field over rows."""
  return sum(row[field] for row in rows)


def _heat_map(cells: Mapping[tuple[int, str], Rows]) -> str:
  """One row a layer, one column a projection, bytes summed both ways."""
  columns = [x for x in PROJECTIONS if any(at == x for _, at in cells)]
  rows = []
  for layer in sorted({layer for layer, _ in cells}):
    mine = [cells.get((layer, column), []) for column in columns]
    name = f"layer {layer}" if layer >= 0 else "all layers"
    shown = "".join(_heat_cell(tensors) for tensors in mine)
    rows.append(f"<tr><th>{name}{shown}{_bytes_cell(mine)}")
  last = [
    _bytes_cell([found for (_, at), found in cells.items() if at == column])
    for column in columns
  ]
  rows.append(f"<tr><th>bytes{''.join(last)}{_bytes_cell(cells.values())}")
  return table(("", *columns, "bytes"), rows, "bits") + (
    '<p class="note">In each cell: bits of a weight, the mean where groups of'
    " outputs differ. Colour: bits that are"
    " stored for it, from 1.5 (pale) to 16 (deep).</p>"
  )


def _other_tensors(others: Mapping[tuple[str, str], Rows]) -> str:
  rows = [
    f"<tr><th>{html.escape(name)}{_heat_cell(tensors)}<td>{len(tensors)}"
    f"<td>{html.escape(quantizer)}{_bytes_cell([tensors])}"
    for (name, quantizer), tensors in others.items()
  ]
  head = ("path", "bits", "tensors", "quantizer", "bytes")
  return f"<h3>Embedding and other tensors</h3>{table(head, rows, 'bits')}"


def _heat_cell(tensors: Rows) -> str:
  """The bits of the largest of these tensors, such as a kernel by its scale."""
  if not tensors:
    return "<td>"
  main = max(tensors, key=lambda row: row["parameters"])
  bits, stored = main.get("bits"), main.get("stored_bits")
  heat = math.log2(stored / 1.5) / math.log2(16 / 1.5) if stored else 0.0
  heat = min(max(heat, 0.0), 1.0)
  hint = (
    f"{main['path']} {main['shape']}: {main.get('quantizer')},"
    f" {bits} bits, {stored} stored"
  )
  if groups := main.get("groups"):
    hint += f", planes of groups of its outputs: {' '.join(map(str, groups))}"
  return (
    f'<td class="heat{" deep" if heat > 0.55 else ""}"'
    f' style="--heat:{0.08 + 0.92 * heat:.2f}" title="{html.escape(hint)}">'
    f"{'-' if bits is None else f'{bits:.3g}'}"
  )


def _bytes_cell(groups: Iterable[Rows]) -> str:
  size = sum(total(rows, "bytes") for rows in groups)
  return f'<td class="num">{size_text(size)}'
