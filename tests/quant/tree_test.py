"""A quantizer applied to a parameter tree."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import (
  Packed,
  describe_tree,
  fake_quant_tree,
  init_tree,
  make,
  pack_tree,
  unpack_tree,
)
from bitzero_jax.quant.tree import Layout


def _params(dtype=jnp.float32):
  rng = np.random.default_rng(0)

  def draw(*shape):
    return jnp.asarray(rng.normal(size=shape), dtype)

  return {
    "embed": {"embedding": draw(10, 8)},
    "blocks": {  # two layers, stacked for a scan
      "attn": {"q": {"kernel": draw(2, 8, 6)}},
      "norm": {"scale": draw(2, 8)},
    },
    "head": {"kernel": draw(8, 5), "bias": draw(5)},
    "empty": {},
  }


def _mixed(path: str):
  return make("absmean") if path == "head/kernel" else make("digits", planes=2)


CHOICES = {
  "absmean": make("absmean"),
  "digits": make("digits", planes=3),
  "mixed": _mixed,
}
every_choice = pytest.mark.parametrize(
  "choice", CHOICES.values(), ids=CHOICES.keys()
)


def _assert_same_trees(got, wanted):
  assert jax.tree.structure(got) == jax.tree.structure(wanted)
  for one, other in zip(
    jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True
  ):
    assert one.dtype == other.dtype
    assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_init_keeps_the_paths_of_what_is_learned():
  params = _params()
  learned = init_tree(make("digits", planes=2), params)
  assert learned["blocks"]["attn"]["q"]["kernel"]["step"].shape == (2,)
  assert learned["head"]["kernel"]["step"].shape == ()
  assert set(learned) == {"blocks", "head"}
  assert init_tree(make("absmean"), params) == {}
  assert set(init_tree(_mixed, params)) == {"blocks"}


@every_choice
def test_only_kernels_change_and_each_layer_is_on_its_own(choice):
  params = _params()
  learned = init_tree(choice, params)
  seen = jax.jit(functools.partial(fake_quant_tree, choice))(params, learned)

  def one(path):
    return choice(path) if callable(choice) else choice

  wanted = _params()
  q = one("blocks/attn/q/kernel")
  stack = params["blocks"]["attn"]["q"]["kernel"]
  wanted["blocks"]["attn"]["q"]["kernel"] = jnp.stack(
    [q.fake_quant(w, q.init(w)) for w in stack]
  )
  q, w = one("head/kernel"), params["head"]["kernel"]
  wanted["head"]["kernel"] = q.fake_quant(w, q.init(w))
  _assert_same_trees(seen, wanted)


@every_choice
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_what_is_packed_is_what_was_trained(choice, dtype):
  params = _params(dtype)
  learned = init_tree(choice, params)
  packed = pack_tree(choice, params, learned)
  assert isinstance(packed["head"]["kernel"], Packed)
  assert isinstance(packed["blocks"]["attn"]["q"]["kernel"], Packed)
  shipped = unpack_tree(choice, packed, dtype)
  _assert_same_trees(shipped, fake_quant_tree(choice, params, learned))


def test_gradients_reach_kernels_steps_and_the_rest():
  params = _params()
  q = make("digits", planes=2)
  learned = init_tree(q, params)

  def loss(params, learned):
    seen = fake_quant_tree(q, params, learned)
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(seen))

  grads = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, learned)
  for leaf in jax.tree.leaves(grads):
    assert bool(jnp.all(jnp.isfinite(leaf)))
    assert bool(jnp.any(leaf != 0))


def test_the_gradient_makes_no_stack_for_each_kernel():
  """As an index for each would, of zeros around one part."""
  params = {f"layer_{i}": {"kernel": jnp.ones((4, 3))} for i in range(5)}

  def loss(params):
    quantized = fake_quant_tree(make("absmean"), params, {})
    return sum(jnp.sum(i * leaf) for i, leaf in enumerate(_leaves(quantized)))

  made = [str(jax.make_jaxpr(f)(params)) for f in (loss, jax.grad(loss))]
  forward, both = (jaxpr.count(" pad[") for jaxpr in made)
  assert forward == both
  for i, leaf in enumerate(_leaves(jax.grad(loss)(params))):
    np.testing.assert_array_equal(leaf, np.full((4, 3), i))


def _leaves(tree):
  return [tree[name]["kernel"] for name in sorted(tree)]


def test_the_table_counts_every_leaf():
  rows = {row.path: row for row in describe_tree(_mixed, _params())}
  assert list(rows) == [
    "embed/embedding",
    "blocks/attn/q/kernel",
    "blocks/norm/scale",
    "head/kernel",
    "head/bias",
  ]
  stack = rows["blocks/attn/q/kernel"]
  assert stack.shape == (2, 8, 6)
  assert (stack.parameters, stack.kind, stack.planes) == (96, "digits", 2)
  assert stack.stored_bits == 4.5
  assert stack.packed_bytes == 2 * (2 * 6 * 2 + 4)  # L (K * O * I/4 + scale)
  head = rows["head/kernel"]
  assert (head.kind, head.planes, head.stored_bits) == ("absmean", 1, 2.0625)
  assert head.packed_bytes == 5 * 2 + 4
  embedding = rows["embed/embedding"]
  assert embedding[2:] == (80, "float32", 0, 32.0, 320, ())


def test_groups_of_a_kernel_are_counted_each_with_its_own_planes():
  params = {"head": {"kernel": jnp.ones((8, 6))}}
  planes = [1, 3, 3]
  (row,) = describe_tree(
    lambda _: [make("digits", planes=k) for k in planes], params
  )
  assert (row.kind, row.planes, row.groups) == ("digits", 3, (1, 3, 3))
  assert row.stored_bits == (2.0625 + 2 * 5.5) / 3
  assert row.packed_bytes == 7 * 2 * 2 + 3 * 4  # K * O/G * I/4, and scales


def test_the_table_is_right_about_bytes_and_needs_no_values():
  params = _params(jnp.bfloat16)
  shapes = jax.eval_shape(lambda: params)
  for choice in CHOICES.values():
    rows = describe_tree(choice, shapes)
    packed = pack_tree(choice, params, init_tree(choice, params))
    real = sum(leaf.nbytes for leaf in jax.tree.leaves(packed))
    assert sum(row.packed_bytes for row in rows) == real


def test_errors_name_the_leaf():
  q = make("absmean")
  conv = {"conv": {"kernel": jnp.ones((3, 3, 4, 4))}}
  with pytest.raises(ValueError, match="conv/kernel must be"):
    fake_quant_tree(q, conv, {})
  with pytest.raises(ValueError, match="conv/kernel must be"):
    describe_tree(q, conv)
  with pytest.raises(ValueError, match="params must hold 'step'"):
    fake_quant_tree(make("digits"), _params(), {})


def test_a_stack_lies_as_its_kernels_do():
  names = {"q": ("in", "out"), "k": ("in", "out"), "o": ("out", "in")}
  kernels = {name: {"kernel": jnp.ones((4, 4))} for name in names}
  params = kernels | {"deep": {"q": {"kernel": jnp.ones((3, 4, 4))}}}
  seen = []

  def place(stack, *axes):
    seen.append((stack.shape, axes))
    return stack

  layout = Layout(lambda path: names[path.split("/")[-2]], place)
  quantized = fake_quant_tree(make("absmean"), params, {}, layout)
  assert sorted(seen) == [
    ((1, 3, 4, 4), (None, None, "in", "out")),
    ((1, 4, 4), (None, "out", "in")),
    ((2, 4, 4), (None, "in", "out")),
  ]
  _assert_same_trees(quantized, fake_quant_tree(make("absmean"), params, {}))
