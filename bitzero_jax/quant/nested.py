"""One set of digits that runs at 1, 2, ... K planes: fewer of the same bytes.

Shapes: I = input features, O = output features, K = most planes.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.quant import adaptive, base, digits


def quantizer(planes: int = 3) -> base.Quantizer:
  """Rounds weights to 3^K levels; with k planes, to their first k digits.

  The first digits of a balanced ternary number are that number over 3^(K-k),
  rounded: so k planes are a coarser rounding of the same codes. Each k has a
  scale of its own, u_K * 3^(K-k) * (1 + stretch_k), and u_K is as in
  `adaptive`.

  Params:
    planes: float32 [], k, a control: no gradient moves it. Starts at K.
    stretch: float32 [K]. Of K it starts at 0, of the others at the scale of
      least squared error.

  Gradient:
    To W the identity where |W / u_K| <= q, else zero, for every k. To the
    `stretch` of k = K as in `digits` (LSQ), of the others the sum of the codes;
    of k alone.

  Args:
    planes: K, 1 to 5.

  Raises:
    ValueError: `planes` is out of range; or, later, the params lack a number.

  Source:
    Nested precisions in one weight: MatQuant, arXiv:2502.06786, of binary
    digits. Truncation that rounds to nearest needs balanced digits.
  """
  if not 1 <= planes <= max(adaptive.RATIO):
    raise ValueError(f"planes must be 1 to {max(adaptive.RATIO)}, got {planes}")
  ratio_of = np.float32(adaptive.RATIO[planes])
  top = digits.max_code(planes)
  powers = np.array([3 ** (planes - 1 - i) for i in range(planes)], np.int32)

  def measure(weight: jax.Array, params: base.Params):
    """W / u_K, its codes with K planes, and u_K without its stretch."""
    if set(params) != {"planes", "stretch"}:
      raise ValueError(
        f"params must hold ['planes', 'stretch'], got {sorted(params)}"
      )
    wide = base.to_float32(weight)
    size = jax.lax.optimization_barrier(base.mean(jnp.abs(wide)))
    unit = jax.lax.optimization_barrier(ratio_of * size)
    step = jnp.maximum(unit * (1 + params["stretch"][-1]), base.EPS)
    ratio = base.divide(wide, step)
    codes = jnp.clip(jnp.round(ratio), -top, top).astype(jnp.int32)
    return ratio, codes, unit, jax.lax.optimization_barrier(step)

  def at(codes: jax.Array, step: jax.Array, params: base.Params):
    """Codes and scale of the k planes that the params ask for, and k - 1."""
    chosen = jnp.round(params["planes"]).astype(int)
    index = jnp.clip(chosen, 1, planes) - 1
    power = jnp.asarray(powers)[index]
    # Of integers, balanced: a floor after half of the divisor is a rounding.
    first = (codes + power // 2) // power
    own = jnp.where(index == planes - 1, 0.0, params["stretch"][index])
    scale = step * power.astype(jnp.float32)
    scale = jax.lax.optimization_barrier(scale) * (1 + own)
    return first.astype(jnp.int8), jnp.maximum(scale, base.EPS), index

  def init(weight: jax.Array) -> base.Params:
    params = {
      "planes": jnp.float32(planes),
      "stretch": jnp.zeros(planes, jnp.float32),
    }
    _, codes, _, step = measure(weight, params)
    wide = base.to_float32(weight)
    best = []
    for k in range(1, planes):
      first, scale, _ = at(codes, step, params | {"planes": jnp.float32(k)})
      floats = first.astype(jnp.float32)
      power = jnp.maximum(jnp.sum(jnp.square(floats)), 1.0)
      best.append(jnp.sum(wide * floats) / (power * scale) - 1)
    stretch = jnp.array([*best, 0.0], jnp.float32)
    return params | {"stretch": jnp.maximum(stretch, -0.9)}

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    _, codes, _, step = measure(weight, params)
    return at(codes, step, params)[:2]

  def fake_quant(weight: jax.Array, params: base.Params) -> jax.Array:
    fixed, numbers = jax.lax.stop_gradient((weight, params))
    ratio, codes, unit, step = measure(fixed, numbers)
    first, scale, index = at(codes, step, numbers)
    value = base.dequantize(first, scale, weight.dtype)
    inside = jnp.abs(ratio) <= top
    floats = first.astype(jnp.float32)
    last = index == planes - 1
    slope = jnp.where(last & inside, floats - ratio, floats)
    power = jnp.asarray(powers)[index].astype(jnp.float32)
    stretched = jnp.where(last, unit, step) * power * params["stretch"][index]
    return digits.with_lsq_gradient(
      value, weight, stretched, slope, inside, top
    )

  spec = base.QuantSpec(
    name="nested",
    planes=planes,
    code_bits=digits.code_bits(planes),
    stored_bits=digits.STORED_BITS[planes],
    granularity="tensor",
  )
  return base.build(
    spec,
    init=init,
    quantize=quantize,
    fake_quant=fake_quant,
    pack=digits.packer(planes),
    unpack=digits.unpack,
  )
