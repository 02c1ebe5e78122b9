"""The engine's arithmetic, where it can be told without the engine."""

import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax.export import engine, gguf
from bitzero_jax.export import model as model_lib


def test_without_rounded_activations_it_is_the_model(small_config, mixed_model):
  config = small_config(quant__activations="none")
  model = mixed_model(config)
  placed = gguf.place(model, "f32", "f32")
  tokens = jnp.asarray([[9, 0, 0, 17, 40, 0, 8], [0, 5, 5, 0, 3, 2, 1]])
  got = engine.forward(model, placed)(tokens)
  network = build.build_shipped_network(config)
  wanted = network.logits(model_lib.weights(model), tokens, 7)
  real = np.asarray(tokens) != 0
  np.testing.assert_allclose(got[real], wanted[real], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", [256, 32])
def test_each_block_has_a_scale_of_its_own(block):
  x = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
  x[0, :block] = 0
  x[1] *= np.repeat(2.0 ** np.arange(512 // block), block)
  got = np.asarray(engine.round_inputs(jnp.asarray(x), block))
  wide = x.astype(np.float64).reshape(3, -1, block)
  step = np.abs(wide).max(-1, keepdims=True) / 127
  error = np.abs(got.reshape(wide.shape) - wide)
  # Half a step, and what a float16 scale adds to the largest of 127 steps.
  slack = 127 * 2.0**-11 if block == 32 else 1e-3
  assert np.all(error <= step * (0.5 + slack))
  assert np.all(got[0, :block] == 0)


def test_floats_are_rounded_as_their_type():
  x = jnp.asarray([[1.0, 1 / 3, 70000.0]], jnp.float32)
  np.testing.assert_array_equal(engine.round_inputs(x, 0), x)
  half = engine.round_inputs(x, 16)
  np.testing.assert_array_equal(half, x.astype(jnp.float16))


@pytest.mark.parametrize("activations", [256, 32, 16])
def test_only_a_tie_is_broken_as_it_was_heard(activations):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(64, 512)).astype(np.float32)
  mine = np.asarray(engine.round_inputs(jnp.asarray(x), activations))

  def heard(theirs):
    return np.asarray(
      engine.round_as(jnp.asarray(x), jnp.asarray(theirs), activations)
    )

  np.testing.assert_array_equal(heard(x), mine)
  np.testing.assert_array_equal(heard(x * 1.01), mine)
  np.testing.assert_array_equal(heard(-x), mine)
  np.testing.assert_array_equal(heard(np.zeros_like(x)), mine)
  near = x * np.float32(1 + 1e-5)
  wanted = engine.round_inputs(jnp.asarray(near), activations)
  np.testing.assert_array_equal(heard(near), wanted)
  assert np.any(wanted != mine)


def test_what_was_heard_reaches_every_product(small_config, mixed_model):
  model = mixed_model(small_config())
  placed = gguf.place(model)
  tokens = jnp.asarray([[9, 8, 7, 17, 40, 2, 8]])
  forward = engine.forward(model, placed)
  alone = forward(tokens)
  shape = model.config.model
  for name, inputs in {
    "attn_norm-1": shape.width,
    "attn_sub_norm-1": shape.width,
    "ffn_norm-1": shape.width,
    "ffn_sub_norm-1": shape.hidden,
    "result_norm": shape.width,
  }.items():
    far = np.ones((1, 7, inputs), np.float32)
    np.testing.assert_array_equal(forward(tokens, {name: far}), alone)


@pytest.mark.parametrize(
  ("name", "shape", "said"),
  [
    (
      "attn_norm-2",
      (1, 7, 32),
      "'attn_norm-2', which is no input of a product",
    ),
    ("attn_norm", (1, 7, 32), "'attn_norm', which is no input"),
    ("result_norm-0", (1, 7, 32), "'result_norm-0', which is no input"),
    (
      "attn_norm-1",
      (7, 32),
      r"attn_norm-1 must be \(1, 7, 32\), got shape \(7",
    ),
    ("ffn_sub_norm-1", (1, 7, 32), r"ffn_sub_norm-1 must be \(1, 7, 64\)"),
    ("result_norm", (1, 7, 1), r"result_norm must be \(1, 7, 32\)"),
  ],
)
def test_what_is_heard_of_something_else_is_refused(
  small_config, mixed_model, name, shape, said
):
  model = mixed_model(small_config())
  forward = engine.forward(model, gguf.place(model))
  tokens = jnp.asarray([[9, 8, 7, 17, 40, 2, 8]])
  with pytest.raises(ValueError, match=said):
    forward(tokens, {name: np.ones(shape, np.float32)})


@pytest.mark.slow
@pytest.mark.parametrize("layers", [2, 6])
def test_it_is_nearer_to_floats_than_training_is(
  small_config, mixed_model, layers
):
  """Two roundings of 8 bits, with nothing in common, and nothing else."""
  model = mixed_model(small_config(width=256, hidden=768, model__layers=layers))
  placed = gguf.place(model, embedding="f32")
  tokens = np.random.default_rng(5).integers(1, 249, (16, 12)).astype(np.int32)

  def forward(activations):
    config = small_config(
      width=256,
      hidden=768,
      model__layers=layers,
      quant__activations=activations,
    )
    network = build.build_shipped_network(config)
    return np.asarray(network.logits(model_lib.weights(model), tokens, 12))

  def relative(got, wanted):
    return np.linalg.norm(got - wanted) / np.linalg.norm(wanted)

  floats, per_token = forward("none"), forward("int8")
  blocks = engine.forward(model, placed)(tokens)
  training, here = relative(per_token, floats), relative(blocks, floats)
  assert here < training < 5e-2
  assert relative(blocks, per_token) < 1.1 * np.hypot(training, here)
