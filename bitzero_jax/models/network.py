"""The model as a value: pure functions that the loop calls."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax

from bitzero_jax.models.cache import pick
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant.activations import blended

ACTIVATION_SHARE = "activation_share"


class Network(NamedTuple):
  """A language model with its quantizer, as pure functions.

  `weights` turns latent parameters into what the forward pass multiplies
  with; sampler and learner both go through it, so they run the same model.

  Attributes:
    init: key -> parameters, a pytree.
    weights: parameters -> weights, quantized, with straight-through gradients.
    logits: (weights, tokens int32 [B, T], n) -> float32 [B, n, V], of the
      last n columns.
    prefill: (weights, tokens int32 [B, P], slots) -> (logits float32 [B, V],
      cache with room for `slots` columns).
    decode: (weights, token int32 [B], cache) -> (logits float32 [B, V],
      cache).
    pick: (cache, rows int32 [R]) -> a cache of those rows, in that order.
  """

  init: Callable[[jax.Array], Any]
  weights: Callable[[Any], Any]
  logits: Callable[[Any, jax.Array, int], jax.Array]
  prefill: Callable[[Any, jax.Array, int], tuple[jax.Array, Any]]
  decode: Callable[[Any, jax.Array, Any], tuple[jax.Array, Any]]
  pick: Callable[[Any, jax.Array], Any]


def network(
  model: Transformer,
  init: Callable[[jax.Array], Any],
  weights: Callable[[Any], Any],
) -> Network:
  """Binds a Linen transformer to a way of making its weights.

  Args:
    model: the transformer.
    init: see `Network`.
    weights: parameters -> weights; with a leaf ACTIVATION_SHARE, float32 [],
      beside the model's own, activations are quantized by that share alone.
  """

  def apply(w, *inputs, **options) -> Any:
    share = w.get(ACTIVATION_SHARE)
    if share is None:
      return model.apply({"params": w}, *inputs, **options)
    w = {name: leaf for name, leaf in w.items() if name != ACTIVATION_SHARE}
    # A config with a share has no integers.
    floats = cast(Callable[[jax.Array], jax.Array], model.quantize_activations)
    quantize = blended(floats, share)
    chosen = model.clone(quantize_activations=quantize)
    return chosen.apply({"params": w}, *inputs, **options)

  def logits(w, tokens, n) -> Any:
    return apply(w, tokens, last=n)

  def prefill(w, tokens, slots):
    return apply(w, tokens, slots, method="prefill")

  def decode(w, token, cache):
    return apply(w, token, cache, method="decode")

  return Network(init, weights, logits, prefill, decode, pick)
