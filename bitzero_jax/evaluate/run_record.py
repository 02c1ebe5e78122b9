"""What a run wrote down, as it stands: key numbers, config, every metric."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bitzero_jax.evaluate.bit_heat_map import total
from bitzero_jax.evaluate.number_format import number, size_text
from bitzero_jax.evaluate.series import Lines, readings
from bitzero_jax.evaluate.table import table
from bitzero_jax.runtime import progress


def key_numbers(
  lines: Lines, parameters: Lines, environment: Mapping[str, Any]
) -> str:
  """The strip of key numbers under the verdict."""
  facts = [("updates", f"{max(line['step'] for line in lines):,}")]
  rounds = readings(lines, "round").values
  if len(rounds):
    facts.append(("rounds", f"{rounds.max():,.0f}"))
  seconds = readings(lines, "seconds").values
  if len(seconds):
    facts.append(("time", progress.format_seconds(float(seconds.max()))))
  if parameters:
    size = total(parameters, "bytes")
    weights = total(parameters, "parameters")
    facts.append(("weights", number(weights)))
    facts.append(("stored bits a weight", f"{8 * size / max(weights, 1):.2f}"))
    facts.append(("size", size_text(size)))
  if "device" in environment:
    facts.append(("device", str(environment["device"])))
  return "".join(
    f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>"
    for name, value in facts
  )


def config_table(
  config: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> str:
  """Every field, folded; those that differ from their default come first."""
  fields = _flatten(config)
  if not fields:
    return ""
  whole = _table(sorted(fields.items()))
  whole = (
    f"<details><summary>All {len(fields)} fields</summary>{whole}</details>"
  )
  if defaults is None:
    return whole
  usual = _flatten(defaults)
  changed = [
    (name, f"{_text(value)}  (default {_text(usual[name])})")
    if name in usual
    else (name, value)
    for name, value in sorted(fields.items())
    if name not in usual or _text(usual[name]) != _text(value)  # as in JSON
  ]
  if not changed:
    return f"<p>Every field has its default.</p>{whole}"
  return f"<h3>Differs from the defaults</h3>{_table(changed)}{whole}"


def environment_table(environment: Mapping[str, Any]) -> str:
  """Every field of the environment, sorted by name."""
  return _table(sorted(_flatten(environment).items()))


def all_metrics(lines: Lines) -> str:
  """Range and number of readings of every metric, folded."""
  keys = sorted({key for line in lines for key in line} - {"step"})
  rows = []
  for key in keys:
    values = readings(lines, key).values
    if not len(values):
      continue
    cells = (values[0], values[-1], values.min(), values.max())
    shown = "".join(f'<td class="num">{number(x)}' for x in cells)
    count = f'<td class="num">{len(values)}'
    rows.append(f"<tr><th>{html.escape(key)}{shown}{count}")
  head = ("", "first", "last", "least", "most", "readings")
  shown = table(head, rows, "metrics")
  return f"<details><summary>{len(rows)} metrics</summary>{shown}</details>"


def _table(rows: Sequence[tuple[str, Any]]) -> str:
  if not rows:
    return ""
  shown = (
    f"<tr><th>{html.escape(name)}<td><code>{html.escape(_text(value))}</code>"
    for name, value in rows
  )
  return table((), shown, "pairs")


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """{"learn": {"lr": 1}} -> {"learn.lr": 1}."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(_flatten(value, f"{prefix}{name}."))
    else:
      flat[prefix + name] = value
  return flat


def _text(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)
