"""Balanced ternary digits whose number of planes is a number too.

A schedule may lower it while a model trains, and an allocation may learn it.

Shapes: I = input features, O = output features, K = most planes, G = groups of
output features with planes of their own.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.quant import base, digits

# Step / mean |W| of least squared error on Gaussian weights.
RATIO = {k: v * math.sqrt(math.pi / 2) for k, v in digits.INIT_STEP.items()}
# Else XLA would turn products with two constants into one.
_rounded = jax.lax.optimization_barrier

UNDECIDED = 0.0  # number of planes


def chances(reach: jax.Array) -> jax.Array:
  """Probability of having exactly 1, 2, ... K planes.

  Args:
    reach: float32 [..., K - 1], of having at least 2, 3, ... K.

  Returns:
    float32 [..., K].
  """
  ends = (*reach.shape[:-1], 1)
  at_least = jnp.concatenate([jnp.ones(ends), reach, jnp.zeros(ends)], axis=-1)
  return at_least[..., :-1] - at_least[..., 1:]


def quantizer(
  planes: int = 3, learned: bool = False, groups: int = 1
) -> base.Quantizer:
  """Rounds weights to the 3^k levels of k planes, 1 <= k <= K.

  W = u_k * codes as in `digits`, with a step for each number of planes,
  u_k = r_k * mean |W| * (1 + stretch_k): r_k is best for Gaussian weights,
  `stretch` is learned. So a step that is not in use follows its weights.

  With groups, each of G blocks of neighbouring output features has a k of its
  own: the controls get a leading axis [G], and the scale is [1, O].
  The steps stay the matrix's, so that nothing but the planes is freed: groups
  of the same k are, to the last bit, a matrix without groups.

  Params:
    planes: float32 [], k, a control: no gradient moves it. Starts at K. Where
      `learned`, 0 stands for undecided: then the weight is the mean over the
      chances of k. Codes and bytes are of one k all the same: the most that is
      reached with a chance above one half.
    stretch: float32 [K], starts at 0.
    reach: float32 [K - 1], a control, only where `learned`: chances of having
      at least 2, 3, ... K planes, which never rise with k. Starts at 1.

  Gradient:
    To W and to `stretch` as in `digits` (LSQ), of the step in use. While k is
    undecided it is that of the mean, and that of `reach` says what a plane is
    worth at the weight between: with two depths, exactly so where the loss is
    quadratic and the chance one half.

  Args:
    planes: K, 1 to 5.
    learned: whether k is to be learned; then K is at least 2.
    groups: G, blocks of ceil(O / G) features, of which the last may be smaller.

  Raises:
    ValueError: `planes` or `groups` is out of range; or, later, the params lack
      a number.

  Source:
    LSQ: arXiv:1902.08153. A chain of chances over planes is close to CSQ
    (arXiv:2212.02770) and to SDQ (arXiv:2206.04459); both choose binary bits.
  """
  lowest = 2 if learned else 1
  if not lowest <= planes <= max(RATIO):
    raise ValueError(f"planes must be {lowest} to {max(RATIO)}, got {planes}")
  if groups < 1:
    raise ValueError(f"groups must be at least 1, got {groups}")
  of_each = (groups,) if groups > 1 else ()
  depths = range(1, planes + 1)
  ratios = np.array([RATIO[k] for k in depths], np.float32)
  tops = np.array([digits.max_code(k) for k in depths], np.float32)
  names = {"planes", "stretch"} | ({"reach"} if learned else set())

  def init(weight: jax.Array) -> base.Params:
    base.to_float32(weight)
    numbers = {
      "planes": jnp.full(of_each, planes, jnp.float32),
      "stretch": jnp.zeros(planes, jnp.float32),
    }
    if learned:
      numbers["reach"] = jnp.ones((*of_each, planes - 1), jnp.float32)
    return numbers

  def units(weight: jax.Array, params: base.Params) -> jax.Array:
    """u_k for a `stretch` of 0: float32 [K]."""
    if set(params) != names:
      raise ValueError(
        f"params must hold {sorted(names)}, got {sorted(params)}"
      )
    size = base.mean(jnp.abs(base.to_float32(weight)))
    return _rounded(ratios * jnp.broadcast_to(_rounded(size), ratios.shape))

  def steps(unit: jax.Array, params: base.Params) -> jax.Array:
    return jnp.maximum(unit * (1 + params["stretch"]), base.EPS)

  def depth(params: base.Params) -> jax.Array:
    """k - 1: int32 [] or [G]."""
    chosen = jnp.round(params["planes"]).astype(int)
    if learned:
      likely = 1 + jnp.sum(params["reach"] > 0.5, axis=-1)
      chosen = jnp.where(chosen < 1, likely, chosen)
    return jnp.clip(chosen, 1, planes) - 1

  def at(values: jax.Array, index: jax.Array) -> jax.Array:
    """Those of [K] values that are asked for: [] or [G]."""
    if groups == 1:
      return values[index]
    # Not a gather: its gradient would add groups up in no fixed order.
    asked = index[:, None] == jnp.arange(planes)
    return jnp.sum(jnp.where(asked, values, 0.0), axis=1)

  def columns(values: jax.Array, weight: jax.Array) -> jax.Array:
    """A value of each group as one of each column: [G] to [1, O]."""
    if groups == 1:
      return values
    width = weight.shape[1]
    return jnp.repeat(values, -(-width // groups))[None, :width]

  def measure(weight: jax.Array, step: jax.Array, top: jax.Array | float):
    ratio = base.divide(base.to_float32(weight), step)
    return ratio, jnp.clip(jnp.round(ratio), -top, top)

  def quantize(weight: jax.Array, params: base.Params) -> base.Coded:
    every = steps(units(weight, params), params)
    index = depth(params)
    step = columns(at(every, index), weight)
    _, codes = measure(
      weight, step, columns(at(jnp.asarray(tops), index), weight)
    )
    return codes.astype(jnp.int8), step

  def rounded(
    weight: jax.Array,
    stretched: jax.Array,
    step: jax.Array,
    top: jax.Array | float,
  ) -> jax.Array:
    """W at one step; its gradient to the step goes through `stretched`."""
    fixed, step = jax.lax.stop_gradient((weight, step))
    ratio, codes = measure(fixed, step, top)
    value = base.dequantize(codes.astype(jnp.int8), step, weight.dtype)
    inside = jnp.abs(ratio) <= top
    slope = jnp.where(inside, codes - ratio, codes)  # d value / d step
    return digits.with_lsq_gradient(
      value, weight, stretched, slope, inside, top
    )

  def fake_quant(weight: jax.Array, params: base.Params) -> jax.Array:
    unit = jax.lax.stop_gradient(units(weight, params))
    every = steps(unit, params)
    stretched = unit * params["stretch"]
    index = depth(jax.lax.stop_gradient(params))
    top = columns(at(jnp.asarray(tops), index), weight)
    chosen = rounded(
      weight,
      columns(at(stretched, index), weight),
      columns(at(every, index), weight),
      top,
    )
    if not learned:
      return chosen
    chance = _rounded(chances(params["reach"]))
    mean = jnp.zeros(weight.shape, jnp.float32)
    for k in range(planes):
      one = rounded(weight, stretched[k], every[k], float(tops[k]))
      share = columns(chance[..., k], weight)
      mean += jnp.broadcast_to(share, one.shape) * one.astype(jnp.float32)
    undecided = columns(jax.lax.stop_gradient(params["planes"]) < 1, weight)
    return jnp.where(undecided, mean.astype(weight.dtype), chosen)

  spec = base.QuantSpec(
    name="allocated" if learned else "adaptive",
    planes=planes,
    code_bits=digits.code_bits(planes),
    stored_bits=digits.STORED_BITS[planes],
    granularity="tensor" if groups == 1 else "column",
  )
  return base.build(
    spec,
    init=init,
    quantize=quantize,
    fake_quant=fake_quant,
    pack=digits.packer(planes),
    unpack=digits.unpack,
  )
