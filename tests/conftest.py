"""What every test runs under. JAX reads the environment when first imported."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import hypothesis
import pytest

TESTS = pathlib.Path(__file__).parent

for name, value in {
  "JAX_PLATFORMS": "cpu",
  # Compiled programs are kept for the next test run.
  "JAX_COMPILATION_CACHE_DIR": str(TESTS.parent / ".cache" / "jax"),
  "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}.items():
  os.environ.setdefault(name, value)

# A first call compiles, so the time of one example says nothing.
hypothesis.settings.register_profile(
  "house", parent=hypothesis.settings(), deadline=None
)
hypothesis.settings.load_profile("house")

# Where the numbers are made, no dtype is widened unasked. The rooms above run
# optax, whose adam adds a float to an int32 count and fails under this.
STRICT_ROOMS = ("contracts", "kernels", "language", "models", "quant")


@pytest.fixture(autouse=True)
def dtype_promotion(request):
  import jax

  room = request.path.relative_to(TESTS).parts[0]
  mode = "strict" if room in STRICT_ROOMS else "standard"
  with jax.numpy_dtype_promotion(mode):
    yield


# A compiler's package here, and what has to be installed for it.
COMPILERS = {
  "tpu": ("libtpu", "libtpu"),
  "cuda": ("jax_cuda13_plugin", "jax[cuda13]"),
}


@pytest.fixture
def compiled_here(request):
  """What a script beside the test prints as JSON, where a compiler is here.

  A missing one fails where BITZERO_AOT names it. The compilation cache of other
  tests would hide that a compiler refuses.
  """

  def run(compiler: str, script: str, *options: str) -> dict:
    module, package = COMPILERS[compiler]
    if importlib.util.find_spec(module) is None:
      if compiler in os.environ.get("BITZERO_AOT", ""):
        pytest.fail(f"{package} must be installed for this job")
      pytest.skip(f"needs {package}")
    plain = {k: v for k, v in os.environ.items() if k[:9] != "JAX_COMPI"}
    done = subprocess.run(
      [sys.executable, str(request.path.with_name(script)), *options],
      cwd=TESTS.parent,
      env=plain | {"PYTHONPATH": str(TESTS.parent)},
      capture_output=True,
      text=True,
      timeout=600,
      check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)

  return run
