"""Precision as a function of how far a run is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.precision import schedule
from bitzero_jax.precision.base import both
from bitzero_jax.quant import QUANTIZERS, absmean, make
from bitzero_jax.quant.base import mix

W = jax.random.normal(jax.random.key(0), (32, 16))
KEY = jax.random.key(1)


def at(value, *progress):
  return [float(jax.jit(value)(jnp.float32(p))) for p in progress]


@pytest.mark.parametrize("total", [3, 41, 47, 3840])
def test_a_run_ends_at_one(total):
  done = jax.jit(lambda updates: schedule.progress(updates, total))
  assert done(jnp.int32(total)) == 1
  assert done(jnp.int32(total - 1)) == np.float32(total - 1) / np.float32(total)


def test_a_ramp_rises_and_stays():
  assert at(schedule.ramp(0.4), 0, 0.1, 0.4, 1) == [0, 0.25, 1, 1]
  assert at(schedule.ramp(0.0), 0, 0.5) == [1, 1]


def test_stairs_go_down_at_their_shares():
  stairs = schedule.stairs((3, 2, 1), (0.25, 0.5))
  assert at(stairs, 0, 0.24, 0.25, 0.5, 1) == [3, 3, 2, 1, 1]
  assert at(schedule.stairs((2,), ()), 0, 1) == [2, 2]


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_blends_any_quantizer(name, dtype):
  fixed = ("absmean", "binary", "identity", "int4", "int8")
  options = {} if name in fixed else {"planes": 2}
  inner = make(name, **options)
  q = schedule.blended(inner)
  w = W.astype(dtype)
  params = q.init(w)
  own = {k: v for k, v in params.items() if k != "mix"}
  run = jax.jit(q.fake_quant)
  value = inner.fake_quant(w, own)
  np.testing.assert_array_equal(run(w, params), value)  # a mix of 1
  none = params | {"mix": jnp.float32(0)}
  np.testing.assert_array_equal(run(w, none), w)
  half = run(w, params | {"mix": jnp.float32(0.5)}).astype(jnp.float32)
  wanted = (w.astype(jnp.float32) + value.astype(jnp.float32)) / 2
  np.testing.assert_allclose(half, wanted, rtol=1e-2, atol=1e-2)
  for one, other in zip(
    q.quantize(w, none), inner.quantize(w, own), strict=True
  ):
    np.testing.assert_array_equal(one, other)


def test_its_gradient_is_that_of_what_it_blends():
  inner = make("digits", planes=1)
  q = schedule.blended(inner)
  params = q.init(W) | {"mix": jnp.float32(0.3)}
  own = {"step": params["step"]}
  pull = lambda f, p: jax.vjp(f, W, p)[1](jnp.cos(W))  # noqa: E731
  got, numbers = pull(q.fake_quant, params)
  wanted, inner_numbers = pull(inner.fake_quant, own)
  np.testing.assert_array_equal(got, wanted)
  assert numbers["step"] == inner_numbers["step"]
  assert numbers["mix"] == 0


def test_a_mix_of_one_is_exact():
  plain, value = jnp.float32(1e8), jnp.float32(1 / 3)
  assert mix(plain, value, jnp.float32(1)) == value
  assert mix(plain, value, jnp.float32(0)) == plain


def test_blending_names_what_it_lacks():
  q = schedule.blended(absmean.quantizer())
  with pytest.raises(ValueError, match="must hold 'mix'"):
    q.fake_quant(W, {})


def test_it_writes_every_control_and_nothing_else(make):
  moves = schedule.scheduled(
    planes=schedule.stairs((3, 1), (0.5,)), activations=schedule.ramp(0.5)
  )
  before = make(3, learned=False)
  params = jax.jit(moves.start)(before, KEY)
  for progress, planes, share in ((0.25, 3, 0.5), (1.0, 1, 1.0)):
    params = jax.jit(moves.advance)(params, jnp.float32(progress), {})
    quant = params["quant"]
    assert quant["activations"]["mix"] == share
    assert quant["a"]["kernel"]["planes"] == planes
    assert quant["c"]["kernel"]["planes"].tolist() == [planes, planes]
    assert (quant["a"]["kernel"]["stretch"] == 0).all()
    bits = {3: 5.5, 1: 2.0625}[planes]
    assert moves.metrics(params) == {"precision/bits": bits}
  jax.tree.map(np.testing.assert_array_equal, params["model"], before["model"])


def test_two_together_do_both(make):
  ramp = schedule.scheduled(activations=schedule.ramp(1.0))
  down = schedule.scheduled(planes=schedule.stairs((2, 1), (0.5,)))
  assert both([]) is None
  assert both([ramp]) is ramp
  moves = both([ramp, down])
  params = moves.start(make(3, learned=False), KEY)
  assert params["quant"]["activations"]["mix"] == 0
  assert params["quant"]["b"]["kernel"]["planes"] == 2
  params = moves.advance(params, jnp.float32(0.75), {})
  assert params["quant"]["activations"]["mix"] == 0.75
  assert params["quant"]["b"]["kernel"]["planes"] == 1
  assert moves.metrics(params) == {"precision/bits": 2.0625}
  assert both([down, ramp]).metrics(params) == {"precision/bits": 2.0625}
