"""The decoder in few kernels computes what the Linen decoder does."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models import (
  cache,
  fused,
  fused_parts,
  fused_weights,
  product,
)
from bitzero_jax.models.rope_scaling import Linear
from bitzero_jax.models.transformer import PAD, Transformer
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
def build(**options):
  """A model with other options, and its packed weights."""
  model = Transformer(
    vocab=VOCAB,
    zero_init_head=False,
    quantize_activations=product.quantize,
    **SHAPE | {"activation": "relu2"} | options,
  )
  params = model.init(jax.random.key(0), jnp.ones((1, 2), jnp.int32))["params"]
  return model, tree.pack_tree(make("absmean"), params, {})


@functools.cache
def wanted(**options):
  """Logits of every step, by `Transformer.decode`."""
  model, packed = build(**options)
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
  drawn[1, 0] = PAD
  return jnp.asarray(drawn, jnp.int32)


def plain(model):
  return fused_parts.packed(jnp.float32, eps=model.eps, kernels=False)


def run(parts, weights, model):
  state = fused.empty(2, ROWS, SLOTS, 2, 32, weights.embedding.dtype)
  step = jax.jit(
    lambda t, s: fused.decode(parts, weights, t, s, theta=model.rope_theta)
  )
  found = []
  for token in tokens():
    logits, state = step(token, state)
    found.append(logits)
  return np.stack(found)


def distance(got, truth):
  """Of the columns that mean something, relative."""
  real = np.asarray(tokens()) != PAD
  return np.linalg.norm((got - truth)[real]) / np.linalg.norm(truth[real])


@pytest.mark.parametrize(
  "options", [{}, {"eps": 0.3, "rope_theta": 20.0}], ids=["usual", "other"]
)
@pytest.mark.parametrize("integers", [False, True])
def test_plain_parts_give_the_models_logits(options, integers):
  model, packed = build(**options)
  weights = fused_weights.from_packed(
    packed, model, implementation="base", integers=integers
  )
  off = distance(run(plain(model), weights, model), wanted(**options))
  # A last bit before a rounding may turn a code over.
  assert 0 < off < 2e-2 if integers else off < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["triton_gemv", "triton_dot"])
def test_kernels_give_the_models_logits(implementation):
  model, packed = build()
  weights = fused_weights.from_packed(
    packed, model, implementation=implementation
  )
  parts = fused_parts.packed(
    jnp.float32, eps=model.eps, kernels=True, interpret=True
  )
  assert distance(run(parts, weights, model), wanted()) < 5e-3


@pytest.mark.parametrize("slots", [48, 80, 128])
def test_attention_takes_any_multiple_of_16_slots(slots):
  rng = np.random.default_rng(0)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  keys, values = normal(1, slots, 1, 32), normal(1, slots, 1, 32)
  seen = jnp.ones((1, slots), jnp.int8).at[:, -1].set(0)
  angles = normal(1, 16), normal(1, 16)
  given = (normal(1, 3, 32), keys, values, seen, jnp.int32(slots - 1), *angles)
  parts = fused_parts.packed(
    jnp.float32, eps=1e-5, kernels=True, interpret=True
  )
  got, *_ = parts.attend(*given)
  if not isinstance(got, jax.Array):  # of several parts
    got = got.merged(jnp.float32)
  due, *_ = fused_parts.floats(eps=1e-5).attend(*given)
  np.testing.assert_allclose(got, due, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  ("options", "said"),
  [
    ({"activation": "silu"}, "activation='silu' must be 'relu2'"),
    ({"sub_norms": False}, "sub_norms=False must be True"),
    ({"qkv_biases": True}, "qkv_biases=True must be False"),
    ({"tied_head": False}, "tied_head=False must be True"),
    ({"rope_scaling": Linear(2.0)}, "rope_scaling=Linear.* must be None"),
  ],
)
def test_a_model_of_another_form_is_refused(options, said):
  model = build()[0].clone(**options)
  with pytest.raises(ValueError, match=said):
    fused_weights.from_packed(build()[1], model)


def test_parts_of_other_inputs_cannot_be_joined():
  _, packed = build()
  mlp = packed["layers_0"]["mlp"]
  ends = [mlp[name]["kernel"] for name in ("gate_proj", "down_proj")]
  with pytest.raises(ValueError, match=r"must be the same, got \[\(1, 128\)"):
    fused_weights.together(ends)
