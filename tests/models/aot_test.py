"""A whole decoding step, packed, by the compilers of devices not here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pallas_kernels.ternary_matmul import aot

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def printed(script: str, *options: str) -> dict:
  """What a script in a process of its own prints as JSON."""
  plain = {k: v for k, v in os.environ.items() if k[:9] != "JAX_COMPI"}
  done = subprocess.run(
    [sys.executable, str(Path(__file__).with_name(script)), *options],
    cwd=ROOT,
    env=plain | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return json.loads(done.stdout)


@pytest.mark.parametrize("target", aot.TPUS)
def test_decoding_reads_packed_weights_through_the_kernel(target):
  if importlib.util.find_spec("libtpu") is None:
    if "tpu" in os.environ.get("BITZERO_AOT", ""):
      pytest.fail("libtpu must be installed for this job")
    pytest.skip("needs libtpu")
  seen = printed("aot_decode.py", target)
  assert seen["calls"] == seen["kernels"] == 14
  # Packed weights, the float32 embedding, the cache in tiles; and little else.
  packed = 1.05 * seen["weights"] / 4
  rest = seen["embedding_bytes"] + 2 * seen["cache_bytes"] + 2**17
  assert packed / 1.05 < seen["argument_bytes"] <= packed + rest


def test_fused_decoding_is_nine_kernels_a_layer_and_copies_no_cache():
  if importlib.util.find_spec("jax_cuda13_plugin") is None:
    if "cuda" in os.environ.get("BITZERO_AOT", ""):
      pytest.fail("jax[cuda13] must be installed for this job")
    pytest.skip("needs the CUDA plugin")
  seen = printed("aot_fused.py")
  kernels = {"norm_quantize": 8, "ternary_gemv": 8, "decode_attention": 2}
  assert seen == {"calls": kernels, "copies": 0}
