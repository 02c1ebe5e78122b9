"""What `project` multiplies: floats, integers, or packed bytes.

A "kernel" leaf of the weights is one of three, and the Linen model is the same:

    array     float32 [I, O], dequantized; sums run in floats
    Integers  int8 codes beside their value: exact sums, the value's gradient
    Weight    packed planes: exact sums, no gradient; what sampling may use

An integer sum has no order, so two programs that differ in everything but the
operands, a sampler's and a learner's, give the same bits in the last two.

Shapes: ... = leading axes, I and O = input and output features.
"""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
from jax.lax import optimization_barrier

from bitzero_jax.quant import activations
from bitzero_jax.quant.base import Packed
from pallas_kernels.ternary_matmul import api, custom_vjp


@flax.struct.dataclass
class Integers:
  """Quantized numbers, and the float that they stand for.

  Attributes:
    codes: int8; of activations [..., I], of a weight [I, O].
    scale: float32; [..., 1], or [] or [1, O]. Gets no gradient.
    value: codes * scale, with the straight-through gradient.
  """

  codes: jax.Array
  scale: jax.Array
  value: jax.Array


Operand = jax.Array | Integers
Kernel = jax.Array | Integers | api.Weight


def coded(leaf: Any) -> bool:
  """Whether a leaf of the weights is `Integers`."""
  return isinstance(leaf, Integers)


def quantize(x: jax.Array) -> Integers:
  """Activations as integers, as `activations.fake_quant` sees them.

  Args:
    x: [..., I], bfloat16 or float32.
  """
  codes, scale = activations.quantize(jax.lax.stop_gradient(x))
  return Integers(codes, scale, activations.fake_quant(x))


def columns(x: Operand, part: slice) -> Operand:
  """Columns of [B, T, I] activations."""
  return jax.tree.map(lambda leaf: leaf[:, part], x)


def outputs(kernel: Kernel) -> int:
  """O."""
  if isinstance(kernel, api.Weight):
    return kernel.columns
  if isinstance(kernel, Integers):
    return kernel.codes.shape[1]
  return kernel.shape[1]


def project(x: Operand, kernel: Kernel) -> jax.Array:
  """x @ kernel in the dtype of x: [B, T, I] and [I, O] to [B, T, O].

  The rows of floats are flattened first: on a CPU the kernel's gradient then
  needs fewer transposed copies, and a training step takes about a sixth less
  time.

  Raises:
    TypeError: the kernel is of integers and x of floats. The other way round
      it is a product of floats; packed bytes take both.
  """
  if isinstance(kernel, api.Weight):
    if isinstance(x, Integers):
      y = api.ternary_matmul(
        x.codes, kernel, x_scale=x.scale, out_dtype=x.value.dtype
      )
    else:
      y = api.ternary_matmul(x, kernel, out_dtype=x.dtype)
    return optimization_barrier(y)
  if isinstance(kernel, Integers):
    if not isinstance(x, Integers):
      raise TypeError(f"x must be integers, as the kernel is, got {x.dtype}")
    y = custom_vjp.trained(
      x.value,
      kernel.value.astype(x.value.dtype),
      custom_vjp.Integers(x.codes, x.scale),
      custom_vjp.Integers(kernel.codes, kernel.scale),
    )
    # Without it the last product may become one instruction with the addition
    # that follows, in one program and not in another.
    return optimization_barrier(y)
  x = x.value if isinstance(x, Integers) else x
  flat = x.reshape(-1, x.shape[-1]) @ kernel.astype(x.dtype)
  return flat.reshape(*x.shape[:-1], kernel.shape[1])


def prepare(packed: Mapping[str, Any], implementation: str) -> dict[str, Any]:
  """Weights that the model multiplies packed, from a tree of `Packed` leaves.

  Args:
    packed: from `quant.tree.pack_tree`; leaves that are not packed stay.
    implementation: a name in `api.IMPLEMENTATIONS`, or "auto".

  Raises:
    ValueError: the name is unknown, or a leaf is a stack of matrices.
  """

  def convert(leaf: Any) -> Any:
    if not isinstance(leaf, Packed):
      return leaf
    if leaf.planes.ndim != 3:
      raise ValueError(
        f"packed kernels must be [P, O, R], got {leaf.planes.shape}"
      )
    return api.prepare(
      leaf.planes, leaf.scale, leaf.shape[0], implementation=implementation
    )

  return jax.tree.map(
    convert, dict(packed), is_leaf=lambda leaf: isinstance(leaf, Packed)
  )
