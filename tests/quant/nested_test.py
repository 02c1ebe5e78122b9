"""One set of bytes at several depths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import adaptive, digits, nested

W = jnp.asarray(np.random.default_rng(0).normal(size=(96, 80)), jnp.float32)


def at(params, planes):
  return params | {"planes": jnp.float32(planes)}


@pytest.mark.parametrize("most", [2, 3, 4])
def test_fewer_planes_are_the_first_digits_of_the_same_codes(most):
  q = nested.quantizer(most)
  params = q.init(W)
  codes, _ = jax.jit(q.quantize)(W, params)
  every = digits.split(codes, most)
  for k in range(1, most):
    fewer, _ = jax.jit(q.quantize)(W, at(params, k))
    np.testing.assert_array_equal(digits.split(fewer, k), every[:k])


def test_with_all_its_planes_it_is_the_adaptive_quantizer():
  one, other = nested.quantizer(3), adaptive.quantizer(3)
  mine, theirs = one.init(W), other.init(W)
  np.testing.assert_array_equal(
    one.fake_quant(W, mine), other.fake_quant(W, theirs)
  )


def test_truncation_costs_what_was_measured():
  q = nested.quantizer(3)
  params = q.init(W)
  error = [
    float(jnp.mean((q.fake_quant(W, at(params, k)) - W) ** 2))
    for k in (1, 2, 3)
  ]
  # Gaussian weights: K = 3 truncated to 1 and 2 planes, and rescaled.
  np.testing.assert_allclose(error, [0.255, 0.036, 0.0047], rtol=0.05)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_gradient_of_a_scale_is_that_of_the_value(k):
  q = nested.quantizer(3)
  params = at(q.init(W), k)
  slope = jnp.cos(W)
  got = jax.grad(lambda p: jnp.sum(slope * q.fake_quant(W, p)))(params)
  others = [i for i in range(3) if i != k - 1]
  assert (got["stretch"][jnp.array(others)] == 0).all()
  assert got["planes"] == 0
  codes, scale = q.quantize(W, params)
  if k < 3:  # the value is linear in its scale
    share = 1 + params["stretch"][k - 1]
    wanted = jnp.sum(slope * codes.astype(jnp.float32)) * scale / share
    wanted = wanted * (W.size * 13) ** -0.5
    np.testing.assert_allclose(got["stretch"][k - 1], wanted, rtol=1e-4)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_no_gradient_reaches_what_lies_beyond_the_largest_code(k):
  q = nested.quantizer(3)
  params = at(q.init(W), k)
  params = params | {"stretch": params["stretch"].at[-1].set(-0.3)}
  slope = jnp.cos(W)
  got = jax.grad(lambda w: jnp.sum(slope * q.fake_quant(w, params)))(W)
  unit = adaptive.RATIO[3] * jnp.mean(jnp.abs(W))
  ratio = W / (0.7 * unit)
  inside = jnp.abs(ratio) <= 13
  assert not inside.all()
  np.testing.assert_allclose(got, jnp.where(inside, slope, 0.0), atol=1e-6)
  if k == 3:  # all planes: LSQ, as in `digits`
    codes = jnp.clip(jnp.round(ratio), -13, 13)
    lsq = jnp.where(inside, codes - ratio, codes) / (W.size * 13) ** 0.5
    numbers = jax.grad(lambda p: jnp.sum(slope * q.fake_quant(W, p)))(params)
    wanted = unit * jnp.sum(slope * lsq)
    np.testing.assert_allclose(numbers["stretch"][2], wanted, rtol=1e-3)


def test_errors_name_what_is_allowed():
  for planes in (0, 6):
    with pytest.raises(
      ValueError, match=f"planes must be 1 to 5, got {planes}"
    ):
      nested.quantizer(planes)
  with pytest.raises(ValueError, match=r"must hold \['planes', 'stretch'\]"):
    nested.quantizer(2).quantize(W, {})
