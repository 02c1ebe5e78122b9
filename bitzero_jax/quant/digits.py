"""Balanced ternary digits: one rounded integer, K planes, a learned step.

Shapes: I = input features, O = output features, K = planes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bitzero_jax.quant import base
from pallas_kernels.ternary_matmul import layout

# Bits a weight of the smallest exact GGUF type, its fp16 block scale included:
# TQ2_0, Q4_0, Q5_0, Q8_0, Q8_0.
STORED_BITS = {1: 2.0625, 2: 4.5, 3: 5.5, 4: 8.5, 5: 8.5}

# Step / standard deviation of least squared error on Gaussian weights.
INIT_STEP = {1: 1.22, 2: 0.534, 3: 0.217, 4: 0.085, 5: 0.0322}


def code_bits(planes: int) -> int:
  """Bits a weight of `planes` packed planes, before padding and scale."""
  return planes * (8 // layout.TRITS_PER_BYTE)


def max_code(planes: int) -> int:
  """Largest code of `planes` digits: 1, 4, 13, 40, 121."""
  return (3**planes - 1) // 2


def split(codes: jax.Array, planes: int) -> jax.Array:
  """Codes [I, O] -> digits [K, I, O], int8, most significant first."""
  # Shifted by the largest code, the ordinary base-3 digits are t + 1.
  shifted = codes.astype(jnp.int32) + max_code(planes)
  trits = [shifted // 3 ** (planes - 1 - k) % 3 - 1 for k in range(planes)]
  return jnp.stack(trits).astype(jnp.int8)


def join(trits: jax.Array) -> jax.Array:
  """Digits [K, I, O] -> codes [I, O], int8: the inverse of `split`."""
  codes = jnp.zeros(trits.shape[1:], jnp.int8)
  for plane in trits:
    codes = 3 * codes + plane
  return codes


def packer(planes: int) -> Callable[[jax.Array, jax.Array], base.Packed]:
  """The `pack` of a quantizer with `planes` digits."""

  def pack(codes: jax.Array, scale: jax.Array) -> base.Packed:
    return base.Packed(layout.pack(split(codes, planes)), scale, codes.shape)

  return pack


def unpack(packed: base.Packed) -> base.Coded:
  """The `unpack` of a quantizer with any number of digits."""
  return join(layout.unpack(packed.planes, packed.shape[0])), packed.scale


def with_lsq_gradient(
  value: jax.Array,
  weight: jax.Array,
  step: jax.Array,
  slope: jax.Array,
  inside: jax.Array,
  top: jax.Array | float,
) -> jax.Array:
  """`value` untouched, with the gradient of a learned step size.

  Args:
    value: [I, O], the rounded weight.
    weight: [I, O]; its gradient is the identity where `inside`, else zero.
    step: float32 [] or [1, O], what the step is learned through.
    slope: float32 [I, O], d value / d step, scaled by 1 / sqrt(I * O * top).
    inside: bool [I, O].
    top: largest code, a number or [1, O].

  Source:
    LSQ: arXiv:1902.08153.
  """
  slope = slope * (weight.size * top) ** -0.5
  surrogate = slope * jnp.broadcast_to(step, weight.shape)
  surrogate = surrogate.astype(weight.dtype)
  surrogate += jnp.where(inside, weight, jnp.zeros_like(weight))
  return base.straight_through(value, surrogate)


def quantizer(planes: int = 2) -> base.Quantizer:
  """Rounds weights to 3^K levels, a learned step u apart.

  W = u * sum_k 3^(K-1-k) T_k with T_k in {-1, 0, 1}: the codes are
  clip(round(W / u), -q, q) with q = (3^K - 1) / 2. The step is one float32
  number for each tensor, params {"step": []}; below 1e-5 it counts as 1e-5.

  Gradient:
    Learned step size (LSQ). To W the identity where |W / u| <= q, else zero.
    To u the sum of round(W / u) - W / u inside and of -q or q outside, times
    1 / sqrt(I * O * q).

  Args:
    planes: K, 1 to 5.

  Raises:
    ValueError: `planes` is not 1 to 5; or, later, the params hold no "step".

  Source:
    LSQ: arXiv:1902.08153. The digits with a fixed ratio of 3 are ours.
  """
  if planes not in STORED_BITS:
    raise ValueError(f"planes must be 1 to {max(STORED_BITS)}, got {planes}")
  top = max_code(planes)

  def init(weight: jax.Array) -> base.Params:
    spread = jnp.std(base.to_float32(weight))
    return {"step": jnp.maximum(INIT_STEP[planes] * spread, base.EPS)}

  def measure(weight: jax.Array, params: base.Params):
    if "step" not in params:
      raise ValueError(f"params must hold 'step', got {sorted(params)}")
    step = jnp.maximum(params["step"], base.EPS)
    ratio = base.divide(base.to_float32(weight), step)
    return ratio, jnp.clip(jnp.round(ratio), -top, top), step

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    _, codes, step = measure(weight, params)
    return codes.astype(jnp.int8), step

  def fake_quant(weight: jax.Array, params: base.Params) -> jax.Array:
    ratio, codes, step = measure(*jax.lax.stop_gradient((weight, params)))
    value = base.dequantize(codes.astype(jnp.int8), step, weight.dtype)
    inside = jnp.abs(ratio) <= top
    slope = jnp.where(inside, codes - ratio, codes)  # d value / d step
    return with_lsq_gradient(value, weight, params["step"], slope, inside, top)

  spec = base.QuantSpec(
    name="digits",
    planes=planes,
    code_bits=code_bits(planes),
    stored_bits=STORED_BITS[planes],
    granularity="tensor",
  )
  return base.build(
    spec,
    init=init,
    quantize=quantize,
    fake_quant=fake_quant,
    pack=packer(planes),
    unpack=unpack,
  )
