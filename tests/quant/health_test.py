"""What became of the codes, matrix by matrix, counted by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import init_tree, make
from bitzero_jax.quant.health import measure
from bitzero_jax.quant.table import QUANTIZERS

SHARES = ("flip_rate", "zero_share", "clipped_share", "dead_outputs")


def _trees():
  """Codes of step 0.5: a [4, 3] of 2; b, two layers of [4, 1], of 2."""
  before = {
    "b": {"kernel": jnp.ones((2, 4, 1)), "bias": jnp.zeros(1)},
    "a": {"kernel": jnp.ones((4, 3))},
  }
  q = make("digits", planes=2)
  learned = init_tree(q, before)
  return q, before, jax.tree.map(lambda step: jnp.full_like(step, 0.5), learned)


def test_flips_are_counted_by_matrix_and_over_all():
  q, before, learned = _trees()
  same = measure(q, before, before, learned, learned)
  assert float(same["ternary/flip_rate"]) == 0
  after = jax.tree.map(lambda x: x, before)
  after["a"]["kernel"] = before["a"]["kernel"].at[0, 0].add(0.5)
  after["b"]["kernel"] = before["b"]["kernel"].at[1].add(-0.5)
  after["b"]["bias"] = jnp.ones(1)
  found = jax.jit(functools.partial(measure, q))(
    before, after, learned, learned
  )
  np.testing.assert_allclose(found["ternary/flip_rate"], 5 / 20, rtol=1e-6)
  np.testing.assert_allclose(
    found["ternary/kernels/flip_rate"], [1 / 12, 0, 1], rtol=1e-6
  )


def test_a_step_that_moves_flips_codes_and_drifts():
  q, before, learned = _trees()
  wider = learned | {"b": jax.tree.map(lambda step: 2 * step, learned["b"])}
  found = measure(q, before, before, learned, wider)
  assert found["ternary/kernels/flip_rate"].tolist() == [0, 1, 1]
  assert found["ternary/kernels/scale"].tolist() == [0.5, 1, 1]
  np.testing.assert_allclose(
    found["ternary/scale_drift"], 2 / 3 * np.log(2), rtol=1e-6
  )


def test_zeros_dead_outputs_and_clipped_weights():
  q, before, learned = _trees()
  weights = jnp.array([[0.0, 0.1, 1.0], [0.2, 0, 0], [0, 0, 3], [0, 0, -9]])
  after = before | {"a": {"kernel": weights}}
  found = measure(q, before, after, learned, learned)
  assert found["ternary/kernels/dead_outputs"].tolist() == pytest.approx(
    [2 / 3, 0, 0]
  )
  assert found["ternary/kernels/zero_share"].tolist() == pytest.approx(
    [9 / 12, 0, 0]
  )
  # The largest code is 4, of weights up to 2.
  assert found["ternary/kernels/clipped_share"].tolist() == pytest.approx(
    [2 / 12, 0, 0]
  )
  assert float(found["ternary/zero_share"]) == pytest.approx(9 / 20)
  assert float(found["ternary/clipped_share"]) == pytest.approx(2 / 20)
  assert float(found["ternary/dead_outputs"]) == pytest.approx(2 / 5)


def test_a_step_at_its_floor_clips_nearly_all():
  q, before, learned = _trees()
  gone = jax.tree.map(lambda step: -step, learned)
  found = measure(q, before, before, learned, gone)
  assert float(found["ternary/clipped_share"]) == 1
  np.testing.assert_allclose(found["ternary/kernels/scale"], [1e-5] * 3)


@pytest.mark.parametrize("name", sorted(set(QUANTIZERS) - {"identity"}))
def test_every_quantizer_with_codes_is_measured(name):
  q = make(name)
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
  one = {"q": {"kernel": draw(64, 32)}, "up": {"kernel": draw(3, 32, 32)}}
  two = jax.tree.map(lambda w: w + draw(*w.shape), one)
  found = measure(q, one, two, init_tree(q, one), init_tree(q, two))
  assert set(found) == {
    *(f"ternary/{name}" for name in (*SHARES, "scale_drift")),
    *(f"ternary/kernels/{name}" for name in (*SHARES, "scale")),
  }
  sizes = {"dead_outputs": [32] * 4}
  for share in SHARES:
    each = found[f"ternary/kernels/{share}"]
    assert each.shape == (4,)
    assert each.dtype == jnp.float32
    assert ((each >= 0) & (each <= 1)).all()
    weigh = sizes.get(share, [64 * 32] + [32 * 32] * 3)
    np.testing.assert_allclose(
      found[f"ternary/{share}"], np.average(each, weights=weigh), rtol=1e-5
    )
  assert 0.1 < found["ternary/flip_rate"] < 1
  assert (found["ternary/kernels/scale"] > 0).all()
  assert found["ternary/dead_outputs"] == 0


def test_gaussian_weights_under_absmean_are_a_third_zeros():
  weights = np.random.default_rng(0).normal(size=(256, 256))
  tree = {"q": {"kernel": jnp.asarray(weights, jnp.bfloat16)}}
  found = measure(make("absmean"), tree, tree, {}, {})
  assert float(found["ternary/zero_share"]) == pytest.approx(0.31, abs=0.01)
  assert float(found["ternary/scale_drift"]) == 0


def test_what_has_no_codes_is_left_out():
  _, tree, _ = _trees()
  assert measure(make("identity"), tree, tree, {}, {}) == {}

  def mixed(path):
    return make("identity" if path == "a/kernel" else "absmean")

  found = measure(mixed, tree, tree, {}, {})
  assert found["ternary/kernels/scale"].tolist() == [1, 1]


def test_seeds_are_measured_side_by_side():
  q, before, learned = _trees()
  both = jax.tree.map(lambda *leaves: jnp.stack(leaves), before, before)
  after = both | {"a": {"kernel": both["a"]["kernel"].at[1].add(0.5)}}
  rate = jax.vmap(lambda old, new: measure(q, old, new, learned, learned))
  found = rate(both, after)
  assert found["ternary/kernels/flip_rate"].tolist() == [[0, 0, 0], [1, 0, 0]]


def test_trees_without_or_with_other_kernels_are_refused():
  q = make("absmean")
  with pytest.raises(ValueError, match="same kernels"):
    measure(q, {}, {}, {}, {})
  one = {"head": {"kernel": jnp.ones((2, 2))}}
  other = {"head": {"kernel": jnp.ones((3, 2))}}
  with pytest.raises(ValueError, match="same kernels"):
    measure(q, one, other, {}, {})
