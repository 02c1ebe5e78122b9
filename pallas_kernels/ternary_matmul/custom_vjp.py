"""The ternary product in training, and frozen below adapters.

While it is trained a weight changes with every step, so nothing is packed:
`trained` multiplies int8 codes with XLA's own int8 product, and its gradient is
that of the dequantized operands. Behind `frozen` lie packed bytes for good.

Shapes: ... = leading axes of x, I = input features, O = output features.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pallas_kernels.ternary_matmul import api, layout, mosaic_tpu


class Integers(NamedTuple):
  """Small integers and the size of one step.

  Attributes:
    codes: int8.
    scale: float32; for x [..., 1], for a weight [] or [1, O].
  """

  codes: jax.Array
  scale: jax.Array


def integer_product(
  x: Integers, w: Integers, out_dtype: jax.typing.DTypeLike
) -> jax.Array:
  """`(x @ w) * scale_w * scale_x`: what `api.ternary_matmul` gives, unpacked.

  The sum is exact in int32, so its order cannot matter; the two scales are
  multiplied in float32 and the result is rounded once.

  Args:
    x: codes [..., I].
    w: codes [I, O].
    out_dtype: of the result, [..., O].
  """
  total = jax.lax.dot_general(
    x.codes,
    w.codes,
    (((x.codes.ndim - 1,), (0,)), ((), ())),
    preferred_element_type=jnp.int32,
  ).astype(jnp.float32)
  total = total * jnp.broadcast_to(w.scale.reshape(-1), total.shape)
  return (total * x.scale).astype(out_dtype)


@jax.custom_vjp
def trained(
  x: jax.Array, w: jax.Array, x_codes: Integers, w_codes: Integers
) -> jax.Array:
  """x @ w by integers, with the gradient of the float product.

  Args:
    x: [..., I], bfloat16 or float32: the value of `x_codes`. Its gradient is
      g @ w^T, through the ternary weight.
    w: [I, O], the value of `w_codes`: what is straight-through to the latent
      weight. Its gradient is x^T @ g.
    x_codes, w_codes: the same as integers; they get no gradient.

  Returns:
    [..., O] in the dtype of x.
  """
  del w
  return integer_product(x_codes, w_codes, x.dtype)


def _trained_forward(x, w, x_codes, w_codes):
  return trained(x, w, x_codes, w_codes), (x, w)


def _trained_backward(saved, g):
  x, w = saved
  rows, cotangent = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
  to_x = (cotangent @ w.astype(g.dtype).T).reshape(x.shape)
  to_w = (rows.T @ cotangent).astype(w.dtype)
  return to_x, to_w, None, None


trained.defvjp(_trained_forward, _trained_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def frozen(
  x: jax.Array,
  weight: api.Weight,
  implementation: str | None = None,
  interpret: Any = False,
) -> jax.Array:
  """x @ W for a packed weight that never changes; differentiable in x.

  The gradient g @ W^T comes from the same bytes: by the TPU's own kernel where
  the weight is held for it, else unpacked and multiplied by XLA. Nothing is
  stored a second time.

  Args:
    x: [..., I], bfloat16 or float32.
    weight: from `api.prepare`.
    implementation, interpret: as for `api.ternary_matmul`.

  Returns:
    [..., O] in the dtype of x.
  """
  return api.ternary_matmul(
    x,
    weight,
    out_dtype=x.dtype,
    implementation=implementation,
    interpret=interpret,
  )


def _frozen_forward(x, weight, implementation, interpret):
  return frozen(x, weight, implementation, interpret), weight


def _frozen_backward(implementation, interpret, weight, g):
  del implementation
  rows = g.reshape(-1, weight.columns)
  words = weight.held.get("int2_words")
  if words is not None and g.dtype == jnp.bfloat16:
    to_x = mosaic_tpu.input_gradient(
      rows,
      words,
      weight.scale,
      rows=weight.rows,
      out_dtype=g.dtype,
      interpret=interpret,
    )
  else:
    trits = layout.unpack(api.canonical(weight), weight.rows)
    codes = functools.reduce(lambda total, plane: 3 * total + plane, trits)
    value = (codes.astype(jnp.float32) * weight.scale).astype(g.dtype)
    to_x = rows @ value.T
  nothing = jax.tree.map(_no_cotangent, weight)
  return to_x.reshape(*g.shape[:-1], weight.rows), nothing


def _no_cotangent(leaf: jax.Array) -> Any:
  """A zero for a float leaf; integers have no tangent."""
  return jnp.zeros_like(leaf) if leaf.dtype == jnp.float32 else None


frozen.defvjp(_frozen_forward, _frozen_backward)
