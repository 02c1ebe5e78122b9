"""The model as a value: pure functions that the loop calls."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from bitzero_jax.models.cache import pick
from bitzero_jax.models.transformer import Transformer


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
  """Binds a Linen transformer to a way of making its weights."""

  def logits(w, tokens, n) -> Any:
    return model.apply({"params": w}, tokens, last=n)

  def prefill(w, tokens, slots):
    return model.apply({"params": w}, tokens, slots, method="prefill")

  def decode(w, token, cache):
    return model.apply({"params": w}, token, cache, method="decode")

  return Network(init, weights, logits, prefill, decode, pick)
