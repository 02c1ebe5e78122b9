"""Activations as 8-bit integers, one scale for each token.

Shapes: ... = any leading axes, one row a token; D = features of the row.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.quant import base

_TOP = 127


def quantize(x: jax.Array) -> base.Coded:
  """Rounds each row to integers; its largest magnitude becomes 127.

  Args:
    x: [..., D], bfloat16 or float32, finite.

  Returns:
    codes: [..., D], int8, -127 to 127.
    scale: [..., 1], float32, max(max |x|, 1e-5) / 127.

  Raises:
    ValueError: `x` has no feature axis, or an empty one.
    TypeError: `x` is neither bfloat16 nor float32.

  Source:
    arXiv:2402.17764, section 2. Its lower bound of -128 is never reached.
  """
  if x.ndim < 1 or x.shape[-1] == 0:
    raise ValueError(f"x must be [..., D] with D >= 1, got shape {x.shape}")
  if x.dtype not in (jnp.bfloat16, jnp.float32):
    raise TypeError(f"x must be bfloat16 or float32, got {x.dtype}")
  wide = x.astype(jnp.float32)
  largest = jnp.max(jnp.abs(wide), axis=-1, keepdims=True)
  scale = jnp.maximum(largest, base.EPS) * np.float32(1 / _TOP)
  codes = jnp.clip(jnp.round(base.divide(wide, scale)), -_TOP, _TOP)
  return codes.astype(jnp.int8), scale


def fake_quant(x: jax.Array) -> jax.Array:
  """The value of `quantize(x)`, in the dtype of `x`; identity gradient.

  Args:
    x: [..., D], bfloat16 or float32, finite.

  Returns:
    [..., D] in the dtype of `x`, bit for bit `codes * scale` rounded once.

  Raises:
    ValueError, TypeError: as for `quantize`.
  """
  return base.straight_through(base.dequantize(*quantize(x), x.dtype), x)


def blended(
  quantize: Callable[[jax.Array], jax.Array], share: jax.Array
) -> Callable[[jax.Array], jax.Array]:
  """A fake quantizer that takes effect by a share, float32 [], of 0 to 1.

  At 1 its value is exactly that of `quantize`; the gradient is the identity.
  """

  def apply(x: jax.Array) -> jax.Array:
    fixed = jax.lax.stop_gradient((x, quantize(x), share))
    return base.straight_through(base.mix(*fixed), x)

  return apply
