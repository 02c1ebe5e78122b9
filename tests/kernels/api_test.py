"""Dispatch: what the table says, and what nobody has measured."""

import functools
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels.ternary_matmul import (
  api,
  layout,
  measured,
  targets,
  triton_gemv,
)

ROW = measured.Row(
  device="NVIDIA H100 80GB HBM3",
  rows=64,
  columns=32,
  planes=1,
  x="int8",
  least=1,
  most=2,
  implementation="triton_gemv",
  tiles={"bn": 8, "chunk": 64, "warps": 2},
  microseconds=1.0,
  harness="made up",
  jax="0.0",
  date="1970-01-01",
)
OTHER = ROW._replace(least=3, most=64, implementation="triton_dot", tiles={})


def packed(planes=1):
  rng = np.random.default_rng(0)
  trits = rng.integers(-1, 2, (planes, 64, 32), dtype=np.int8)
  return layout.pack(jnp.asarray(trits))


def weight(**options):
  return api.prepare(packed(), jnp.float32(1), 64, **options)


def test_the_table_that_ships_can_be_read_and_names_kernels_that_exist():
  for row in measured.table():
    chosen = api.named(row.implementation)
    assert row.x in chosen.dtypes
    assert row.least <= row.most
    assert chosen.tiles is None or chosen.tiles(**row.tiles)


def test_what_the_table_that_ships_asks_for_is_held():
  for row in measured.table():
    make = functools.partial(
      api.prepare,
      rows=row.rows,
      most=row.most,
      dtype=row.x,
      device=row.device,
    )
    one = row.planes, row.columns, row.rows // 4
    held = jax.eval_shape(
      lambda packed, make=make: make(packed, jnp.float32(1)),
      jax.ShapeDtypeStruct(one, jnp.uint8),
    )
    chosen = api.named(row.implementation)
    for count in (row.least, row.most):
      found = api.choose(held, count, row.x, device=row.device)
      tiles = chosen.tiles and chosen.tiles(**row.tiles)
      assert found == (row.implementation, tiles)
    assert chosen.layout in held.held


def test_the_benchmark_tries_the_tiles_that_the_table_names():
  counts = {span: count for count, span in targets.BUCKETS.items()}
  for row in measured.table():
    if row.harness != "kernel":  # some other row's
      continue
    count = counts[row.least, row.most]
    tried = targets.candidates(row.implementation, count, row.x)
    tiles = api.named(row.implementation).tiles
    assert (tiles and tiles(**row.tiles)) in tuple(tried), row


def test_a_row_decides_by_device_shape_planes_dtype_and_rows_of_x():
  table = (ROW, OTHER)
  held = weight(rows_table=table, device=ROW.device)
  assert sorted(held.held) == ["signed_words"]
  options = {"rows_table": table, "device": ROW.device}
  found = api.choose(held, 2, "int8", **options)
  assert found == ("triton_gemv", triton_gemv.Tiles(8, 64, 2))
  found = api.choose(held, 3, "int8", **options)
  assert found is not None and found[0] == "triton_dot"


@pytest.mark.parametrize(
  ("count", "dtype", "planes"), [(65, "int8", 1), (1, "bfloat16", 1)]
)
def test_a_kernel_that_nobody_has_measured_is_not_chosen(count, dtype, planes):
  held = weight()
  table = (ROW,)
  assert (
    api.choose(held, count, dtype, rows_table=table, device=ROW.device) is None
  )


def run_on(monkeypatch, caplog, table, held):
  """Products of 3 and of 4 rows on a device with this table; what was said."""
  api._say.cache_clear()
  api._warn.cache_clear()
  monkeypatch.setattr(measured, "table", lambda: table)
  with caplog.at_level(logging.INFO, "bitzero.kernels"):
    for count in (3, 3, 4):
      x = jnp.ones((count, 64), jnp.int8)
      got = api.ternary_matmul(x, held)
      truth = api.ternary_matmul(x, weight(), implementation="base")
      np.testing.assert_array_equal(got, truth)
  return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


def test_a_device_without_a_row_takes_base_and_warns_once(monkeypatch, caplog):
  kind = jax.devices()[0].device_kind
  warned = run_on(monkeypatch, caplog, (), weight())
  assert warned == [f"no kernel was measured on {kind}: base, plain XLA, runs"]
  assert f"ternary_matmul 3x64->32 int8 P=1: base on {kind}" in caplog.messages


def test_a_case_without_a_row_takes_base_and_warns(monkeypatch, caplog):
  kind = jax.devices()[0].device_kind
  table = (ROW._replace(device=kind),)
  held = weight(rows_table=table)
  assert sorted(held.held) == ["signed_words"]
  warned = run_on(monkeypatch, caplog, table, held)
  assert warned == [
    f"no kernel for {count}x64->32 int8 P=1 was measured on {kind}: base, "
    "plain XLA, runs"
    for count in (3, 4)
  ]


def test_layouts_for_more_rows_than_will_come_are_left_out():
  table = (ROW, ROW._replace(least=65, most=99, implementation="mosaic_gpu"))
  options = {"rows_table": table, "device": ROW.device}
  assert sorted(weight(**options).held) == ["fragments", "signed_words"]
  assert sorted(weight(**options, most=64).held) == ["signed_words"]


def test_layouts_for_another_dtype_of_x_are_left_out():
  half = ROW._replace(x="bfloat16", implementation="mosaic_gpu_bfloat16")
  options = {"rows_table": (ROW, half), "device": ROW.device}
  assert sorted(weight(**options).held) == ["half_fragments", "signed_words"]
  assert sorted(weight(**options, dtype="int8").held) == ["signed_words"]


@pytest.mark.parametrize("implementation", api.IMPLEMENTATIONS)
def test_base_reads_every_layout(implementation):
  x = jnp.asarray(np.random.default_rng(0).integers(-9, 9, (2, 64)), jnp.int8)
  residual = jnp.full((2, 32), 0.5)
  held = weight(implementation=implementation)
  got = api.ternary_matmul(x, held, implementation="base", residual=residual)
  truth = api.ternary_matmul(x, weight(), implementation="base")
  np.testing.assert_array_equal(got, truth + residual)


def test_what_an_implementation_cannot_do_is_refused():
  x = jnp.ones((9, 64), jnp.int8)
  words = weight(implementation="triton_gemv")
  with pytest.raises(ValueError, match="kernel 'cuda' must be one of auto, b"):
    weight(implementation="cuda")
  with pytest.raises(ValueError, match="at most 8 rows, got 9"):
    api.ternary_matmul(x, words, implementation="triton_gemv")
  with pytest.raises(ValueError, match="x must be int8, got bfloat16"):
    api.ternary_matmul(
      x.astype(jnp.bfloat16), words, implementation="triton_gemv"
    )
  with pytest.raises(ValueError, match="reads fragments, but the weight is he"):
    api.ternary_matmul(x, words, implementation="mosaic_gpu")
  with pytest.raises(ValueError, match=r"x must be \[..., 64\]"):
    api.ternary_matmul(x[:, :5], words, implementation="base")


def test_rows_with_other_fields_are_refused():
  values = ROW._asdict() | {"speed": 1}
  with pytest.raises(ValueError, match=r"measured row 0: \['speed'\]"):
    measured.read(json.dumps([values]))
  assert measured.read(json.dumps([ROW._asdict()])) == (ROW,)
