"""Packed weights run the same model, and give the bits that training sees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models import product
from bitzero_jax.models.sizes import size
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import activations, make, tree

VOCAB, PROMPT = 19, 7
slowly = pytest.mark.slow


@functools.cache
def build(dtype="float32", quantize=product.quantize):
  model = Transformer(
    vocab=VOCAB,
    zero_init_head=False,
    dtype=dtype,
    quantize_activations=quantize,
    **size("tiny") | {"layers": 1},
  )
  tokens = jnp.ones((1, 2), jnp.int32)
  params = jax.jit(model.init)(jax.random.key(0), tokens)["params"]
  return model, params


def draw(rows, prompt=PROMPT):
  tokens = np.random.default_rng(0).integers(1, VOCAB, (rows, prompt + 3))
  return jnp.asarray(tokens, jnp.int32)


def weights_of(name, options, params):
  """Integers as a learner has them, and packed bytes as a sampler may."""
  quantizer = make(name, **options)
  learned = tree.init_tree(quantizer, params)
  coded = tree.coded_tree(quantizer, params, learned, product.Integers)
  packed = tree.pack_tree(quantizer, params, learned)
  return coded, product.prepare(packed, "base")


@pytest.mark.parametrize(
  ("name", "options", "dtype", "rows"),
  [
    pytest.param("absmean", {}, "float32", 1, marks=slowly),
    ("digits", {"planes": 5}, "bfloat16", 5),
    pytest.param("absmean", {}, "bfloat16", 5, marks=slowly),
    pytest.param("digits", {"planes": 2}, "float32", 5, marks=slowly),
    pytest.param("nested", {"planes": 3}, "float32", 1, marks=slowly),
  ],
)
def test_packed_logits_are_the_learners_bit_for_bit(name, options, dtype, rows):
  model, params = build(dtype)
  coded, packed = weights_of(name, options, params)
  forward = jax.jit(lambda w, t: model.apply({"params": w}, t))
  tokens = draw(rows)
  np.testing.assert_array_equal(forward(packed, tokens), forward(coded, tokens))


@pytest.mark.parametrize(
  ("rows", "prompt"),
  [
    pytest.param(1, PROMPT, marks=slowly),
    pytest.param(5, PROMPT, marks=slowly),
    (16, 40),  # a column has fewer than 4096 scores, all columns have more
  ],
)
def test_decoding_packed_gives_the_bits_of_the_learner(rows, prompt):
  """Sampler and learner: other programs, other weights, other shapes."""
  model, params = build()
  coded, packed = weights_of("absmean", {}, params)
  tokens = draw(rows, prompt)

  @jax.jit
  def sample(w):
    logits, cache = model.apply(
      {"params": w}, tokens[:, :prompt], tokens.shape[1], method="prefill"
    )
    seen = [logits]
    for column in range(prompt, tokens.shape[1]):
      logits, cache = model.apply(
        {"params": w}, tokens[:, column], cache, method="decode"
      )
      seen.append(logits)
    return jnp.stack(seen, axis=1)

  last = tokens.shape[1] - prompt + 1
  learned = jax.jit(lambda w: model.apply({"params": w}, tokens, last=last))
  np.testing.assert_array_equal(sample(packed), learned(coded))


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("absmean", {}),
    pytest.param("digits", {"planes": 2}, marks=slowly),
    pytest.param("nested", {"planes": 3}, marks=slowly),
  ],
)
def test_integers_are_the_fake_quantized_model_but_for_rounding(name, options):
  model, params = build()
  plain, _ = build(quantize=activations.fake_quant)
  quantizer = make(name, **options)
  learned = tree.init_tree(quantizer, params)
  floats = tree.fake_quant_tree(quantizer, params, learned)
  coded, _ = weights_of(name, options, params)
  tokens = draw(4)
  got = jax.jit(lambda w: model.apply({"params": w}, tokens))(coded)
  wanted = jax.jit(lambda w: plain.apply({"params": w}, tokens))(floats)
  # A last bit may move an activation over a step of its 127, here and there.
  np.testing.assert_allclose(got, wanted, rtol=0, atol=0.1)
  assert np.median(np.abs(got - wanted)) < 1e-5


def test_the_gradient_is_that_of_fake_quantized_floats():
  model, params = build()
  plain, _ = build(quantize=activations.fake_quant)
  quantizer = make("digits", planes=2)
  learned = tree.init_tree(quantizer, params)
  tokens = draw(4)

  def by_integers(params, learned):
    w = tree.coded_tree(quantizer, params, learned, product.Integers)
    return jnp.sum(jnp.sin(model.apply({"params": w}, tokens)))

  def by_floats(params, learned):
    w = tree.fake_quant_tree(quantizer, params, learned)
    return jnp.sum(jnp.sin(plain.apply({"params": w}, tokens)))

  got = jax.jit(jax.grad(by_integers, (0, 1)))(params, learned)
  wanted = jax.jit(jax.grad(by_floats, (0, 1)))(params, learned)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=0, atol=0.02 * float(jnp.max(jnp.abs(b)) + 1e-3)
    ),
    got,
    wanted,
  )


@pytest.mark.parametrize(
  ("name", "options"), [("absmean", {}), ("digits", {"planes": 5})]
)
def test_packed_weights_take_bfloat16_activations_within_rounding(
  name, options
):
  """One matrix: the packed product adds up unscaled, XLA's scaled numbers."""
  quantizer = make(name, **options)
  w = jax.random.normal(jax.random.key(1), (64, 32)) * 0.1
  learned = quantizer.init(w)
  packed = {"kernel": quantizer.pack(*quantizer.quantize(w, learned))}
  kernel = product.prepare(packed, "base")["kernel"]
  x = jax.random.normal(jax.random.key(2), (2, 3, 64), jnp.bfloat16)
  got = product.project(x, kernel)
  value = quantizer.fake_quant(w, learned)
  assert got.dtype == jnp.bfloat16
  wanted = np.asarray(x, np.float64) @ np.asarray(value, np.float64)
  size = np.abs(np.asarray(x, np.float64)) @ np.abs(value)
  # One rounding to bfloat16, 8 bits, and float32 sums.
  error = np.abs(np.asarray(got, np.float64) - wanted)
  np.testing.assert_array_less(error, 2**-8 * np.abs(wanted) + 1e-6 * size)


def test_operands_that_do_not_fit_together_are_refused():
  x = jnp.ones((1, 2, 8))
  weight = product.Integers(jnp.ones((8, 4), jnp.int8), jnp.ones(()), x[0].T)
  with pytest.raises(TypeError, match="x must be integers, as the kernel is"):
    product.project(x, weight)
  with pytest.raises(ValueError, match="kernel 'fast' must be one of"):
    packed = make("absmean").pack(jnp.ones((8, 4), jnp.int8), jnp.ones(()))
    product.prepare({"kernel": packed}, "fast")
