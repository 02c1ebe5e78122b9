"""Decoding with the cache gives what the full forward pass gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models.cache import pick
from bitzero_jax.models.rope_scaling import Llama3
from bitzero_jax.models.sizes import size
from bitzero_jax.models.transformer import PAD, Transformer

VOCAB, PROMPT, ANSWER = 19, 7, 5
SLOTS = PROMPT + ANSWER


def build(**changes):
  options = {**size("tiny"), "vocab": VOCAB, "zero_init_head": False, **changes}
  model = Transformer(**options)
  return model, jax.jit(model.init)(jax.random.key(0), draw(1))


def draw(rows, prompt=PROMPT, answer=ANSWER):
  """Rows [prompt | answer], PAD anywhere but in the prompt's last column."""
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, VOCAB, (rows, prompt + answer))
  hole = rng.random((rows, prompt - 1)) < rng.random((rows, 1))
  tokens[:, : prompt - 1][hole] = PAD
  return jnp.asarray(tokens, jnp.int32)


def sample_path(model, variables, tokens, prompt=PROMPT):
  """Logits [B, answer + 1, V] by prefill and one decode for each column."""

  def step(cache, token):
    logits, cache = model.apply(variables, token, cache, method="decode")
    return cache, logits

  logits, cache = model.apply(
    variables, tokens[:, :prompt], tokens.shape[1], method="prefill"
  )
  _, rest = jax.lax.scan(step, cache, tokens[:, prompt:].T)
  return jnp.concatenate([logits[:, None], rest.swapaxes(0, 1)], axis=1)


def both(model, variables, tokens, prompt=PROMPT):
  last = tokens.shape[1] - prompt + 1
  sampled = jax.jit(lambda v, t: sample_path(model, v, t, prompt))
  learned = jax.jit(lambda v, t: model.apply(v, t, last=last))
  return sampled(variables, tokens), learned(variables, tokens)


def exact_ternary(variables):
  """Ternary kernels whose scale has 8 significant bits."""

  def ternary(path, w):
    if path[-1].key != "kernel":
      return w
    scale = jnp.mean(jnp.abs(w)).astype(jnp.bfloat16).astype(jnp.float32)
    return scale * jnp.clip(jnp.round(w / scale), -1, 1)

  return jax.tree_util.tree_map_with_path(ternary, variables)


def exact_int8(x):
  """Eight-bit activations whose scale is a power of two."""
  peak = jnp.maximum(jnp.max(jnp.abs(x), axis=-1, keepdims=True), 1e-5)
  step = jnp.exp2(jnp.ceil(jnp.log2(peak / 127)))
  return jnp.clip(jnp.round(x / step), -127, 127) * step


@pytest.mark.parametrize("activation", ["silu", "relu2"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_decoding_is_the_full_forward_pass(activation, kv_heads):
  model, variables = build(activation=activation, kv_heads=kv_heads)
  sampled, learned = both(model, variables, draw(6))
  np.testing.assert_allclose(sampled, learned, rtol=0, atol=1e-5)


def test_decoding_is_the_full_forward_pass_in_the_dense_form():
  model, variables = build(
    kv_heads=2,
    sub_norms=False,
    qkv_biases=True,
    tied_head=False,
    rope_scaling=Llama3(8.0, 1.0, 4.0, 16),
  )
  rng = np.random.default_rng(0)
  moved = jax.tree.map(
    lambda x: jnp.asarray(x + rng.normal(0, 0.3, x.shape), x.dtype), variables
  )
  sampled, learned = both(model, moved, draw(6))
  np.testing.assert_allclose(sampled, learned, rtol=0, atol=1e-4)
  plain = model.clone(rope_scaling=None)
  assert np.abs(both(plain, moved, draw(6))[1] - learned).max() > 1e-2


@pytest.mark.parametrize("kv_heads", [2, 4])
@pytest.mark.parametrize("rows", [4, 33])
def test_with_exact_products_not_one_bit_differs(rows, kv_heads):
  # Every product and partial sum in a projection fits float32, so only
  # attention, norms and head are left, which keep their order of addition.
  model, variables = build(kv_heads=kv_heads, quantize_activations=exact_int8)
  sampled, learned = both(model, exact_ternary(variables), draw(rows))
  np.testing.assert_array_equal(sampled, learned)
  assert np.std(learned) > 0.5


def test_a_pad_leaves_other_rows_and_its_own_past_alone():
  model, variables = build()
  tokens = np.array(draw(4, answer=4))
  tokens[1, PROMPT + 1] = PAD
  sampled, learned = both(model, variables, jnp.asarray(tokens))
  plain, _ = both(model, variables, draw(4, answer=4))
  others = np.array([0, 2, 3])
  np.testing.assert_array_equal(sampled[others], plain[others])
  np.testing.assert_array_equal(sampled[1, :2], plain[1, :2])
  assert np.isfinite(sampled).all()
  # Row 1 goes on one column further, and reads nothing there.
  np.testing.assert_allclose(sampled[1, 3:], learned[1, 3:], atol=1e-5)
  tokens[1, PROMPT + 1] = 7
  another, _ = both(model, variables, jnp.asarray(tokens))
  assert np.abs(another[1, 3:] - sampled[1, 3:]).max() > 1e-3


def test_padding_in_front_of_a_prompt_is_no_shift():
  model, variables = build()
  tokens = draw(3)
  front = jnp.pad(tokens, ((0, 0), (3, 0)), constant_values=PAD)
  near, _ = both(model, variables, tokens)
  far, _ = both(model, variables, front, PROMPT + 3)
  np.testing.assert_allclose(far, near, rtol=0, atol=1e-5)


def test_the_cache_counts_columns_and_marks_padding():
  model, variables = build()
  tokens = draw(3)
  logits, cache = model.apply(
    variables, tokens[:, :PROMPT], SLOTS, method="prefill"
  )
  assert logits.shape == (3, VOCAB)
  assert cache.keys.shape == (2, 3, SLOTS, 2, 8)
  valid = np.array(tokens != PAD)
  assert not valid[:, :PROMPT].all()
  valid[:, PROMPT:] = False
  np.testing.assert_array_equal(cache.valid, valid)
  assert int(cache.column) == PROMPT
  token = jnp.array([3, PAD, 5], jnp.int32)
  _, cache = model.apply(variables, token, cache, method="decode")
  np.testing.assert_array_equal(cache.valid[:, PROMPT], [True, False, True])
  np.testing.assert_array_equal(cache.valid[:, :PROMPT], valid[:, :PROMPT])
  assert int(cache.column) == PROMPT + 1


def test_bfloat16_is_kept_in_the_cache():
  model, variables = build(dtype=jnp.bfloat16)
  tokens = draw(4)
  _, cache = model.apply(variables, tokens, SLOTS, method="prefill")
  assert cache.keys.dtype == cache.values.dtype == jnp.bfloat16
  sampled, learned = both(model, variables, tokens)
  np.testing.assert_allclose(sampled, learned, atol=0.1)


def test_a_prompt_that_does_not_fit_is_refused():
  model, variables = build()
  with pytest.raises(ValueError, match="slots=6 must hold the 7 prompt"):
    model.apply(variables, draw(1)[:, :PROMPT], 6, method="prefill")


def test_picked_rows_go_on_as_the_rows_they_came_from():
  model, variables = build()
  tokens = draw(4)
  rows = jnp.array([2, 0, 2, 3, 3], jnp.int32)
  _, cache = jax.jit(
    lambda t: model.apply(variables, t, SLOTS, method="prefill")
  )(tokens[:, :PROMPT])
  step = jax.jit(lambda t, c: model.apply(variables, t, c, method="decode"))
  plain, after = step(tokens[:, PROMPT], cache)
  some, picked = step(tokens[rows, PROMPT], pick(cache, rows))
  np.testing.assert_array_equal(some, plain[rows])
  np.testing.assert_array_equal(picked.valid, after.valid[rows])
  assert int(picked.column) == int(after.column)
  # Rows that were one may part.
  parted, _ = step(jnp.array([1, 1, 1, 2, 5], jnp.int32), picked)
  np.testing.assert_array_equal(parted[0], parted[2])
  assert np.abs(parted[4] - parted[3]).max() > 1e-3
