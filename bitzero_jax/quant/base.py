"""The contract of a quantizer, and the arithmetic that all variants share.

Shapes: I = input features, O = output features, P = byte planes, R = bytes a
column of one plane.

The master property, bit for bit, in float32 and in bfloat16:
`fake_quant(w) == dequantize(unpack(pack(quantize(w))))`. What training sees is
what ships. It holds under `jit`, `vmap` and eager calls alike because every
step that decides a value is either exact or rounded once in a fixed order.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from bitzero_jax.quant.ordered_sum import ordered_sum

# Smallest scale that is ever divided by; the value of BitNet b1.58.
EPS = 1e-5

# Numbers among `Params` that a schedule sets; no gradient moves them.
CONTROLS = frozenset({"planes", "mix", "reach"})

Params = Any  # pytree of float32 arrays; {} when nothing is learned
Coded = tuple[jax.Array, jax.Array]  # codes [I, O], scale [] or [1, O]


@dataclasses.dataclass(frozen=True)
class QuantSpec:
  """What a quantizer is, as plain hashable data.

  Attributes:
    name: its name in the table.
    planes: ternary digit planes; 0 when codes are not balanced ternary.
    code_bits: bits a weight in `Packed`, before padding and scale.
    stored_bits: bits a weight in the exported file, block scales included.
      This is the unit of every precision budget.
    granularity: which weights share a scale: "tensor", "column" (one scale
      for each output feature), or "none".
  """

  name: str
  planes: int
  code_bits: int
  stored_bits: float
  granularity: str


@flax.struct.dataclass
class Packed:
  """A quantized matrix as bytes.

  Attributes:
    planes: [P, O, R], uint8, laid out by `ternary_matmul.layout`.
    scale: [] or [1, O], float32.
    shape: (I, O), static.
  """

  planes: jax.Array
  scale: jax.Array
  shape: tuple[int, ...] = flax.struct.field(pytree_node=False)


class Quantizer(NamedTuple):
  """A bundle of pure functions; all work under jit, vmap, scan and grad.

  Attributes:
    spec: hashable description.
    init: weight [I, O] -> params, the learned numbers ({} when there are none).
    quantize: (weight, params) -> (codes, scale). Codes are int8 [I, O]; the
      identity alone keeps floats. Scale is float32, [] or [1, O].
    dequantize: (codes, scale, dtype) -> weight [I, O] in dtype.
    fake_quant: (weight, params) -> the dequantized weight, same shape and dtype
      as the weight, with a straight-through gradient.
    pack: (codes, scale) -> Packed.
    unpack: Packed -> (codes, scale).
    bits: () -> stored bits a weight, `spec.stored_bits`.

  Weights are finite, bfloat16 or float32. `init`, `quantize` and `fake_quant`
  raise ValueError for a wrong rank or an empty weight and TypeError for another
  dtype, while tracing; values are never inspected.
  """

  spec: QuantSpec
  init: Callable[[jax.Array], Params]
  quantize: Callable[[jax.Array, Params], Coded]
  dequantize: Callable[[jax.Array, jax.Array, jax.typing.DTypeLike], jax.Array]
  fake_quant: Callable[[jax.Array, Params], jax.Array]
  pack: Callable[[jax.Array, jax.Array], Packed]
  unpack: Callable[[Packed], Coded]
  bits: Callable[[], float]


def to_float32(weight: jax.Array) -> jax.Array:
  """Checks a weight and widens it, without rounding, to float32 [I, O].

  Raises:
    ValueError: `weight` is not a matrix, or is empty.
    TypeError: `weight` is neither bfloat16 nor float32.
  """
  if weight.ndim != 2 or weight.size == 0:
    raise ValueError(
      f"weight must be [I, O] and not empty, got shape {weight.shape}"
    )
  if weight.dtype not in (jnp.bfloat16, jnp.float32):
    raise TypeError(f"weight must be bfloat16 or float32, got {weight.dtype}")
  return weight.astype(jnp.float32)


@jax.jit
def mean(values: jax.Array) -> jax.Array:
  """Mean of [I, O] float32 values, to the same last bit in every program.

  `jnp.mean` sums in an order that changes with fusion and memory layout, and
  its division by a constant may become a product. I is added up first.
  """
  total = ordered_sum(ordered_sum(_columns_split(values), 0), 1)
  return total[0, 0] * np.float32(1 / values.size)


def _columns_split(values: jax.Array) -> jax.Array:
  """[I, O] with O split over all of a mesh, so that each device sums its own.

  Left to itself the compiler may gather the matrix.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1 or values.shape[1] % mesh.size:
    return values
  spec = PartitionSpec(None, mesh.axis_names)
  return jax.lax.with_sharding_constraint(values, spec)


def divide(values: jax.Array, scale: jax.Array) -> jax.Array:
  """values / scale as a product, since XLA may rewrite a true division so."""
  return values * jnp.broadcast_to(1 / scale, values.shape)


def dequantize(
  codes: jax.Array, scale: jax.Array, dtype: jax.typing.DTypeLike
) -> jax.Array:
  """codes * scale, worked out in float32 and rounded to `dtype` once."""
  weight = codes.astype(jnp.float32) * jnp.broadcast_to(scale, codes.shape)
  if jnp.dtype(dtype) != jnp.float32:
    # XLA may drop a narrowing that is widened again later; this it must keep.
    kind = jnp.finfo(dtype)
    weight = jax.lax.reduce_precision(weight, kind.nexp, kind.nmant)
  return weight.astype(dtype)


@jax.custom_jvp
def straight_through(value: jax.Array, surrogate: jax.Array) -> jax.Array:
  """Returns `value` untouched, with the gradient of `surrogate`.

  Nothing is added to `value`, so its bits survive in every dtype, a negative
  zero included. Identity gradient: Bengio et al. 2013, arXiv:1308.3432.

  Args:
    value: any array.
    surrogate: array of the same shape and dtype. Only its gradient is used.
  """
  del surrogate
  return value


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
  return straight_through(*primals), tangents[1]


def mix(plain: jax.Array, quantized: jax.Array, share: jax.Array) -> jax.Array:
  """plain + share * (quantized - plain); `quantized` itself at a share of 1."""
  between = plain + share.astype(plain.dtype) * (quantized - plain)
  return jnp.where(share >= 1, quantized, between)


def no_params(weight: jax.Array) -> Params:
  """`init` of a quantizer that learns nothing."""
  to_float32(weight)
  return {}


def build(
  spec: QuantSpec,
  *,
  quantize: Callable[[jax.Array, Params], Coded],
  pack: Callable[[jax.Array, jax.Array], Packed],
  unpack: Callable[[Packed], Coded],
  init: Callable[[jax.Array], Params] = no_params,
  fake_quant: Callable[[jax.Array, Params], jax.Array] | None = None,
) -> Quantizer:
  """Fills in the parts that most variants share.

  Args:
    spec: hashable description.
    quantize: see `Quantizer`.
    pack: see `Quantizer`.
    unpack: see `Quantizer`.
    init: see `Quantizer`; by default nothing is learned.
    fake_quant: see `Quantizer`; by default the gradient is the identity.
  """

  def identity_gradient(weight: jax.Array, params: Params) -> jax.Array:
    value = dequantize(*quantize(weight, params), weight.dtype)
    return straight_through(value, weight)

  return Quantizer(
    spec=spec,
    init=init,
    quantize=quantize,
    dequantize=dequantize,
    fake_quant=fake_quant or identity_gradient,
    pack=pack,
    unpack=unpack,
    bits=lambda: spec.stored_bits,
  )
