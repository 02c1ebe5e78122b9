"""Symmetric integers of 4 or 8 bits, scaled by each column's largest weight."""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.quant import base
from pallas_kernels.ternary_matmul import layout

_ALLOWED = (4, 8)


def quantizer(bits: int) -> base.Quantizer:
  """Rounds weights to the integers -q to q, with q = 2^(bits-1) - 1.

  s = max(max |W|, 1e-5) / q for each output column, codes = round(W / s). No
  weight is out of range, and the gradient is the identity everywhere.

  Args:
    bits: 4 or 8.

  Raises:
    ValueError: `bits` is neither 4 nor 8.
  """
  if bits not in _ALLOWED:
    raise ValueError(f"bits must be 4 or 8, got {bits}")
  top = 2 ** (bits - 1) - 1
  per_byte = 8 // bits

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    del params
    wide = base.to_float32(weight)
    largest = jnp.max(jnp.abs(wide), axis=0, keepdims=True)  # [1, O]
    scale = jnp.maximum(largest, base.EPS) * np.float32(1 / top)
    codes = jnp.clip(jnp.round(base.divide(wide, scale)), -top, top)
    return codes.astype(jnp.int8), scale

  def pack(codes: jax.Array, scale: jax.Array) -> base.Packed:
    shifted = (codes.astype(jnp.int32) + top).astype(jnp.uint8)
    planes = layout.pack_fields(shifted[None], per_byte)
    return base.Packed(planes, scale, codes.shape)

  def unpack(packed: base.Packed) -> base.Coded:
    shifted = layout.unpack_fields(packed.planes[0], packed.shape[0], per_byte)
    return (shifted.astype(jnp.int32) - top).astype(jnp.int8), packed.scale

  spec = base.QuantSpec(
    name=f"int{bits}",
    planes=0,
    code_bits=bits,
    stored_bits=bits + 16 / 32,  # an fp16 scale for 32 weights: Q4_0, Q8_0
    granularity="column",
  )
  return base.build(spec, quantize=quantize, pack=pack, unpack=unpack)
