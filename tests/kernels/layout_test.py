"""The bytes of packed trits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels.ternary_matmul import layout


def _trits(shape: tuple[int, ...]) -> jax.Array:
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.integers(-1, 2, shape, dtype=np.int8))


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("rows", [1, 3, 4, 31])
def test_unpack_inverts_pack(lead, rows):
  trits = _trits((*lead, rows, 5))
  packed = jax.jit(layout.pack)(trits)
  assert packed.shape == (*lead, 5, -(-rows // 4))
  assert packed.dtype == jnp.uint8
  unpacked = jax.jit(layout.unpack, static_argnums=1)(packed, rows)
  assert unpacked.dtype == jnp.int8
  np.testing.assert_array_equal(unpacked, trits)


def test_a_byte_holds_rows_a_quarter_apart_lowest_bits_first():
  column = jnp.array([-1, 0, 1, 1, 0, 0, 1, -1], jnp.int8)[:, None]
  rows_0_2_4_6 = 0 | 2 << 2 | 1 << 4 | 2 << 6
  rows_1_3_5_7 = 1 | 2 << 2 | 1 << 4 | 0 << 6
  packed = layout.pack(column)
  np.testing.assert_array_equal(packed, [[rows_0_2_4_6, rows_1_3_5_7]])


def test_every_trit_has_the_documented_place():
  rows, columns = 20, 3
  trits = np.asarray(_trits((rows, columns)))
  packed = np.asarray(layout.pack(jnp.asarray(trits)), np.int32)
  for row in range(rows):
    for column in range(columns):
      byte = packed[column, row % 5]
      assert (byte >> 2 * (row // 5) & 3) - 1 == trits[row, column]


def test_padding_is_the_trit_zero():
  packed = layout.pack(jnp.ones((5, 1), jnp.int8))  # R = 2, rows 5..7 padded
  np.testing.assert_array_equal(
    layout.unpack(packed, 8)[:, 0], [1, 1, 1, 1, 1, 0, 0, 0]
  )


@pytest.mark.parametrize("per_byte", [1, 2, 4, 8])
@pytest.mark.parametrize("rows", [7, 16])
def test_fields_round_trip(per_byte, rows):
  fields = np.random.default_rng(0).integers(
    2 ** (8 // per_byte), size=(rows, 3), dtype=np.uint8
  )
  pack = jax.jit(layout.pack_fields, static_argnums=1)
  unpack = jax.jit(layout.unpack_fields, static_argnums=(1, 2))
  packed = pack(fields, per_byte)
  assert packed.shape == (3, -(-rows // per_byte))
  np.testing.assert_array_equal(unpack(packed, rows, per_byte), fields)


def test_jit_and_vmap_give_the_same_bytes():
  trits = _trits((3, 9, 4))
  expected = layout.pack(trits)
  np.testing.assert_array_equal(jax.jit(layout.pack)(trits), expected)
  np.testing.assert_array_equal(jax.vmap(layout.pack)(trits), expected)


def test_errors_name_what_is_allowed():
  with pytest.raises(TypeError, match="int8"):
    layout.pack(jnp.ones((4, 2), jnp.int32))
  with pytest.raises(ValueError, match=r"\[..., I, O\]"):
    layout.pack(jnp.ones((4,), jnp.int8))
  with pytest.raises(ValueError, match=r"\[..., I, O\]"):
    layout.pack(jnp.ones((0, 4), jnp.int8))
  with pytest.raises(ValueError, match="rows=9"):
    layout.unpack(jnp.ones((4, 2), jnp.uint8), 9)
  with pytest.raises(TypeError, match="uint8"):
    layout.unpack(jnp.ones((4, 2), jnp.int8), 8)
  with pytest.raises(ValueError, match="per_byte"):
    layout.pack_fields(jnp.ones((4, 2), jnp.uint8), 3)
  with pytest.raises(ValueError, match="per_byte"):
    layout.unpack_fields(jnp.ones((4, 2), jnp.uint8), 4, 3)
  with pytest.raises(TypeError, match="uint8"):
    layout.pack_fields(jnp.ones((4, 2), jnp.int8), 4)
