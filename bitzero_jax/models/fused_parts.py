"""How the products, norms and attention of fused decoding are computed.

Shapes: B = rows, D = width, F = hidden, O = output features.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.models.layers import squared_relu, to_unit_rms
from pallas_kernels import decode_attention
from pallas_kernels.ternary_matmul import api, norm_quantize

_MULTIPROCESSORS = 132  # of an H100, each of which runs a program
_MOST_BLOCK, _LEAST_BLOCK = 64, 16  # slots in one step of attention
# Where there are few programs, so many share the slots of a head, with more in
# one step and more warps.
_PARTS, _WIDE_BLOCK, _WARPS = 4, 128, 8


class Parts(NamedTuple):
  """How it is computed.

  Attributes:
    eps: added to the mean square of every norm.
    norm: (x [B, D], gain) -> what `product` takes.
    gate: (x [B, 2 F], gain) -> the same, of the squared-ReLU gate.
    product: (given, weight, residual [B, O] or None) -> [B, O].
    attend: as `decode_attention.base`.
    settle: (what `attend` read, gain) -> what `product` takes.
  """

  eps: float
  norm: Callable[[jax.Array, jax.Array], Any]
  gate: Callable[[jax.Array, jax.Array], Any]
  product: Callable[[Any, Any, jax.Array | None], jax.Array]
  attend: Callable[..., tuple[Any, jax.Array, jax.Array]]
  settle: Callable[[Any, jax.Array], Any]


def floats(*, eps: float) -> Parts:
  """XLA's products of floats, activations not rounded: what to compare with."""

  def norm(x, gain):
    # `layers.RMSNorm`, its sum in no fixed order.
    unit: jax.Array = to_unit_rms(x.astype(jnp.float32), eps, False)
    return unit.astype(x.dtype) * gain.astype(x.dtype)

  def gate(x, gain):
    left, right = jnp.split(x, 2, axis=-1)
    return norm(squared_relu(left) * right, gain)

  def product(given, weight, residual):
    out = given @ weight
    return out if residual is None else out + residual

  return Parts(eps, norm, gate, product, decode_attention.base, _in_a_row(norm))


def _in_a_row(norm: Callable[[jax.Array, jax.Array], Any]) -> Callable:
  """A `settle` of heads that were read whole, [B, N, H]."""
  return lambda read, gain: norm(read.reshape(len(read), -1), gain)


def packed(
  dtype: jax.typing.DTypeLike,
  *,
  eps: float,
  kernels: bool,
  implementation: str | None = None,
  interpret: bool = False,
) -> Parts:
  """8-bit activations times packed weights.

  Args:
    dtype: of the residual stream.
    eps: added to the mean square of every norm.
    kernels: Triton's for norm and attention, as for an NVIDIA GPU; else plain
      XLA.
    implementation: of the products, None for the one that the weights were
      prepared for.
    interpret: run kernels on the CPU; for tests.
  """

  def product(given, weight, residual):
    codes, scale = given
    return api.ternary_matmul(
      codes,
      weight,
      x_scale=scale,
      out_dtype=dtype,
      residual=residual,
      implementation=implementation,
      interpret=interpret,
    )

  if not kernels:

    def plain(x, gain):
      return norm_quantize.base(x, gain, eps=eps)

    return Parts(
      eps,
      plain,
      lambda x, gain: norm_quantize.gated_base(x, gain, eps=eps),
      product,
      decode_attention.base,
      _in_a_row(plain),
    )

  def norm(x, gain):
    return norm_quantize.triton(x, gain, eps=eps, interpret=interpret)

  def gate(x, gain):
    return norm_quantize.triton(
      x, gain, eps=eps, gated=True, interpret=interpret
    )

  def attend(qkv, keys, *rest):
    # Where key heads alone keep the card idle, each query head has a program.
    few, slots = len(qkv) * keys.shape[2] < _MULTIPROCESSORS, keys.shape[1]
    # The largest power of two that divides the slots, or a part of them.
    if few:
      block = max(_LEAST_BLOCK, math.gcd(_WIDE_BLOCK, slots // _PARTS))
      cut = {"share": 1, "parts": min(_PARTS, slots // block)}
      cut |= {"warps": _WARPS, "stages": 2}
    else:
      block, cut = math.gcd(_MOST_BLOCK, slots), {}
    return decode_attention.triton(
      qkv, keys, *rest, block=block, **cut, interpret=interpret
    )

  def settle(read, gain):
    if not isinstance(read, decode_attention.Partial):
      return norm(read.reshape(len(read), -1), gain)
    return norm_quantize.merging(
      *read, gain, dtype=dtype, eps=eps, interpret=interpret
    )

  return Parts(eps, norm, gate, product, attend, settle)
