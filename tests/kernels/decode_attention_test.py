"""One token's attention: the kernel against plain XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels import decode_attention

BATCH, HEADS, KV, WIDTH, SLOTS = 2, 4, 2, 32, 32


def draw(dtype, column=19):
  rng = np.random.default_rng(0)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), dtype)

  seen = np.asarray(rng.random((BATCH, SLOTS)) < 0.8, np.int8)
  seen[:, column:] = 0
  angles = rng.uniform(0, 6, (BATCH, WIDTH // 2))
  return (
    normal(BATCH, HEADS + 2 * KV, WIDTH),
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


def test_slots_that_are_not_seen_change_nothing():
  given = list(draw(jnp.float32))
  read, *_ = decode_attention.base(*given)
  noise = jnp.where(given[3][:, :, None, None] == 0, 7.0, 0.0)
  given[1], given[2] = given[1] + noise, given[2] + noise
  again, *_ = decode_attention.base(*given)
  np.testing.assert_array_equal(read, again)


def test_a_block_that_does_not_divide_the_slots_is_refused():
  with pytest.raises(ValueError, match="block=24 must divide the 32 slots"):
    decode_attention.triton(*draw(jnp.float32), block=24, interpret=True)


def test_only_the_slot_of_the_token_is_written():
  given = draw(jnp.bfloat16)
  _, keys, values = decode_attention.triton(*given, block=16, interpret=True)
  for mine, its in ((keys, given[1]), (values, given[2])):
    off = np.asarray(jnp.any(mine != its, axis=(0, 2, 3)))
    assert off.nonzero()[0].tolist() == [19]
    assert mine.dtype == jax.numpy.bfloat16
