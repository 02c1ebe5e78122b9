"""Dispatch: what the table says, and what nobody has measured."""

import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels.ternary_matmul import api, layout, measured, triton_gemv

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


def test_a_row_decides_by_device_shape_planes_dtype_and_rows_of_x():
  table = (ROW, OTHER)
  held = weight(rows_table=table, device=ROW.device)
  assert sorted(held.held) == ["signed_words"]
  name, tiles = api.choose(held, 2, "int8", rows_table=table, device=ROW.device)
  assert (name, tiles) == ("triton_gemv", triton_gemv.Tiles(8, 64, 2))
  name, _ = api.choose(held, 3, "int8", rows_table=table, device=ROW.device)
  assert name == "triton_dot"


@pytest.mark.parametrize(
  ("count", "dtype", "planes"), [(65, "int8", 1), (1, "bfloat16", 1)]
)
def test_what_nobody_has_measured_is_refused(count, dtype, planes):
  with pytest.raises(ValueError, match="nobody has measured") as error:
    api.choose(weight(), count, dtype, rows_table=(ROW,), device=ROW.device)
  assert "\n" not in str(error.value)
  assert f"{count} rows of {dtype} times 64->32" in str(error.value)


def test_a_device_without_a_row_takes_base_and_says_so(caplog):
  api._say.cache_clear()
  x = jnp.ones((3, 64), jnp.int8)
  with caplog.at_level(logging.INFO, "bitzero.kernels"):
    for _ in range(2):
      api.ternary_matmul(x, weight())
  kind = jax.devices()[0].device_kind
  assert caplog.messages == [
    f"ternary_matmul 3x64->32 int8 P=1: base on {kind}: no kernel was measured "
    "on this device"
  ]


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
  with pytest.raises(ValueError, match="reads canonical, but the weight is he"):
    api.ternary_matmul(x, words, implementation="base")
  with pytest.raises(ValueError, match=r"x must be \[..., 64\]"):
    api.ternary_matmul(x[:, :5], words, implementation="base")


def test_rows_with_other_fields_are_refused():
  values = ROW._asdict() | {"speed": 1}
  with pytest.raises(ValueError, match=r"measured row 0: \['speed'\]"):
    measured.read(json.dumps([values]))
  assert measured.read(json.dumps([ROW._asdict()])) == (ROW,)
