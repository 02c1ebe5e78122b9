"""No quantization: the full-precision control, and its bfloat16 form."""

import jax
import jax.numpy as jnp

from bitzero_jax.quant import base
from pallas_kernels.ternary_matmul import layout

_DTYPES = {16: jnp.bfloat16, 32: jnp.float32}


def quantizer(bits: int = 32) -> base.Quantizer:
  """Keeps every weight, or rounds it to bfloat16.

  Codes are the weights themselves, as floats of `bits` bits; the scale is 1.

  Args:
    bits: 32 keeps float32 (and so bfloat16) weights as they are, 16 rounds
      them to bfloat16.

  Raises:
    ValueError: `bits` is neither 16 nor 32.
  """
  if bits not in _DTYPES:
    raise ValueError(f"bits must be 16 or 32, got {bits}")
  dtype = _DTYPES[bits]

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    del params
    return base.to_float32(weight).astype(dtype), jnp.ones((), jnp.float32)

  def pack(codes: jax.Array, scale: jax.Array) -> base.Packed:
    octets = jax.lax.bitcast_convert_type(codes, jnp.uint8)  # [I, O, bytes]
    planes = layout.pack_fields(jnp.moveaxis(octets, -1, 0), 1)
    return base.Packed(planes, scale, codes.shape)

  def unpack(packed: base.Packed) -> base.Coded:
    octets = layout.unpack_fields(packed.planes, packed.shape[0], 1)
    octets = jnp.moveaxis(octets, 0, -1)
    return jax.lax.bitcast_convert_type(octets, dtype), packed.scale

  spec = base.QuantSpec(
    name="identity",
    planes=0,
    code_bits=bits,
    stored_bits=float(bits),
    granularity="none",
  )
  return base.build(spec, quantize=quantize, pack=pack, unpack=unpack)
