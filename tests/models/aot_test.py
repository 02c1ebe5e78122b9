"""A whole decoding step, packed, by the TPU's own compiler."""

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


@pytest.mark.parametrize("target", aot.TPUS)
def test_decoding_reads_packed_weights_through_the_kernel(target):
  if importlib.util.find_spec("libtpu") is None:
    if "tpu" in os.environ.get("BITZERO_AOT", ""):
      pytest.fail("libtpu must be installed for this job")
    pytest.skip("needs libtpu")
  plain = {k: v for k, v in os.environ.items() if k[:9] != "JAX_COMPI"}
  done = subprocess.run(
    [sys.executable, str(Path(__file__).with_name("aot_decode.py")), target],
    cwd=ROOT,
    env=plain | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  seen = json.loads(done.stdout)
  assert seen["calls"] == seen["kernels"] == 14
  # Packed weights, the float32 embedding, the cache in tiles; and little else.
  packed = 1.05 * seen["weights"] / 4
  rest = seen["embedding_bytes"] + 2 * seen["cache_bytes"] + 2**17
  assert packed / 1.05 < seen["argument_bytes"] <= packed + rest
