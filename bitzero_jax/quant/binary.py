"""The 1-bit BitNet of 2023: the sign about the mean."""

import jax
import jax.numpy as jnp

from bitzero_jax.quant import base
from pallas_kernels.ternary_matmul import layout

_PER_BYTE = 8


def quantizer() -> base.Quantizer:
  """Snaps every weight to -s or s, with s = mean |W| of the tensor.

  The code is the sign of W - mean(W), and 1 where the two are equal. The
  gradient is the identity everywhere. An all-zero weight stays zero, as s is 0.

  Source:
    arXiv:2310.11453.
  """

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    del params
    wide = base.to_float32(weight)
    centre = jnp.broadcast_to(base.mean(wide), wide.shape)
    above = (wide >= centre).astype(jnp.int8)
    return 2 * above - 1, base.mean(jnp.abs(wide))

  def pack(codes: jax.Array, scale: jax.Array) -> base.Packed:
    signs = (codes > 0).astype(jnp.uint8)
    planes = layout.pack_fields(signs[None], _PER_BYTE)
    return base.Packed(planes, scale, codes.shape)

  def unpack(packed: base.Packed) -> base.Coded:
    signs = layout.unpack_fields(packed.planes[0], packed.shape[0], _PER_BYTE)
    return 2 * signs.astype(jnp.int8) - 1, packed.scale

  spec = base.QuantSpec(
    name="binary",
    planes=0,
    code_bits=1,
    stored_bits=1 + 16 / 256,  # an fp16 scale for 256 weights, as in TQ2_0
    granularity="tensor",
  )
  return base.build(spec, quantize=quantize, pack=pack, unpack=unpack)
