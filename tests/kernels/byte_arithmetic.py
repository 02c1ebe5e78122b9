"""A kernel that must not compile for a TPU: it computes on 8-bit lanes.

python tests/kernels/byte_arithmetic.py interpret     right
python tests/kernels/byte_arithmetic.py v5e           refused
"""

import os
import sys

os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from pallas_kernels.ternary_matmul import aot


def kernel(x, fields, out):
  trits = (fields[...] << 6) >> 6
  out[...] = jax.lax.dot_general(
    x[...],
    trits,
    (((1,), (0,)), ((), ())),
    preferred_element_type=jnp.int32,
  )


def product(x, fields, interpret=False):
  shape = jax.ShapeDtypeStruct((x.shape[0], fields.shape[1]), jnp.int32)
  call = pl.pallas_call(kernel, out_shape=shape, interpret=interpret)
  return call(x, fields)


SHAPES = (32, 256), (256, 128)
if sys.argv[1] == "interpret":
  rng = np.random.default_rng(0)
  x = rng.integers(-128, 128, SHAPES[0]).astype(np.int8)
  trits = rng.integers(-1, 2, SHAPES[1]).astype(np.int8)
  got = product(x, trits & 3, pltpu.InterpretParams())
  np.testing.assert_array_equal(got, x.astype(np.int32) @ trits)
else:
  where = jax.sharding.SingleDeviceSharding(aot.device(sys.argv[1]))
  specs = [
    jax.ShapeDtypeStruct(shape, jnp.int8, sharding=where) for shape in SHAPES
  ]
  jax.jit(product).lower(*specs).compile()
