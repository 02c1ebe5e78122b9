"""What every test runs under. JAX reads the environment when first imported."""

import os
import pathlib

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
