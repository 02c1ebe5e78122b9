"""The parameter table adds up."""

import io
import json

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from bitzero_jax.quant import table, tree
from bitzero_jax.runtime import overview

WIDTH = 64
LAYERS = 2


def rows_of(name, **options):
  shapes = {
    "embed_tokens": {"embedding": (10, WIDTH)},
    "norm": {"scale": (WIDTH,)},
  }
  for i in range(LAYERS):
    shapes[f"layers_{i}"] = {"mlp": {"up_proj": {"kernel": (WIDTH, 2 * WIDTH)}}}
  params = jax.tree.map(
    jnp.ones, shapes, is_leaf=lambda node: isinstance(node, tuple)
  )
  return tree.describe_tree(table.make(name, **options), params)


@pytest.mark.parametrize(
  ("name", "options", "bits"),
  [
    ("absmean", {}, 2.0625),
    ("digits", {"planes": 2}, 4.5),
    ("int8", {}, 8.5),
    ("identity", {}, 32.0),
  ],
)
def test_stored_bits_are_of_the_matrices_alone(name, options, bits):
  assert overview.stored_bits(rows_of(name, **options)) == bits


def test_records_are_json_and_hold_every_tensor():
  rows = rows_of("absmean")
  records = overview.as_records(rows)
  assert json.loads(json.dumps(records)) == records
  assert len(records) == LAYERS + 2
  by_path = {record["path"]: record for record in records}
  kernel = by_path["layers_1/mlp/up_proj/kernel"]
  assert kernel["shape"] == [WIDTH, 2 * WIDTH]
  assert kernel["parameters"] == 2 * WIDTH * WIDTH
  assert kernel["quantizer"] == "absmean"
  assert by_path["norm/scale"]["bytes"] == 4 * WIDTH
  for record in records:
    assert record["bytes"] > 0


def test_the_table_sums_its_lines_and_joins_layers():
  rows = rows_of("absmean")
  console = Console(width=120, record=True, file=io.StringIO())
  console.print(overview.table(rows))
  text = console.export_text().splitlines()
  (joined,) = [line for line in text if "layers_*/mlp/up_proj" in line]
  assert f"{LAYERS} of {WIDTH}x{2 * WIDTH}" in joined
  assert f"{LAYERS * 2 * WIDTH * WIDTH:,}" in joined
  assert not any("layers_0" in line for line in text)
  total = text[-1].split()
  size = sum(row.packed_bytes for row in rows)
  assert total[0] == "all"
  assert total[1] == f"{sum(row.parameters for row in rows):,}"
  assert total[-1] == f"{size:,}"
