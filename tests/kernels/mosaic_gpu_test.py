"""What can be seen of the Hopper kernel without a GPU: its arithmetic.

No interpreter runs it. That it compiles for an H100 is in aot_test.py; that it
is right there, only `bitzero bench kernels` on one can show.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels.ternary_matmul import (
  layout,
  mosaic_gpu,
  mosaic_gpu_kernel,
  relayout,
)


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_a_register_holds_four_codes_of_all_planes(planes):
  rng = np.random.default_rng(planes)
  trits = rng.integers(-1, 2, (planes, 64, 64), dtype=np.int8)
  trits[:, :2, :2] = np.array([[-1, 1], [1, -1]])  # both ends of the range
  codes = np.tensordot(3 ** np.arange(planes - 1, -1, -1), trits, 1)
  assert np.abs(codes).max() == (3**planes - 1) // 2
  packed = layout.pack(jnp.asarray(trits))
  words = np.asarray(relayout.fragments(packed, 64))  # [P, 1, 2, 128]
  unit = 64 if planes == 1 else 1
  for part in range(2):
    for register in range(4):
      joined = mosaic_gpu.join(list(words[:, 0, part]), register)
      assert joined.dtype == np.int32
      for thread in range(128):
        warp, group, lane = thread // 32, thread % 32 // 4, thread % 4
        output = 16 * warp + group + 8 * (register % 2)
        begin = 32 * part + 16 * (register // 2) + 4 * lane
        four = joined[thread : thread + 1].view(np.int8)
        np.testing.assert_array_equal(
          four, unit * codes[begin : begin + 4, output]
        )


def test_a_register_holds_two_trits_of_bfloat16():
  rng = np.random.default_rng(0)
  trits = rng.integers(-1, 2, (1, 64, 64), dtype=np.int8)
  packed = layout.pack(jnp.asarray(trits))
  words = np.asarray(relayout.fragments(packed, 64, each=2))  # [1, 1, 2, 128]
  for part in range(2):
    for register in range(8):
      made = mosaic_gpu.halves(words[0, 0, part], register)
      assert made.dtype == np.int32
      for thread in range(128):
        warp, group, lane = thread // 32, thread % 32 // 4, thread % 4
        output = 16 * warp + group + 8 * (register % 2)
        begin = 32 * part + 8 * (register // 2) + 2 * lane
        two = made[thread : thread + 1].view(jnp.bfloat16).astype(np.float32)
        np.testing.assert_array_equal(
          two, 2.0 * trits[0, begin : begin + 2, output]
        )


def test_what_it_cannot_do_is_refused():
  x = jnp.ones((4, 128), jnp.int8)
  words = jnp.ones((1, 1, 4, 128), jnp.int32)
  scale = jnp.float32(1)
  with pytest.raises(ValueError, match="it needs a GPU"):
    mosaic_gpu.forward(x, words, scale, columns=64, interpret=True)
  with pytest.raises(TypeError, match="int8 or bfloat16, got float32"):
    mosaic_gpu.forward(x.astype(jnp.float32), words, scale, columns=64)
  for given, most in ((x, 4), (x.astype(jnp.bfloat16), 1)):
    more = jnp.ones((most + 1, 1, 4, 128), jnp.int32)
    with pytest.raises(
      ValueError, match=f"at most {most} planes for {given.dtype}"
    ):
      mosaic_gpu.forward(given, more, scale, columns=64)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5])
def test_no_block_asks_for_registers_that_it_was_not_launched_with(groups):
  """Asking for one more is waiting for ever: nothing on a CPU would show it."""
  threads = 128 * (groups + 1)
  launched = 65536 // threads // 8 * 8 * (groups + 1)
  each = mosaic_gpu_kernel._registers(groups)
  assert each % 8 == 0 and 24 <= each <= 256
  assert groups * each + mosaic_gpu_kernel._LOADER <= launched
