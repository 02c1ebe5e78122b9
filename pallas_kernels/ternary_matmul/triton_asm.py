"""Three steps in PTX, each with a twin in plain JAX for interpret mode.

Triton works on bytes one by one; these take four in one register. A field is
two bits of two's complement, four of them in a byte (`relayout.to_signed`).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.pallas import triton as plgpu

BFLOAT16_UNIT = 2  # a bfloat16 field comes out as 2 * t, an int8 one as 64 * t
TOP_BITS = -0x3F3F3F40  # 0xC0C0C0C0, the top field of four bytes


def dot4(w: jax.Array, x: jax.Array, total: jax.Array, *, asm: bool):
  """total + the four products of the signed bytes of w and x, all int32."""
  if not asm:
    for byte in range(4):
      at = 24 - 8 * byte
      total += (w << at >> 24) * (x << at >> 24)
    return total
  (total,) = plgpu.elementwise_inline_asm(
    "dp4a.s32.s32 $0, $1, $2, $3;",
    args=[w, x, total],
    constraints="=r,r,r,r",
    pack=1,
    result_shape_dtypes=[jax.ShapeDtypeStruct(w.shape, jnp.int32)],
  )
  return total


def int8_field(w: jax.Array, quarter: int, *, asm: bool) -> jax.Array:
  """Field `quarter` of each byte, int8, as 64 * t."""
  up = 6 - 2 * quarter
  if not asm:
    return (w << up) & jnp.int8(-64)
  (field,) = plgpu.elementwise_inline_asm(
    f"{{.reg .b32 t; shl.b32 t, $1, {up}; and.b32 $0, t, {TOP_BITS};}}",
    args=[w],
    constraints="=r,r",
    pack=4,
    result_shape_dtypes=[jax.ShapeDtypeStruct(w.shape, jnp.int8)],
  )
  return field


def bfloat16_field(w: jax.Array, quarter: int, *, asm: bool) -> jax.Array:
  """Field `quarter` of each byte, int8, as the bfloat16 2 * t.

  The two bits are bfloat16's sign and its highest exponent bit: 11 is -2.0 and
  01 is 2.0.
  """
  up = 6 - 2 * quarter
  if not asm:
    return ((w << up) >> 6).astype(jnp.bfloat16) * jnp.bfloat16(BFLOAT16_UNIT)
  (field,) = plgpu.elementwise_inline_asm(
    f"{{.reg .b32 t; shl.b32 t, $2, {up}; and.b32 t, t, {TOP_BITS};"
    " prmt.b32 $0, t, 0, 0x1404; prmt.b32 $1, t, 0, 0x3424;}",
    args=[w],
    constraints="=r,=r,r",
    pack=4,
    result_shape_dtypes=[jax.ShapeDtypeStruct(w.shape, jnp.bfloat16)],
  )
  return field


def field(w: jax.Array, quarter: int, dtype: Any, *, asm: bool) -> jax.Array:
  """Field `quarter` in the dtype of the activations: 64 * t or 2 * t."""
  chosen = int8_field if dtype == jnp.int8 else bfloat16_field
  return chosen(w, quarter, asm=asm)
