"""Ternary matrix product in plain XLA: the truth that every kernel must meet.

Shapes: I = input features, O = output features, P = digit planes,
R = ceil(I / 4) packed bytes a column.

A weight is `scale * sum_k 3^(P-1-k) T_k` with T_k in {-1, 0, 1}, plane 0 the
most significant. The product takes one plane after the other, by Horner's rule:
`acc = 3 * acc + x @ T_k`.
"""

import jax
import jax.numpy as jnp

from pallas_kernels.ternary_matmul import layout

_INT32_MAX = 2**31 - 1


def accumulate(x: jax.Array, packed: jax.Array) -> jax.Array:
  """Product of `x` and the unscaled integer weight.

  Args:
    x: [..., I], int8, bfloat16 or float32.
    packed: [P, O, R], uint8, from `layout.pack`.

  Returns:
    [..., O]. int32 and exact for int8 `x`; otherwise float32, summed in
    float32.

  Raises:
    ValueError: shapes do not fit, or int32 could overflow.
    TypeError: a dtype that is not listed above.
  """
  if x.dtype not in (jnp.int8, jnp.bfloat16, jnp.float32):
    raise TypeError(f"x must be int8, bfloat16 or float32, got {x.dtype}")
  if x.ndim < 1:
    raise ValueError(f"x must be [..., I], got shape {x.shape}")
  if packed.ndim != 3 or packed.shape[0] < 1:
    raise ValueError(f"packed must be [P, O, R], got shape {packed.shape}")
  rows = x.shape[-1]
  trits = layout.unpack(packed, rows)  # [P, I, O]
  exact = x.dtype == jnp.int8
  planes = packed.shape[0]
  if exact and rows * 128 * ((3**planes - 1) // 2) > _INT32_MAX:
    raise ValueError(f"I={rows} with {planes} planes may overflow int32")
  kind = jnp.int32 if exact else jnp.float32
  total = jnp.zeros((*x.shape[:-1], packed.shape[1]), kind)
  for plane in trits:
    total = 3 * total + jax.lax.dot_general(
      x,
      plane.astype(x.dtype),
      (((x.ndim - 1,), (0,)), ((), ())),
      precision=jax.lax.Precision.HIGHEST,
      preferred_element_type=kind,
    )
  return total


def ternary_matmul(
  x: jax.Array,
  packed: jax.Array,
  scale: jax.Array,
  *,
  x_scale: jax.Array | None = None,
  out_dtype: jax.typing.DTypeLike = jnp.float32,
) -> jax.Array:
  """Multiplies `x` by a packed ternary weight.

  Args:
    x: [..., I], int8 (quantized activations), bfloat16 or float32.
    packed: [P, O, R], uint8, from `layout.pack`.
    scale: [] or [1, O], float32. Size of one step of the weight.
    x_scale: [..., 1], float32, or None for 1. Size of one step of `x`.
    out_dtype: dtype of the result.

  Returns:
    [..., O] in `out_dtype`: `(x @ codes) * scale * x_scale`, scaled in float32
    and rounded to `out_dtype` once.

  Raises:
    ValueError: shapes do not fit, or int32 could overflow.
    TypeError: a dtype that is not listed above.
  """
  total = accumulate(x, packed).astype(jnp.float32)
  outputs = packed.shape[1]
  if scale.dtype != jnp.float32:
    raise TypeError(f"scale must be float32, got {scale.dtype}")
  if scale.shape not in ((), (1, outputs)):
    raise ValueError(f"scale must be [] or [1, {outputs}], got {scale.shape}")
  total = total * jnp.broadcast_to(scale.reshape(-1), total.shape)
  if x_scale is not None:
    if x_scale.dtype != jnp.float32:
      raise TypeError(f"x_scale must be float32, got {x_scale.dtype}")
    if x_scale.shape != (*x.shape[:-1], 1):
      raise ValueError(
        f"x_scale must be {(*x.shape[:-1], 1)}, got {x_scale.shape}"
      )
    total = total * x_scale
  return total.astype(out_dtype)
