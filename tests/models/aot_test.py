"""A whole decoding step, packed, by the compilers of devices not here."""

import pytest

from pallas_kernels.ternary_matmul import aot

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", aot.TPUS)
def test_decoding_reads_packed_weights_through_the_kernel(
  target, compiled_here
):
  seen = compiled_here("tpu", "aot_decode.py", target)
  assert seen["calls"] == seen["kernels"] == 14
  # Packed weights, the float32 embedding, the cache in tiles; and little else.
  packed = 1.05 * seen["weights"] / 4
  rest = seen["embedding_bytes"] + 2 * seen["cache_bytes"] + 2**17
  assert packed / 1.05 < seen["argument_bytes"] <= packed + rest


def test_fused_decoding_is_nine_kernels_a_layer_and_copies_no_cache(
  compiled_here,
):
  seen = compiled_here("cuda", "aot_fused.py")
  kernels = {"norm_quantize": 8, "ternary_gemv": 8, "decode_attention": 2}
  assert seen == {"calls": kernels, "copies": 0}
