"""Precision that changes gradually: pure functions of how far a run is.

First full precision, then ternary, is better than ternary from the start where
training is short (arXiv:2502.11895); a ramp takes away the spike in the loss.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from bitzero_jax.precision import ledger
from bitzero_jax.precision.base import Params, Precision, set_control
from bitzero_jax.quant import base

ACTIVATIONS = "activations"  # of params["quant"], beside the kernels' numbers

Schedule = Callable[[jax.Array], jax.Array]


def progress(updates: jax.Array, total: int) -> jax.Array:
  """Share of a run that is done: float32 [], exactly 1 at its end."""
  # Else XLA would multiply by 1 / total, and a ramp or a freeze at 1 might
  # never be reached: 41 * (1 / 41) is below it.
  return updates / jax.lax.optimization_barrier(jnp.float32(total))


def ramp(share: float) -> Schedule:
  """From 0 at the start to 1 after that share of the run, linearly; then 1."""
  if not share:
    return jnp.ones_like
  return lambda progress: jnp.minimum(progress / share, 1.0)


def stairs(values: Sequence[float], at: Sequence[float]) -> Schedule:
  """The first value, and the next one from each share of the run in `at` on."""
  steps = jnp.asarray(at, jnp.float32)

  def value(progress: jax.Array) -> jax.Array:
    index = jnp.sum(progress >= steps) if at else 0
    return jnp.asarray(values, jnp.float32)[index]

  return value


def blended(inner: base.Quantizer) -> base.Quantizer:
  """A quantizer that takes effect by degrees: W + mix * (Q(W) - W).

  Its params are those of `inner` and "mix", float32 [], a control that starts
  at 1, where the value is that of `inner` to the last bit. The gradient is that
  of `inner`. Codes and bytes are those of `inner` whatever the mix.
  """

  def init(weight: jax.Array) -> base.Params:
    return inner.init(weight) | {"mix": jnp.float32(1)}

  def others(params: base.Params) -> base.Params:
    return {name: leaf for name, leaf in params.items() if name != "mix"}

  def fake_quant(weight: jax.Array, params: base.Params) -> jax.Array:
    if "mix" not in params:
      raise ValueError(f"params must hold 'mix', got {sorted(params)}")
    value = inner.fake_quant(weight, others(params))
    mixed = base.mix(*jax.lax.stop_gradient((weight, value, params["mix"])))
    return base.straight_through(mixed, value)

  return inner._replace(
    init=init,
    quantize=lambda w, params: inner.quantize(w, others(params)),
    fake_quant=fake_quant,
  )


def scheduled(
  planes: Schedule | None = None,
  weights: Schedule | None = None,
  activations: Schedule | None = None,
) -> Precision:
  """Precision that follows a schedule, the same for all tensors.

  Args:
    planes: number of ternary planes; the quantizer has the control "planes".
    weights: share of quantization in the weights; it is `blended`.
    activations: the same of the activations, params["quant"]["activations"].
  """

  def write(params: Params, progress: jax.Array) -> Params:
    if planes is not None:
      params = set_control(params, "planes", planes(progress))
    if weights is not None:
      params = set_control(params, "mix", weights(progress))
    if activations is not None:
      share = {ACTIVATIONS: {"mix": activations(progress)}}
      params = params | {"quant": params["quant"] | share}
    return params

  def metrics(params: Params) -> dict[str, jax.Array]:
    if planes is None:
      return {}
    found = ledger.entries(params)
    now = ledger.read(params, found, "planes")
    return {"precision/bits": ledger.mean_bits(now, ledger.sizes(found))}

  return Precision(
    start=lambda params, key: write(params, jnp.float32(0)),
    penalty=None,
    observe=None,
    probe=None,
    advance=lambda params, progress, observed: write(params, progress),
    metrics=metrics,
  )
