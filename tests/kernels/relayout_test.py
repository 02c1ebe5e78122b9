"""The kernels' layouts hold the canonical trits, each in its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels.ternary_matmul import layout, relayout

# planes, rows, columns
SHAPES = [(1, 1, 1), (2, 37, 5), (3, 64, 64), (4, 130, 70), (5, 33, 2)]


def draw(planes, rows, columns):
  rng = np.random.default_rng(planes)
  trits = rng.integers(-1, 2, (planes, rows, columns), dtype=np.int8)
  return trits, layout.pack(jnp.asarray(trits))


def two_bits(word: int, shift: int) -> int:
  """A two's complement field of a word, by arithmetic on Python's integers."""
  field = int(word) >> shift & 3
  return field - 4 if field & 2 else field


def test_every_byte_of_trits_turns_into_twos_complement_and_back():
  codes = np.stack(np.meshgrid(*[np.arange(3)] * 4), -1).reshape(-1, 4)
  packed = (codes << np.array([0, 2, 4, 6])).sum(1).astype(np.uint8)
  fields = relayout.to_signed(jnp.asarray(packed))
  for byte, row in zip(np.asarray(fields), codes, strict=True):
    assert [two_bits(byte, 2 * i) for i in range(4)] == list(row - 1)
  np.testing.assert_array_equal(relayout.from_signed(fields), packed)


@pytest.mark.parametrize(("planes", "rows", "columns"), SHAPES)
def test_round_trips(planes, rows, columns):
  _, packed = draw(planes, rows, columns)
  there = jax.jit(relayout.signed_words)(packed)
  assert there.shape == (planes, columns, 16 * -(-packed.shape[-1] // 64))
  back = relayout.from_signed_words(there, rows)
  np.testing.assert_array_equal(back, packed)

  there = jax.jit(relayout.int2_words, static_argnums=1)(packed, rows)
  assert there.shape[1] % 8 == 0 and there.shape[2] % 128 == 0
  back = relayout.from_int2_words(there, rows, columns)
  np.testing.assert_array_equal(back, packed)

  for each in (4, 2):
    made = jax.jit(relayout.fragments, static_argnums=(1, 2))
    there = made(packed, rows, each)
    assert there.shape[1:] == (-(-columns // 64), -(-rows // 32), 128)
    back = relayout.from_fragments(there, rows, columns, each)
    np.testing.assert_array_equal(back, packed)


@pytest.mark.parametrize("rows", [33, 64])
def test_a_signed_word_and_the_quarters_of_x_meet(rows):
  trits, packed = draw(1, rows, 3)
  held = np.asarray(relayout.signed_words(packed))[0].view(np.uint8)
  numbers = np.arange(1, rows + 1, dtype=np.int32)  # x says its own place
  x = np.asarray(relayout.quarters(jnp.asarray(numbers)))
  assert x.shape == (4, held.shape[1])
  for column in range(3):
    for quarter, byte in np.ndindex(x.shape):
      trit = two_bits(held[column, byte], 2 * quarter)
      row = x[quarter, byte] - 1
      assert trit == (trits[0, row, column] if row >= 0 else 0)


def test_an_int2_word_holds_sixteen_consecutive_rows():
  trits, packed = draw(2, 40, 3)
  held = np.asarray(relayout.int2_words(packed, 40))
  for plane, row, column in np.ndindex(trits.shape):
    word = held[plane, row // 16, column]
    assert two_bits(word, 2 * (row % 16)) == trits[plane, row, column]


def test_a_fragment_word_is_what_one_thread_feeds_to_wgmma():
  """Against the PTX table of the A fragment, written out thread by thread."""
  trits, packed = draw(1, 64, 128)
  held = np.asarray(relayout.fragments(packed, 64))[0]
  for thread in range(128):
    warp, group, lane = thread // 32, thread % 32 // 4, thread % 4
    for element in range(16):  # a0 ... a15 of the thread
      high = element // 4 % 2  # a4 ... a7 and a12 ... a15: eight rows below
      output = 16 * warp + group + 8 * high
      inputs = 4 * lane + element % 4 + (16 if element >= 8 else 0)
      register, byte = element // 4, element % 4
      word = held[1, 1, thread]
      trit = two_bits(word, 8 * byte + 2 * register)
      assert trit == trits[0, 32 + inputs, 64 + output]
