"""The parts of a block that do not look along the sequence.

Sampling runs a model one column at a time, learning runs it on whole rows, and
both should give the same log-probability to the last bit. So in float32 sums
along a row are `ordered_sum`s, and what is under an exponential is shifted by
an `ordered_max`. `project` has no such order for floats: it keeps its bits
where products and sums are exact in float32 or, on the CPUs tried, from 64 rows
up; of integers they are exact everywhere. In bfloat16 products differ by then,
so sums are plain: on an H100 ordered ones would take a training step half as
long again.

Shapes: B = rows, T = columns, D = width, I and O = input and output features,
H = head width.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.models import axes, product
from bitzero_jax.models.product import project
from bitzero_jax.models.rope_scaling import RopeScaling
from bitzero_jax.quant.ordered_sum import ordered_max, ordered_sum
from pallas_kernels.ternary_matmul import api

ActivationQuantizer = Callable[[jax.Array], product.Operand]
# (array, name of each of its axes) -> the array, laid out so over the devices.
Place = Callable[..., jax.Array]


def as_it_is(x: jax.Array, *names: str | None) -> jax.Array:
  """The `Place` of one device."""
  del names
  return x


def squared_relu(x: jax.Array) -> jax.Array:
  """max(x, 0)^2, the gate of BitNet b1.58 2B4T (arXiv:2504.12285)."""
  return jnp.square(nn.relu(x))


ACTIVATIONS = {"silu": nn.silu, "relu2": squared_relu}


def _row_sum(x: jax.Array, ordered: bool) -> jax.Array:
  return ordered_sum(x) if ordered else jnp.sum(x, axis=-1, keepdims=True)


def _row_max(x: jax.Array, ordered: bool) -> jax.Array:
  return ordered_max(x) if ordered else jnp.max(x, axis=-1, keepdims=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def softmax(scores: jax.Array, ordered: bool) -> jax.Array:
  """Softmax over the last axis, [..., N] float32.

  Its gradient is written out: what autodiff derives from the quotient takes
  several times as long on a CPU.
  """
  powers = jnp.exp(scores - _row_max(scores, ordered))
  return powers / _row_sum(powers, ordered)


def _softmax_forward(scores, ordered):
  weights = softmax(scores, ordered)
  return weights, weights


def _softmax_backward(ordered, weights, change):
  change = change * weights
  return (change - weights * _row_sum(change, ordered),)


softmax.defvjp(_softmax_forward, _softmax_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def to_unit_rms(x: jax.Array, eps: float, ordered: bool) -> jax.Array:
  """x / sqrt(mean(x^2) + eps) over the last axis, float32 [..., D].

  The gradient is written out, as in `softmax`.
  """
  return x * _inverse_rms(x, eps, ordered)


def _inverse_rms(x, eps, ordered):
  power = _row_sum(jnp.square(x), ordered) * (1.0 / x.shape[-1]) + eps
  if ordered:
    # A CPU's rsqrt is an estimate and a step of Newton's, which JAX 0.12 rounds
    # by the loop that it is fused into; in one of its own always alike.
    power = jax.lax.platform_dependent(
      power, cpu=jax.lax.optimization_barrier, default=lambda same: same
    )
  return jax.lax.rsqrt(power)


def _to_unit_rms_forward(x, eps, ordered):
  return to_unit_rms(x, eps, ordered), (x, _inverse_rms(x, eps, ordered))


def _to_unit_rms_backward(eps, ordered, saved, change):
  del eps
  x, inverse = saved
  unit = x * inverse
  along = _row_sum(change * unit, ordered) * (1.0 / x.shape[-1])
  return ((change - unit * along) * inverse,)


to_unit_rms.defvjp(_to_unit_rms_forward, _to_unit_rms_backward)


class Kernel(nn.Module):
  """One weight matrix: calling it returns the leaf "kernel" [I, O], float32.

  Or, where the weights hold integers or packed bytes, what they hold.

  Entries start normal with standard deviation gain / sqrt(I), so that inputs
  of unit size give outputs of size `gain`.
  """

  inputs: int
  outputs: int
  gain: float = 1.0
  place: Place = as_it_is

  @nn.compact
  def __call__(self) -> product.Kernel:
    held = self.get_variable("params", "kernel")
    if isinstance(held, api.Weight):
      return held
    if isinstance(held, product.Integers):
      codes, value = self._in_use(held.codes), self._in_use(held.value)
      return product.Integers(codes, held.scale, value)
    init = nn.initializers.normal(self.gain * self.inputs**-0.5)
    return self._in_use(
      self.param("kernel", init, (self.inputs, self.outputs), jnp.float32)
    )

  def _in_use(self, kernel: jax.Array) -> jax.Array:
    return self.place(kernel, *axes.in_use(self.name))


class RMSNorm(nn.Module):
  """Divides by the root mean square over the last axis, times "scale" [D].

  The mean square is taken in float32 whatever the input; the quotient is
  rounded to the input's dtype before the scale, as in BitNet.

  Source: arXiv:1910.07467.
  """

  eps: float = 1e-5
  scale_init: nn.initializers.Initializer = nn.initializers.ones

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    width = x.shape[-1]
    scale = self.param("scale", self.scale_init, (width,), jnp.float32)
    ordered = x.dtype == jnp.float32
    unit: jax.Array = to_unit_rms(x.astype(jnp.float32), self.eps, ordered)
    return unit.astype(x.dtype) * scale.astype(x.dtype)


class GatedMLP(nn.Module):
  """down(norm(activation(gate(x)) * up(x))), the BitNet feed-forward layer.

  Without `sub_norms` there is no norm in it, as in Llama.
  """

  width: int
  hidden: int
  activation: str
  eps: float
  out_gain: float
  quantize: ActivationQuantizer
  place: Place = as_it_is
  sub_norms: bool = True

  def setup(self):
    place = self.place
    self.gate_proj = Kernel(self.width, self.hidden, place=place)
    self.up_proj = Kernel(self.width, self.hidden, place=place)
    self.down_proj = Kernel(self.hidden, self.width, self.out_gain, place)
    if self.sub_norms:
      self.ffn_sub_norm = RMSNorm(self.eps)

  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps x [B, T, D], already normed, to [B, T, D]."""
    given = self.quantize(x)
    gate = ACTIVATIONS[self.activation](project(given, self.gate_proj()))
    inner = gate * project(given, self.up_proj())
    if self.sub_norms:
      inner = self.ffn_sub_norm(inner)
    inner = self.place(inner, "batch", None, "mlp")
    return project(self.quantize(inner), self.down_proj())


def rotary_angles(
  positions: jax.Array,
  head_width: int,
  theta: float,
  scaling: RopeScaling | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Cosines and sines of rotary embedding, each [B, T, 1, H / 2] float32.

  Args:
    positions: [B, T] int32, in tokens, 0 for the first real token of a row.
    head_width: H, even.
    theta: base of the wavelengths; the longest is near 2 pi theta tokens.
    scaling: what becomes of the rates, None for nothing.

  Source: RoFormer, arXiv:2104.09864.
  """
  exponents = np.arange(0, head_width, 2) / head_width
  rates = (theta**-exponents).astype(np.float32)  # radians a token
  if scaling is not None:
    rates = scaling(rates)
  angles = positions[..., None, None].astype(jnp.float32) * rates
  return jnp.cos(angles), jnp.sin(angles)


def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
  """Turns channel i together with channel i + H / 2 (the half-split form).

  Args:
    x: [B, T, heads, H], float32 or bfloat16.
    cos: [B, T, 1, H / 2] float32.
    sin: [B, T, 1, H / 2] float32.

  Returns:
    Shape and dtype of x; worked out in float32.
  """
  left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = (left * cos - right * sin, right * cos + left * sin)
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)
