"""LEARN by the compiler of GPUs not here: what two of them would wait for."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_no_loop_goes_over_split_rows():
  if importlib.util.find_spec("jax_cuda13_plugin") is None:
    if "cuda" in os.environ.get("BITZERO_AOT", ""):
      pytest.fail("jax[cuda13] must be installed for this job")
    pytest.skip("needs the CUDA plugin")
  plain = {k: v for k, v in os.environ.items() if k[:9] != "JAX_COMPI"}
  done = subprocess.run(
    [sys.executable, str(Path(__file__).with_name("aot_learn.py"))],
    cwd=ROOT,
    env=plain | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  seen = json.loads(done.stdout)
  # The updates are a loop themselves, and the longest.
  assert max(seen["steps"]) == seen["updates"], seen
