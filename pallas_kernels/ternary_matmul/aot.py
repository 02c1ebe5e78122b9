"""Compiles the kernels for devices that are not here.

    python -m pallas_kernels.ternary_matmul.aot --target=v5e --kernel=forward

prints a line of JSON. The TPU's compiler is in libtpu (`pip install
'jax[tpu]'`), the GPU's in the CUDA plugin; both run on a CPU. A compiler that
gives up may take its process with it, so run each case in one of its own.

That a kernel compiles says that it is legal for the device and fits into its
memory. It says nothing about its numbers or its time.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

# As XLA prints it on that card; the fields that the compiler asks for.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 3352320000000
  l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84978434048 registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 13 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
TPUS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2", "v5p": "v5p:2x2x1"}
GPUS = {"h100": H100}
TARGETS = (*TPUS, *GPUS)


def devices(target: str, gpus: int = 1) -> list[Any]:
  """Those of a target that need not exist, so many where they are GPUs.

  Raises:
    ValueError: the target is unknown.
    RuntimeError: its compiler is not installed.
  """
  from jax.experimental import topologies

  if target not in TARGETS:
    raise ValueError(f"target={target!r} must be one of {', '.join(TARGETS)}")
  try:
    if target in TPUS:
      found = topologies.get_topology_desc(
        platform="tpu", topology_name=TPUS[target]
      )
    else:
      found = topologies.get_topology_desc(
        platform="cuda",
        topology_name=f"1x1x{gpus}",
        topology=f"1x1x{gpus}",
        target_config=GPUS[target],
      )
  except Exception as error:
    extra = "tpu" if target in TPUS else "cuda"
    raise RuntimeError(
      f"{target}: no compiler here: pip install 'bitzero-jax[{extra}]' "
      f"({str(error).splitlines()[0][:80]})"
    ) from None
  return list(found.devices)


def device(target: str) -> Any:
  """The first one of `devices`."""
  return devices(target)[0]


def described(kernel: str) -> Any:
  """A context: from JAX 0.11 on Triton's lowering asks which GPU it is for."""
  import jax

  if not kernel.startswith("triton") or jax.__version_info__ < (0, 11):
    return contextlib.nullcontext()
  described = jax.sharding.AbstractDevice(
    device_kind="NVIDIA H100 80GB HBM3", num_cores=132, platform="cuda"
  )
  mesh = jax.sharding.AbstractMesh((1,), ("x",), abstract_device=described)
  return jax.sharding.use_abstract_mesh(mesh)


def _spec(shape: Sequence[int], dtype: Any, sharding: Any) -> Any:
  import jax

  return jax.ShapeDtypeStruct(tuple(shape), dtype, sharding=sharding)


class Case(NamedTuple):
  """One compilation.

  Attributes:
    kernel: a name in `KERNELS`.
    rows, columns: K and N.
    count: M, rows of x.
    planes: digit planes.
    x: dtype of x, by name.
    per_column: whether each column has a scale.
    tiles: of the kernel, in their order; empty for its defaults.
  """

  kernel: str
  rows: int
  columns: int
  count: int
  planes: int = 1
  x: str = "int8"
  per_column: bool = False
  tiles: tuple[int, ...] = ()


# "ready" is the TPU's product with int8 trits, which has nothing to unpack.
KERNELS = (
  "forward",
  "input_gradient",
  "ready",
  "triton_gemv",
  "triton_dot",
  "mosaic_gpu",
  "mosaic_gpu_bfloat16",
)


def program(case: Case) -> tuple[Callable[..., Any], list]:
  """The function that is compiled, and (shape, dtype) of its arguments."""
  import jax.numpy as jnp

  from pallas_kernels.ternary_matmul import (
    mosaic_gpu,
    mosaic_tpu,
    triton_dot,
    triton_gemv,
  )

  rows, columns, planes = case.rows, case.columns, case.planes
  module: Any = {
    "triton_gemv": triton_gemv,
    "triton_dot": triton_dot,
    "mosaic_gpu": mosaic_gpu,
    "mosaic_gpu_bfloat16": mosaic_gpu,
  }.get(case.kernel, mosaic_tpu)
  tiles = module.Tiles(*case.tiles)
  low, wide = -(-rows // 128) * 8, -(-columns // 128) * 128
  run = -(-rows // 256) * 16
  blocks = (planes, -(-columns // 64), -(-rows // 32), 128), jnp.int32
  words, held = {
    "ready": ((planes, low * 16, wide), jnp.int8),
    "triton_gemv": ((planes, columns, run), jnp.int32),
    "triton_dot": ((planes, columns, run), jnp.int32),
    "mosaic_gpu": blocks,
    "mosaic_gpu_bfloat16": blocks,
  }.get(case.kernel, ((planes, low, wide), jnp.int32))
  scale = (1, columns) if case.per_column else ()
  shared = [(words, held), (scale, jnp.float32)]
  if case.kernel == "input_gradient":

    def backward(g, words, scale):
      return mosaic_tpu.input_gradient(
        g, words, scale, rows=rows, out_dtype=jnp.bfloat16, tiles=tiles
      )

    return backward, [((case.count, columns), jnp.bfloat16), *shared]
  more = {} if case.kernel.startswith("triton") else {"columns": columns}

  def forward(x, words, scale, x_scale):
    return module.forward(
      x, words, scale, x_scale, out_dtype=jnp.bfloat16, tiles=tiles, **more
    )

  given = ((case.count, rows), jnp.dtype(case.x))
  return forward, [given, *shared, ((case.count, 1), jnp.float32)]


def compiled(target: str, case: Case) -> dict[str, Any]:
  """Compiles a case for a target.

  Returns:
    "calls": names of the custom calls in the compiled text; bytes of the
    arguments, of the results and of what is kept between.
  """
  import jax

  sharding = jax.sharding.SingleDeviceSharding(device(target))
  function, shapes = program(case)
  arguments = [_spec(shape, kind, sharding) for shape, kind in shapes]
  with described(case.kernel):
    lowered = jax.jit(function).lower(*arguments)
  done = lowered.compile()
  text, memory = done.as_text() or "", done.memory_analysis()
  known = ("tpu_custom_call", "mosaic_gpu", "__gpu$xla.gpu.triton")
  assert memory is not None
  return case._asdict() | {
    "target": target,
    "calls": [name for name in known if name in text],
    "argument_bytes": memory.argument_size_in_bytes,
    "output_bytes": memory.output_size_in_bytes,
    "temporary_bytes": memory.temp_size_in_bytes,
  }


def _shape(text: str) -> tuple[int, int]:
  rows, _, columns = text.partition("x")
  if not (rows.isdecimal() and columns.isdecimal()):
    raise argparse.ArgumentTypeError(f"{text!r} must be K x N, as 2560x6912")
  return int(rows), int(columns)


def parser() -> argparse.ArgumentParser:
  """What can be asked for; several shapes and counts are one process."""
  made = argparse.ArgumentParser(
    prog="aot", description="Compiles kernels for a device that is not here."
  )
  made.add_argument("--target", required=True, choices=TARGETS)
  made.add_argument("--kernel", required=True, choices=KERNELS)
  made.add_argument(
    "--shapes",
    nargs="+",
    type=_shape,
    default=[(2560, 6912)],
    help="K x N, as 2560x6912",
  )
  made.add_argument(
    "--count", type=int, nargs="+", default=[1], help="rows of x"
  )
  made.add_argument("--planes", type=int, default=1)
  made.add_argument("--x", default="int8", choices=("int8", "bfloat16"))
  made.add_argument("--per-column", action="store_true")
  made.add_argument("--tiles", type=int, nargs="*", default=[])
  return made


def main(arguments: Sequence[str] | None = None) -> int:
  """Compiles, and prints a JSON object in a line for each case."""
  options = parser().parse_args(arguments)
  # Nothing may look for a device that is not here.
  os.environ["JAX_PLATFORMS"] = "cpu"
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
  try:
    device(options.target)
  except RuntimeError as error:
    parser().error(str(error))
  for rows, columns in options.shapes:
    for count in options.count:
      case = Case(
        options.kernel,
        rows,
        columns,
        count,
        options.planes,
        options.x,
        options.per_column,
        tuple(options.tiles),
      )
      print(json.dumps(compiled(options.target, case)), flush=True)
  return 0


if __name__ == "__main__":
  sys.exit(main())
