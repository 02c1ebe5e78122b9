"""One weight at several depths: levels, steps, and what a plane is worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import adaptive, digits

W = jnp.asarray(np.random.default_rng(0).normal(size=(96, 80)), jnp.float32)


def at(params, planes):
  return params | {"planes": jnp.float32(planes)}


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_its_levels_are_those_of_so_many_planes(planes):
  q = adaptive.quantizer(4)
  codes, scale = jax.jit(q.quantize)(W, at(q.init(W), planes))
  top = digits.max_code(planes)
  assert set(np.unique(codes)) <= set(range(-top, top + 1))
  assert 0.9 * top <= int(codes.max()) <= top
  best = float(digits.quantizer(planes).init(W)["step"])
  assert float(scale) == pytest.approx(best, rel=0.02)  # W is Gaussian


def test_more_planes_lie_nearer():
  q = adaptive.quantizer(4)
  error = [
    float(jnp.mean((q.fake_quant(W, at(q.init(W), k)) - W) ** 2))
    for k in (1, 2, 3, 4)
  ]
  # Gaussian weights: relative errors of the ratio-3 grid.
  np.testing.assert_allclose(error, [0.190, 0.031, 0.0047, 0.0007], rtol=0.1)


def test_planes_are_rounded_and_kept_in_range():
  q = adaptive.quantizer(3)
  params = q.init(W)
  for asked, given in ((0.0, 1), (1.6, 2), (9.0, 3)):
    np.testing.assert_array_equal(
      q.fake_quant(W, at(params, asked)), q.fake_quant(W, at(params, given))
    )


def test_a_stretched_step_is_that_much_longer():
  q = adaptive.quantizer(2)
  params = at(q.init(W), 2)
  longer = params | {"stretch": jnp.float32([0.5, 0.25])}
  before, after = (q.quantize(W, p)[1] for p in (params, longer))
  assert float(after) == pytest.approx(1.25 * float(before))


def test_chances_are_of_a_chain():
  keep = jnp.float32([0.0, jnp.log(3.0)])  # kept with 1/2, then 3/4
  np.testing.assert_allclose(adaptive.reach(keep), [1, 0.5, 0.375], rtol=1e-6)
  np.testing.assert_allclose(
    adaptive.chances(keep), [0.5, 0.125, 0.375], rtol=1e-6
  )


@pytest.fixture
def undecided():
  q = adaptive.quantizer(3, learned=True)
  return q, q.init(W) | {
    "keep": jnp.float32([0.3, -0.2]),
    "planes": jnp.float32(0),
  }


def test_undecided_is_the_mean_over_its_chances(undecided):
  q, params = undecided
  values = jnp.stack([q.fake_quant(W, at(params, k)) for k in (1, 2, 3)])
  chances = adaptive.chances(params["keep"])
  mean = jnp.tensordot(chances, values, 1)
  np.testing.assert_allclose(q.fake_quant(W, params), mean, atol=1e-6)
  codes, _ = q.quantize(W, params)  # ships with the likeliest planes
  np.testing.assert_array_equal(codes, q.quantize(W, at(params, 2))[0])


def test_a_plane_is_worth_what_it_changes(undecided):
  q, params = undecided
  slope = jax.random.normal(jax.random.key(1), W.shape)
  got = jax.grad(lambda p: jnp.sum(slope * q.fake_quant(W, p)))(params)
  values = [q.fake_quant(W, at(params, k)) for k in (1, 2, 3)]
  worth = jnp.stack([jnp.sum(slope * value) for value in values])
  wanted = jax.grad(lambda keep: adaptive.chances(keep) @ worth)(params["keep"])
  np.testing.assert_allclose(got["keep"], wanted, rtol=1e-4)
  assert float(got["planes"]) == 0
  assert (got["stretch"] != 0).all()


@pytest.mark.parametrize("chosen", [0, 1, 2, 3])
def test_its_gradients_are_those_of_each_step_by_its_chance(undecided, chosen):
  """LSQ written out: 0 is the mean over the chances, k the step k alone."""
  q, params = undecided
  stretch = jnp.float32([0.1, -0.3, -0.3])  # so that weights are clipped
  params = at(params | {"stretch": stretch}, chosen)
  slope = jnp.cos(3 * W)
  pull = lambda w, p: jnp.sum(slope * q.fake_quant(w, p))  # noqa: E731
  to_weight, to_params = jax.grad(pull, argnums=(0, 1))(W, params)
  share = adaptive.chances(params["keep"])
  share = share if chosen == 0 else jnp.eye(3)[chosen - 1]
  weight, size = jnp.zeros_like(W), jnp.mean(jnp.abs(W))
  for k in (1, 2, 3):
    top, unit = digits.max_code(k), adaptive.RATIO[k] * size
    ratio = W / (unit * (1 + stretch[k - 1]))
    inside = jnp.abs(ratio) <= top
    assert not inside.all()
    codes = jnp.clip(jnp.round(ratio), -top, top)
    lsq = jnp.where(inside, codes - ratio, codes) / (W.size * top) ** 0.5
    wanted = share[k - 1] * unit * jnp.sum(slope * lsq)
    got = to_params["stretch"][k - 1]
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-6)
    weight += share[k - 1] * jnp.where(inside, slope, 0.0)
  np.testing.assert_allclose(to_weight, weight, atol=1e-6)


def test_a_plane_that_stands_on_none_does_not_count(undecided):
  q, params = undecided
  params = params | {"keep": jnp.float32([-1.0, 9.0])}
  one = q.quantize(W, at(params, 1))
  np.testing.assert_array_equal(q.quantize(W, params)[0], one[0])
  assert (q.init(W)["keep"] > 0).all()  # it starts with likely planes


def test_once_decided_nothing_moves_its_chances(undecided):
  q, params = undecided
  got = jax.grad(lambda p: jnp.sum(q.fake_quant(W, p) ** 2))(at(params, 2))
  assert (got["keep"] == 0).all()
  assert got["stretch"][1] != 0
  assert got["stretch"][0] == got["stretch"][2] == 0


def test_only_the_step_in_use_moves():
  q = adaptive.quantizer(3)
  grad = jax.grad(lambda p: jnp.sum(q.fake_quant(W, p) ** 2))
  got = grad(at(q.init(W), 2))["stretch"]
  assert got[1] != 0
  assert got[0] == got[2] == 0


def test_errors_name_what_is_allowed():
  for planes, learned in ((0, False), (6, False), (1, True)):
    with pytest.raises(ValueError, match=f"to 5, got {planes}"):
      adaptive.quantizer(planes, learned)
  q = adaptive.quantizer(2)
  with pytest.raises(ValueError, match=r"must hold \['planes', 'stretch'\]"):
    q.quantize(W, {"stretch": jnp.zeros(2)})
