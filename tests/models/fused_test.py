"""The decoder in few kernels computes what the Linen decoder does."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models import cache, fused, product
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import make, tree

SHAPE: dict[str, Any] = {
  "width": 128,
  "layers": 2,
  "heads": 4,
  "kv_heads": 2,
  "hidden": 96,
}
VOCAB, SLOTS, ROWS, STEPS = 19, 16, 3, 4


@functools.cache
def build(activation="relu2"):
  model = Transformer(
    vocab=VOCAB,
    zero_init_head=False,
    activation=activation,
    quantize_activations=product.quantize,
    **SHAPE,
  )
  params = model.init(jax.random.key(0), jnp.ones((1, 2), jnp.int32))["params"]
  return model, tree.pack_tree(make("absmean"), params, {})


@functools.cache
def wanted():
  """Logits of every step, by `Transformer.decode`."""
  model, packed = build()
  weights = {"params": product.prepare(packed, "base")}
  held = cache.empty(2, ROWS, SLOTS, 2, 32, jnp.float32)
  step = jax.jit(lambda t, c: model.apply(weights, t, c, method="decode"))
  found = []
  for token in tokens():
    logits, held = step(token, held)
    found.append(logits)
  return np.stack(found)


def tokens():
  drawn = np.random.default_rng(0).integers(1, VOCAB, (STEPS, ROWS))
  return jnp.asarray(drawn, jnp.int32)


def run(parts, weights):
  state = fused.empty(2, ROWS, SLOTS, 2, 32, weights.embedding.dtype)
  step = jax.jit(lambda t, s: fused.decode(parts, weights, t, s))
  found = []
  for token in tokens():
    logits, state = step(token, state)
    found.append(logits)
  return np.stack(found)


def distance(got, truth):
  return np.linalg.norm(got - truth) / np.linalg.norm(truth)


def test_plain_parts_give_the_models_logits():
  model, packed = build()
  weights = fused.from_packed(packed, model, implementation="base")
  got = run(fused.packed(jnp.float32, kernels=False), weights)
  # A last bit before a rounding may turn a code over.
  assert distance(got, wanted()) < 5e-3


def test_an_integer_head_is_close():
  model, packed = build()
  weights = fused.from_packed(
    packed, model, implementation="base", integers=True
  )
  got = run(fused.packed(jnp.float32, kernels=False), weights)
  assert 0 < distance(got, wanted()) < 2e-2


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["triton_gemv", "triton_dot"])
def test_kernels_give_the_models_logits(implementation):
  model, packed = build()
  weights = fused.from_packed(packed, model, implementation=implementation)
  parts = fused.packed(jnp.float32, kernels=True, interpret=True)
  assert distance(run(parts, weights), wanted()) < 5e-3


def test_another_gate_is_refused():
  model, packed = build("silu")
  with pytest.raises(ValueError, match="activation='silu' must be 'relu2'"):
    fused.from_packed(packed, model)


def test_parts_of_other_inputs_cannot_be_joined():
  _, packed = build()
  mlp = packed["layers_0"]["mlp"]
  ends = [mlp[name]["kernel"] for name in ("gate_proj", "down_proj")]
  with pytest.raises(ValueError, match=r"must be the same, got \[\(1, 128\)"):
    fused.together(ends)
