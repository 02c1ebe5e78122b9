"""The full forward pass: what it computes, and what it must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models.sizes import SIZES, size
from bitzero_jax.models.transformer import PAD, Transformer

VOCAB = 19


def build(**changes):
  """A tiny model and its parameters, every norm's scale moved off one."""
  options = {**size("tiny"), "vocab": VOCAB, **changes}
  model = Transformer(**options)
  params = jax.jit(model.init)(jax.random.key(0), draw(1, 2))["params"]
  leaves, tree = jax.tree.flatten(params)
  rng = np.random.default_rng(0)
  leaves = [
    jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype) if x.ndim == 1 else x
    for x in leaves
  ]
  return model, jax.tree.unflatten(tree, leaves)


def draw(rows, columns, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(1, VOCAB, (rows, columns)).astype(np.int32)


def run(model, params, tokens, **options):
  forward = jax.jit(lambda p, t: model.apply({"params": p}, t, **options))
  return forward(params, jnp.asarray(tokens))


def test_padding_on_both_sides_changes_nothing():
  model, params = build()
  tokens = draw(3, 6)
  padded = np.pad(tokens, ((0, 0), (5, 2)), constant_values=PAD)
  got = run(model, params, padded)
  expected = run(model, params, tokens)
  np.testing.assert_allclose(got[:, 5:-2], expected, rtol=0, atol=1e-5)
  assert np.isfinite(got).all()


def test_padding_inside_is_not_read_but_counts_as_a_position():
  model, params = build()
  tokens = draw(3, 6)
  kept = np.array([0, 1, 4, 5, 7, 8])
  spread = np.zeros((3, 9), np.int32)
  spread[:, kept] = tokens
  positions = jnp.broadcast_to(jnp.asarray(kept, jnp.int32), tokens.shape)
  got = run(model, params, spread)
  expected = run(model, params, tokens, positions=positions)
  np.testing.assert_allclose(got[:, kept], expected, rtol=0, atol=1e-5)
  close = run(model, params, tokens)
  assert np.abs(got[:, kept] - close).max() > 1e-3
  np.testing.assert_allclose(got[:, :2], close[:, :2], rtol=0, atol=1e-5)


def test_a_row_of_padding_is_finite_and_so_is_its_gradient():
  model, params = build()
  tokens = jnp.zeros((2, 4), jnp.int32)
  value, gradient = jax.value_and_grad(
    lambda p: jnp.sum(jnp.square(run(model, p, tokens)))
  )(params)
  assert np.isfinite(value)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_no_column_sees_a_later_one():
  model, params = build()
  tokens = draw(2, 8)
  changed = tokens.copy()
  changed[:, 5] = changed[:, 5] % (VOCAB - 1) + 1
  before, after = run(model, params, tokens), run(model, params, changed)
  np.testing.assert_array_equal(before[:, :5], after[:, :5])
  assert (np.abs(before[:, 5:] - after[:, 5:]).max((0, 2)) > 1e-3).all()


def test_given_positions_and_valid_replace_the_derived_ones():
  model, params = build()
  tokens = draw(2, 6)
  derived = run(model, params, tokens)
  steps = jnp.broadcast_to(jnp.arange(6, dtype=jnp.int32), tokens.shape)
  every = jnp.ones(tokens.shape, jnp.bool_)
  same = run(model, params, tokens, positions=steps, valid=every)
  np.testing.assert_allclose(same, derived, rtol=0, atol=1e-5)
  stretched = run(model, params, tokens, positions=3 * steps)
  assert np.abs(stretched - derived).max() > 1e-3
  hidden = run(model, params, tokens, valid=every.at[:, 2].set(False))
  np.testing.assert_allclose(hidden[:, :2], derived[:, :2], atol=1e-5)
  assert np.abs(hidden[:, 3:] - derived[:, 3:]).max() > 1e-3


def test_grouped_heads_are_shared_heads():
  grouped, params = build(kv_heads=2)
  full, _ = build(kv_heads=4)
  head = grouped.width // grouped.heads

  def share(path, x):
    if path[-2].key not in ("k_proj", "v_proj"):
      return x
    heads = x.reshape(x.shape[0], 2, head)
    return jnp.repeat(heads, 2, axis=1).reshape(x.shape[0], 4 * head)

  shared = jax.tree_util.tree_map_with_path(share, params)
  tokens = draw(2, 7)
  np.testing.assert_allclose(
    run(grouped, params, tokens), run(full, shared, tokens), atol=1e-5
  )


def test_the_two_gates_differ():
  silu, params = build(activation="silu")
  relu2, _ = build(activation="relu2")
  tokens = draw(1, 5)
  gap = run(silu, params, tokens) - run(relu2, params, tokens)
  assert np.abs(gap).max() > 1e-2


def test_an_untrained_model_gives_zero_logits_and_can_leave_them():
  model = Transformer(vocab=VOCAB, **size("tiny"))
  tokens = jnp.asarray(draw(2, 5))
  params = jax.jit(model.init)(jax.random.key(0), tokens)["params"]
  np.testing.assert_array_equal(run(model, params, tokens), 0)
  slope = jax.grad(lambda p: run(model, p, tokens)[..., 1].sum())(params)
  assert np.abs(slope["norm"]["scale"]).max() > 1e-2
  plain = Transformer(vocab=VOCAB, zero_init_head=False, **size("tiny"))
  params = jax.jit(plain.init)(jax.random.key(0), tokens)["params"]
  started = run(plain, params, tokens)
  assert 0.5 < np.std(started) < 2


@pytest.mark.parametrize("last", [1, 3, 8])
def test_only_the_last_columns_are_the_same_columns(last):
  model, params = build()
  tokens = draw(2, 8)
  full = run(model, params, tokens)
  some = run(model, params, tokens, last=last)
  assert some.shape == (2, last, VOCAB)
  np.testing.assert_allclose(some, full[:, -last:], rtol=0, atol=1e-5)
  trunk = run(model, params, tokens, last=last, method="trunk")
  headed = model.apply({"params": params}, trunk, method="head")
  np.testing.assert_allclose(headed, some, rtol=0, atol=1e-5)


def test_every_kernel_input_is_quantized_once_and_the_head_input_is_not():
  seen = []

  def record(x):
    seen.append(x.shape[-1])
    return jnp.zeros_like(x)

  model, params = build(quantize_activations=record)
  tokens = draw(1, 4)
  seen.clear()
  got = run(model, params, tokens)
  assert seen == [32, 32, 32, 64] * model.layers
  embedding = params["embed_tokens"]["embedding"]
  x = embedding[tokens]
  x = x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + model.eps)
  expected = x * params["norm"]["scale"] @ embedding.T
  np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_bfloat16_keeps_parameters_and_logits_in_float32():
  model, params = build()
  half, own = build(dtype="bfloat16")
  assert {x.dtype for x in jax.tree.leaves(own)} == {jnp.dtype("float32")}
  tokens = draw(2, 8)
  got = run(half, params, tokens)
  assert got.dtype == jnp.float32
  assert run(half, params, tokens, method="trunk").dtype == jnp.bfloat16
  np.testing.assert_allclose(got, run(model, params, tokens), atol=0.1)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"heads": 5}, "heads=5 must divide width=32"),
    ({"kv_heads": 3}, "kv_heads=3 must divide heads=4"),
    ({"width": 36, "heads": 12, "kv_heads": 2}, "must be even, got 3"),
    ({"activation": "gelu"}, "activation='gelu' must be in: silu, relu2"),
    ({"dtype": "float16"}, "dtype=float16 must be float32 or bfloat16"),
    ({"layers": 0}, "layers=0 must be at least 1"),
    ({"rope_theta": 0.0}, "rope_theta=0.0 must be above 0"),
  ],
)
def test_what_does_not_fit_is_refused_at_construction(changes, message):
  with pytest.raises(ValueError, match=message):
    Transformer(**{"vocab": VOCAB, **size("tiny"), **changes})


def test_bad_calls_are_refused():
  model, params = build()
  with pytest.raises(ValueError, match=r"tokens must be .*got \(3,\)"):
    run(model, params, np.ones(3, np.int32))
  for last in (0, 5):
    with pytest.raises(ValueError, match=rf"last={last} must be in 1 ... 4"):
      run(model, params, draw(1, 4), last=last)


def test_the_sizes_have_the_parameters_they_say():
  counts = {}
  for name in SIZES:
    model = Transformer(vocab=270, **size(name))
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    tree = jax.eval_shape(model.init, jax.random.key(0), tokens)
    counts[name] = sum(x.size for x in jax.tree.leaves(tree))
  assert counts == {
    "tiny": 27_424,
    "laptop": 359_424,
    "small": 1_629_248,
    "base": 4_797_184,
    "export": 1_251_584,
  }
  with pytest.raises(ValueError, match="size='huge' must be in: tiny"):
    size("huge")


@pytest.mark.parametrize(
  "options",
  [{"scan": True}, {"remat": "dots"}, {"scan": True, "remat": "full"}],
  ids=["scan", "remat", "both"],
)
def test_a_loop_over_blocks_and_remat_compute_the_same(options):
  model, params = build(layers=4)
  other = model.clone(**options)
  tokens = draw(3, 6)
  init = jax.eval_shape(other.init, jax.random.key(0), tokens)["params"]
  assert jax.tree.map(jnp.shape, init) == jax.tree.map(jnp.shape, params)

  def loss(model, params):
    logits = model.apply({"params": params}, tokens, last=2)
    return jnp.mean(jnp.square(logits)), logits

  def read(model, params):
    options = {"slots": 8, "method": "prefill"}
    _, cache = model.apply({"params": params}, tokens, **options)
    return model.apply({"params": params}, tokens[:, 0], cache, method="decode")

  def both(model):
    step = jax.value_and_grad(lambda p: loss(model, p), has_aux=True)
    return jax.jit(lambda p: (step(p), read(model, p)))(params)

  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(one, two, 1e-4, 1e-5),
    both(other),
    both(model),
  )


def test_layers_of_a_loop_lie_as_each_of_them_does():
  placed = set()

  def place(x, *names):
    placed.add((x.shape, names))
    return x

  model, params = build(layers=3, width=8, hidden=24, heads=2, kv_heads=1)
  looped = model.clone(scan=True, place=place)
  run(looped, params, draw(2, 5))
  assert {
    ((2, 8, 4), (None, "embed", "heads")),  # keys and values
    ((2, 8, 8), (None, "heads", "embed")),
    ((2, 8, 24), (None, "embed", "mlp")),
    ((2, 24, 8), (None, "mlp", "embed")),
    ((2, 8), (None, None)),  # norms
  } <= placed
