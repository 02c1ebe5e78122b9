"""BitNet b1.58: one ternary plane, scaled by the mean magnitude."""

import jax
import jax.numpy as jnp

from bitzero_jax.quant import base, digits


def quantizer() -> base.Quantizer:
  """Snaps every weight to -s, 0 or s, with s = max(mean |W|, 1e-5).

  T = clip(round(W / s), -1, 1), one s for each tensor, and the gradient is the
  identity everywhere. Quantizing s * T again gives a smaller s: do it once.

  Source:
    arXiv:2402.17764, eqs. 1-3. Its s + eps is max(s, eps) in the released code,
    as here.
  """

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    del params
    wide = base.to_float32(weight)
    scale = jnp.maximum(base.mean(jnp.abs(wide)), base.EPS)
    # Rounding to even sends a tie to 0, so comparing is exact: no division.
    half = jnp.broadcast_to(0.5 * scale, wide.shape)
    up = (wide > half).astype(jnp.int8)
    down = (wide < -half).astype(jnp.int8)
    return up - down, scale

  spec = base.QuantSpec(
    name="absmean",
    planes=1,
    code_bits=digits.code_bits(1),
    stored_bits=digits.STORED_BITS[1],
    granularity="tensor",
  )
  return base.build(
    spec, quantize=quantize, pack=digits.packer(1), unpack=digits.unpack
  )
