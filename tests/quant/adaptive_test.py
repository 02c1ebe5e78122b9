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
  reach = jnp.float32([0.5, 0.375])
  np.testing.assert_allclose(adaptive.chances(reach), [0.5, 0.125, 0.375])


@pytest.fixture
def undecided():
  q = adaptive.quantizer(3, learned=True)
  return q, q.init(W) | {
    "reach": jnp.float32([0.6, 0.3]),
    "planes": jnp.float32(0),
  }


def test_undecided_is_the_mean_over_its_chances(undecided):
  q, params = undecided
  values = jnp.stack([q.fake_quant(W, at(params, k)) for k in (1, 2, 3)])
  chances = adaptive.chances(params["reach"])
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
  wanted = jax.grad(lambda reach: adaptive.chances(reach) @ worth)(
    params["reach"]
  )
  np.testing.assert_allclose(got["reach"], wanted, rtol=1e-4)
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
  share = adaptive.chances(params["reach"])
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


def test_an_undecided_matrix_ships_with_what_is_likely(undecided):
  q, params = undecided
  params = params | {"reach": jnp.float32([0.4, 0.3])}
  one = q.quantize(W, at(params, 1))
  np.testing.assert_array_equal(q.quantize(W, params)[0], one[0])
  assert (q.init(W)["reach"] == 1).all()  # it starts with most planes


def test_once_decided_nothing_moves_its_chances(undecided):
  q, params = undecided
  got = jax.grad(lambda p: jnp.sum(q.fake_quant(W, p) ** 2))(at(params, 2))
  assert (got["reach"] == 0).all()
  assert got["stretch"][1] != 0
  assert got["stretch"][0] == got["stretch"][2] == 0


def test_only_the_step_in_use_moves():
  q = adaptive.quantizer(3)
  grad = jax.grad(lambda p: jnp.sum(q.fake_quant(W, p) ** 2))
  got = grad(at(q.init(W), 2))["stretch"]
  assert got[1] != 0
  assert got[0] == got[2] == 0


@pytest.fixture
def grouped():
  """Four groups of 20 columns, each with chances of its own."""
  q = adaptive.quantizer(3, learned=True, groups=4)
  reach = jnp.float32([[0.6, 0.3], [0.9, 0.8], [0.3, 0.2], [0.5, 0.4]])
  stretch = jnp.float32([0.1, -0.3, -0.3])
  return q, q.init(W) | {"reach": reach, "stretch": stretch}


def group(params, g):
  """What a matrix of the g-th group's planes has in the place of four."""
  shared = {"stretch": params["stretch"]}
  return {
    name: leaf[g] for name, leaf in params.items() if name not in shared
  } | shared


@pytest.mark.parametrize("planes", [0, 1, 2, 3])
def test_groups_that_are_alike_are_a_matrix_without_groups(grouped, planes):
  q, params = grouped
  plain = adaptive.quantizer(3, learned=True)
  same = at(group(params, 0), planes)
  alike = {
    name: leaf if name == "stretch" else jnp.stack([leaf] * 4)
    for name, leaf in same.items()
  }
  run, wanted = jax.jit(q.fake_quant), jax.jit(plain.fake_quant)
  np.testing.assert_array_equal(run(W, alike), wanted(W, same))
  codes, scale = q.quantize(W, alike)
  plain_codes, plain_scale = plain.quantize(W, same)
  np.testing.assert_array_equal(codes, plain_codes)
  assert scale.shape == (1, 80)
  assert (scale == plain_scale).all()
  sizes = jax.tree.map(jnp.shape, adaptive.quantizer(3, groups=1).init(W))
  assert sizes == {"planes": (), "stretch": (3,)}


def test_planes_of_a_group_are_of_its_columns_alone(grouped):
  q, params = grouped
  plain = adaptive.quantizer(3, learned=True)
  chosen = jnp.float32([2, 0, 1, 3])
  run = jax.jit(q.fake_quant)
  value = run(W, params | {"planes": chosen})
  for g in range(4):
    mine = slice(20 * g, 20 * g + 20)
    alone = plain.fake_quant(W, at(group(params, g), chosen[g]))
    off = 0 if chosen[g] else 1e-6  # of the sum over the chances
    np.testing.assert_allclose(value[:, mine], alone[:, mine], rtol=0, atol=off)
    other = run(W, params | {"planes": chosen.at[g].set(1 + g % 3)})
    moved = np.unique(np.nonzero(other != value)[1] // 20).tolist()
    assert moved == ([g] if chosen[g] != 1 + g % 3 else [])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_groups_that_differ_ship_as_they_are_trained(grouped, dtype):
  q, params = grouped
  params = params | {"planes": jnp.float32([2, 1, 1, 3])}
  w = W[:, :78].astype(dtype)  # the last group is smaller
  seen = jax.jit(q.fake_quant)(w, params)
  packed = jax.jit(lambda w, p: q.pack(*q.quantize(w, p)))(w, params)
  shipped = q.dequantize(*q.unpack(packed), dtype)
  assert np.asarray(shipped).tobytes() == np.asarray(seen).tobytes()
  stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (w, params))
  again = jax.jit(jax.vmap(q.fake_quant))(*stacked)
  assert np.asarray(again[1]).tobytes() == np.asarray(seen).tobytes()


def test_each_group_learns_from_its_own_columns(grouped):
  q, params = grouped
  plain = adaptive.quantizer(3, learned=True)
  slope = jax.random.normal(jax.random.key(1), W.shape)
  pull = lambda q, slope: jax.grad(  # noqa: E731
    lambda w, p: jnp.sum(slope * q.fake_quant(w, p)), argnums=(0, 1)
  )
  undecided = params | {"planes": jnp.zeros(4)}
  to_weight, got = pull(q, slope)(W, undecided)
  stretch = jnp.zeros(3)
  for g in range(4):
    mine = jnp.arange(80) // 20 == g
    alone, wanted = pull(plain, jnp.where(mine, slope, 0.0))(
      W, at(group(params, g), 0)
    )
    np.testing.assert_allclose(got["reach"][g], wanted["reach"], rtol=1e-4)
    np.testing.assert_array_equal(to_weight[:, mine], alone[:, mine])
    stretch += wanted["stretch"]
  np.testing.assert_allclose(got["stretch"], stretch, rtol=1e-3, atol=1e-5)
  assert (got["planes"] == 0).all()


def test_a_step_learns_from_the_groups_that_use_it(grouped):
  q, params = grouped
  grad = jax.grad(lambda p: jnp.sum(q.fake_quant(W, p) ** 2))
  got = grad(params | {"planes": jnp.float32([3, 1, 1, 3])})
  assert got["stretch"][0] != 0
  assert got["stretch"][1] == 0
  assert got["stretch"][2] != 0
  assert (got["reach"] == 0).all()


def test_errors_name_what_is_allowed():
  with pytest.raises(ValueError, match="groups must be at least 1, got 0"):
    adaptive.quantizer(3, groups=0)
  for planes, learned in ((0, False), (6, False), (1, True)):
    with pytest.raises(ValueError, match=f"to 5, got {planes}"):
      adaptive.quantizer(planes, learned)
  q = adaptive.quantizer(2)
  with pytest.raises(ValueError, match=r"must hold \['planes', 'stretch'\]"):
    q.quantize(W, {"stretch": jnp.zeros(2)})
