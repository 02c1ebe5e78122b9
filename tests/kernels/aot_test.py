"""Every kernel, compiled by the real compilers for devices that are not here.

`pytest -m slow tests/kernels/aot_test.py`, with libtpu (`pip install
'jax[tpu]'`) or a CUDA plugin. A compiler that is missing skips its tests, but
fails them where BITZERO_AOT names its targets, as in the job that exists for
them: a skipped test proves nothing. Each case is a process of its own, because
a compiler that gives up may end it.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pallas_kernels.ternary_matmul import aot, schedule
from pallas_kernels.ternary_matmul.shapes import LAYERS

ROOT = Path(__file__).parents[2]
COUNTS = (1, 16, 32, 256)
SHAPES = [f"{s.rows}x{s.columns}" for s in LAYERS.values()]
REQUIRED = os.environ.get("BITZERO_AOT", "").split(",")  # "tpu", "cuda"
COMPILERS = {"tpu": ["libtpu"], "cuda": ["jax-cuda13-plugin", "nvidia-nvvm"]}

pytestmark = pytest.mark.slow


def need(compiler: str) -> None:
  missing = []
  for package in COMPILERS[compiler]:
    try:
      importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      missing.append(package)
  if missing and compiler in REQUIRED:
    pytest.fail(f"{' and '.join(missing)} must be installed for this job")
  if missing:
    pytest.skip(f"needs {' and '.join(missing)}")


def process(*command: str) -> subprocess.CompletedProcess[str]:
  # The compilation cache of other tests would hide that a compiler refuses.
  plain = {k: v for k, v in os.environ.items() if k[:9] != "JAX_COMPI"}
  return subprocess.run(
    [sys.executable, *command],
    cwd=ROOT,
    env=plain,
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )


def compiled(target: str, kernel: str, *options: str) -> list[dict]:
  need("tpu" if target in aot.TPUS else "cuda")
  done = process(
    *("-m", "pallas_kernels.ternary_matmul.aot"),
    *(f"--target={target}", f"--kernel={kernel}", *options),
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return [json.loads(line) for line in done.stdout.splitlines()]


def listed(name: str, values) -> list[str]:
  return [f"--{name}", *map(str, values)]


def weight_bytes(case: dict) -> float:
  return case["planes"] * case["rows"] * case["columns"] / 4


@pytest.mark.parametrize("target", aot.TPUS)
@pytest.mark.parametrize(
  ("kernel", "x"),
  [("forward", "int8"), ("forward", "bfloat16"), ("input_gradient", "int8")],
)
def test_a_tpu_kernel_compiles_and_its_weights_stay_packed(target, kernel, x):
  cases = compiled(
    target,
    kernel,
    f"--x={x}",
    *listed("shapes", SHAPES),
    *listed("count", COUNTS),
  )
  assert len(cases) == len(SHAPES) * len(COUNTS)
  width = 1 if x == "int8" and kernel == "forward" else 2
  for case in cases:
    assert case["calls"] == ["tpu_custom_call"]
    features = case["rows" if kernel == "forward" else "columns"]
    # A row of x takes whole tiles of memory.
    given = max(case["count"], 32) * features * width
    scales = 4 * (case["columns"] + 128 * max(case["count"], 8))
    assert case["argument_bytes"] <= 1.05 * weight_bytes(case) + given + scales


@pytest.mark.parametrize("target", aot.TPUS)
@pytest.mark.parametrize("planes", [2, 5])
@pytest.mark.parametrize("kernel", ["forward", "input_gradient"])
def test_planes_and_a_scale_for_each_column_compile_too(target, planes, kernel):
  cases = compiled(
    target,
    kernel,
    f"--planes={planes}",
    "--per-column",
    *listed("count", (1, 32)),
  )
  for case in cases:
    assert case["calls"] == ["tpu_custom_call"]
    assert case["argument_bytes"] >= weight_bytes(case)


# The gates must bite.
def test_more_than_the_memory_of_a_tpu_is_refused():
  need("tpu")
  done = process(
    *("-m", "pallas_kernels.ternary_matmul.aot"),
    *("--target=v5e", "--kernel=forward", "--shapes=2560x128"),
    f"--count={2**23}",
  )
  assert done.returncode != 0
  assert "RESOURCE_EXHAUSTED" in done.stderr and "hbm" in done.stderr.lower()


def test_more_than_the_vector_memory_of_a_tpu_is_refused():
  need("tpu")
  done = process(
    *("-m", "pallas_kernels.ternary_matmul.aot"),
    *("--target=v5e", "--kernel=forward", "--shapes=8192x8192"),
    *("--count=1024", "--tiles", "1024", "4096", "1024"),
  )
  assert done.returncode != 0
  assert "vmem" in done.stderr.lower()


def test_arithmetic_on_bytes_passes_interpret_mode_and_no_compiler():
  """Why interpret mode alone is no evidence of a TPU."""
  need("tpu")
  control = Path(__file__).with_name("byte_arithmetic.py")
  right = process(str(control), "interpret")
  assert right.returncode == 0, right.stderr[-2000:]
  done = process(str(control), "v5e")
  assert done.returncode != 0
  assert "i8" in done.stderr


@pytest.mark.parametrize("target", aot.TPUS)
@pytest.mark.parametrize("count", schedule.BARS)
def test_unpacking_costs_few_bundles(target, count):
  need("tpu")
  ours = schedule.measure(target, "forward", count)
  ready = schedule.measure(target, "ready", count)
  assert ours is not None and ready is not None, "not available"
  assert ours.bundles <= schedule.BARS[count] * ready.bundles


@pytest.mark.parametrize(
  ("kernel", "call", "options"),
  [
    ("triton_gemv", "__gpu$xla.gpu.triton", ["--count", "1", "2", "8"]),
    ("triton_dot", "__gpu$xla.gpu.triton", ["--count", "16", "1024"]),
    (
      "triton_dot",
      "__gpu$xla.gpu.triton",
      ["--count=1024", "--x=bfloat16", "--tiles", *"128 128 64 8 3 1".split()],
    ),
    (
      "triton_dot",
      "__gpu$xla.gpu.triton",
      ["--count=32", "--planes=2", "--tiles", *"32 32 64 2 4 4".split()],
    ),
    ("mosaic_gpu", "mosaic_gpu", ["--count", "128", "1024"]),
    (
      "mosaic_gpu",
      "mosaic_gpu",
      ["--count=16", "--planes=2", "--tiles", *"1 1 16 6".split()],
    ),
    (
      "mosaic_gpu",
      "mosaic_gpu",
      ["--count=8192", "--per-column", "--tiles", *"2 2 128 4".split()],
    ),
  ],
)
def test_a_gpu_kernel_compiles_for_an_h100(kernel, call, options):
  for case in compiled("h100", kernel, *options):
    assert case["calls"] == [call]
    assert case["argument_bytes"] >= weight_bytes(case)


def test_a_shape_that_is_none_ends_in_one_line(capsys):
  with pytest.raises(SystemExit) as stopped:
    aot.main(["--target=v5e", "--kernel=forward", "--shapes", "2560"])
  assert stopped.value.code == 2
  assert "'2560' must be K x N, as 2560x6912" in capsys.readouterr().err
