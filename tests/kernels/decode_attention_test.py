"""One token's attention: the kernel against plain XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels import decode_attention

BATCH, HEADS, KV, WIDTH, SLOTS = 2, 4, 2, 32, 32


def draw(dtype, column=19, heads=HEADS):
  rng = np.random.default_rng(0)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), dtype)

  seen = np.asarray(rng.random((BATCH, SLOTS)) < 0.8, np.int8)
  seen[:, column:] = 0
  angles = rng.uniform(0, 6, (BATCH, WIDTH // 2))
  return (
    normal(BATCH, heads + 2 * KV, WIDTH),
    normal(BATCH, SLOTS, KV, WIDTH),
    normal(BATCH, SLOTS, KV, WIDTH),
    jnp.asarray(seen),
    jnp.int32(column),
    jnp.asarray(np.cos(angles), jnp.float32),
    jnp.asarray(np.sin(angles), jnp.float32),
  )


@pytest.mark.parametrize("share", [None, 1])
@pytest.mark.parametrize("column", [0, 19])
def test_the_kernel_reads_and_stores_what_base_does(share, column):
  given = draw(jnp.float32, column)
  wanted = decode_attention.base(*given)
  got = decode_attention.triton(*given, share=share, block=16, interpret=True)
  for mine, its in zip(got, wanted, strict=True):
    np.testing.assert_allclose(mine, its, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("column", [0, 19])
def test_parts_of_the_slots_come_to_the_whole(column):
  """Nothing at all is seen in the second part where the column is 0."""
  given = draw(jnp.float32, column)
  wanted = decode_attention.base(*given)
  read, *stored = decode_attention.triton(
    *given, block=16, parts=2, interpret=True
  )
  assert isinstance(read, decode_attention.Partial)
  for mine, its in zip(
    (read.merged(jnp.float32), *stored), wanted, strict=True
  ):
    np.testing.assert_allclose(mine, its, rtol=2e-5, atol=2e-5)


def test_slots_that_are_not_seen_change_nothing():
  given = list(draw(jnp.float32))
  read, *_ = decode_attention.base(*given)
  noise = jnp.where(given[3][:, :, None, None] == 0, 7.0, 0.0)
  given[1], given[2] = given[1] + noise, given[2] + noise
  again, *_ = decode_attention.base(*given)
  np.testing.assert_array_equal(read, again)


def test_more_query_heads_than_a_program_holds_are_shared_out():
  """24 of one key head: a program with all of them would leave 8 unread."""
  given = draw(jnp.float32, heads=24 * KV)
  wanted, *_ = decode_attention.base(*given)
  got, *_ = decode_attention.triton(*given, block=16, interpret=True)
  np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  ("options", "said"),
  [
    ({"block": 24}, "block=24 must be a power of two, at least 16, and divide"),
    ({"block": 64}, "block=64 must .* and divide the 32 slots"),
    ({"block": 8}, "block=8 must be a power of two, at least 16"),
    ({"share": 3}, "share=3 must divide the 2 query heads of a key head"),
    ({"share": 0}, "share=0 must divide"),
    ({"parts": 3}, "parts=3 must be 1 to 2, the blocks"),
  ],
)
def test_a_cut_that_does_not_fit_is_refused(options, said):
  cut = {"block": 16, **options}
  with pytest.raises(ValueError, match=said):
    decode_attention.triton(*draw(jnp.float32), **cut, interpret=True)


@pytest.mark.parametrize(
  "run", [decode_attention.base, decode_attention.triton]
)
def test_heads_that_cannot_be_grouped_are_refused(run):
  for heads in (0, 3):
    with pytest.raises(
      ValueError, match="with N a multiple of KV=2, got shape"
    ):
      run(*draw(jnp.float32, heads=heads))


def test_a_width_that_is_no_power_of_two_is_refused():
  qkv, keys, values, *rest = draw(jnp.float32)
  given = (qkv[..., :24], keys[..., :24], values[..., :24], *rest)
  with pytest.raises(ValueError, match="the head width 24 must be a power of"):
    decode_attention.triton(*given, block=16, interpret=True)


def test_only_the_slot_of_the_token_is_written():
  given = draw(jnp.bfloat16)
  _, keys, values = decode_attention.triton(*given, block=16, interpret=True)
  for mine, its in ((keys, given[1]), (values, given[2])):
    off = np.asarray(jnp.any(mine != its, axis=(0, 2, 3)))
    assert off.nonzero()[0].tolist() == [19]
    assert mine.dtype == jax.numpy.bfloat16
