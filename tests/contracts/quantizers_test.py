"""What every quantizer promises. A new variant adds a row to CASES."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import QUANTIZERS, Packed, Quantizer, make
from bitzero_jax.quant.base import CONTROLS


class Case(NamedTuple):
  """One row: how to make it, its sizes, and the reach of its gradient.

  Attributes:
    name: in the table.
    options: of the constructor.
    packed_bits: bits a weight of the packed bytes, without padding and scale.
    stored_bits: what `bits` returns.
    reach: largest |code| up to which the gradient is the identity; beyond it
      is zero. None where it is the identity everywhere.
  """

  name: str
  options: dict[str, int]
  packed_bits: int
  stored_bits: float
  reach: int | None = None

  def __str__(self) -> str:
    return "-".join([self.name, *map(str, self.options.values())])


CASES = [
  Case("identity", {"bits": 32}, 32, 32),
  Case("identity", {"bits": 16}, 16, 16),
  Case("absmean", {}, 2, 2.0625),
  Case("digits", {"planes": 1}, 2, 2.0625, 1),
  Case("digits", {"planes": 2}, 4, 4.5, 4),
  Case("digits", {"planes": 3}, 6, 5.5, 13),
  Case("digits", {"planes": 4}, 8, 8.5, 40),
  Case("digits", {"planes": 5}, 10, 8.5, 121),
  Case("adaptive", {"planes": 1}, 2, 2.0625, 1),
  Case("adaptive", {"planes": 3}, 6, 5.5, 13),
  Case("allocated", {"planes": 2}, 4, 4.5, 4),
  Case("allocated", {"planes": 4}, 8, 8.5, 40),
  Case("allocated", {"planes": 3, "groups": 4}, 6, 5.5, 13),
  Case("nested", {"planes": 1}, 2, 2.0625, 1),
  Case("nested", {"planes": 3}, 6, 5.5, 13),
  Case("binary", {}, 1, 1.0625),
  Case("int4", {}, 4, 4.5),
  Case("int8", {}, 8, 8.5),
]
SHAPES = [(1, 1), (7, 3), (64, 20)]
DTYPES = [jnp.float32, jnp.bfloat16]

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)


@functools.cache
def _make(case_id: str) -> Quantizer:
  case = next(c for c in CASES if str(c) == case_id)
  return make(case.name, **case.options)


def _weights(shape: tuple[int, ...], dtype, seed: int = 0) -> jax.Array:
  """Gaussian weights with zeros of both signs and a few far outliers."""
  values = np.random.default_rng(seed).normal(size=shape) * 0.05
  flat = values.reshape(-1)
  flat[::11], flat[5::13], flat[3::17] = 0.0, -0.0, flat[3::17] * 20
  return jnp.asarray(values, dtype)


def _shipped(q: Quantizer, w: jax.Array, params) -> jax.Array:
  packed = q.pack(*q.quantize(w, params))
  return q.dequantize(*q.unpack(packed), w.dtype)


def _assert_same_bits(got: jax.Array, wanted: jax.Array) -> None:
  assert got.dtype == wanted.dtype
  assert got.shape == wanted.shape
  assert np.asarray(got).tobytes() == np.asarray(wanted).tobytes()


def test_every_name_in_the_table_has_a_row():
  assert {case.name for case in CASES} == set(QUANTIZERS)


@every_case
@every_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_training_sees_exactly_what_ships(case, dtype, shape):
  q = _make(str(case))
  w = _weights(shape, dtype)
  params = jax.jit(q.init)(w)
  seen = jax.jit(q.fake_quant)(w, params)
  assert seen.dtype == w.dtype
  assert bool(jnp.all(jnp.isfinite(seen)))
  shipped = jax.jit(functools.partial(_shipped, q))(w, params)
  _assert_same_bits(seen, shipped)


@every_case
@every_dtype
def test_an_all_zero_weight_stays_zero(case, dtype):
  q = _make(str(case))
  w = jnp.zeros((6, 5), dtype)
  params = q.init(w)
  _assert_same_bits(jax.jit(q.fake_quant)(w, params), w)
  _assert_same_bits(jax.jit(functools.partial(_shipped, q))(w, params), w)


@every_case
@every_dtype
def test_every_way_to_call_gives_the_same_bits(case, dtype):
  q = _make(str(case))
  stack = _weights((3, 31, 17), dtype)  # sizes on which jnp.mean differs
  params = [q.init(w) for w in stack]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
  pairs = zip(stack, params, strict=True)
  eager = jnp.stack([q.fake_quant(w, p) for w, p in pairs])

  jitted = jax.jit(q.fake_quant)
  constant = jax.jit(lambda w: q.fake_quant(w, params[0]))
  turned = jax.jit(lambda w_t: q.fake_quant(w_t.T, params[0]))
  _assert_same_bits(jitted(stack[0], params[0]), eager[0])
  _assert_same_bits(constant(stack[0]), eager[0])
  _assert_same_bits(turned(stack[0].T), eager[0])

  _assert_same_bits(jax.vmap(q.fake_quant)(stack, stacked), eager)
  _assert_same_bits(jax.jit(jax.vmap(q.fake_quant))(stack, stacked), eager)
  last = jax.vmap(q.fake_quant, in_axes=(2, 0))
  _assert_same_bits(jax.jit(last)(jnp.moveaxis(stack, 0, 2), stacked), eager)
  _, scanned = jax.lax.scan(
    lambda carry, row: (carry, q.fake_quant(*row)), 0, (stack, stacked)
  )
  _assert_same_bits(scanned, eager)
  differentiated = jax.jit(lambda w, p: jax.vjp(q.fake_quant, w, p)[0])
  _assert_same_bits(differentiated(stack[0], params[0]), eager[0])


@every_case
@every_dtype
def test_codes_and_scale_survive_packing(case, dtype):
  q = _make(str(case))
  w = _weights((7, 3), dtype)
  codes, scale = jax.jit(q.quantize)(w, q.init(w))
  assert codes.shape == w.shape
  assert scale.dtype == jnp.float32
  assert scale.shape == ((1, 3) if q.spec.granularity == "column" else ())
  if case.name != "identity":
    assert codes.dtype == jnp.int8
  packed = jax.jit(q.pack)(codes, scale)
  assert packed.shape == w.shape
  codes_back, scale_back = jax.jit(q.unpack)(packed)
  _assert_same_bits(codes_back, codes)
  _assert_same_bits(scale_back, scale)


@every_case
@every_dtype
def test_gradient_passes_straight_through(case, dtype):
  q = _make(str(case))
  w = _weights((33, 8), dtype)
  params = q.init(w)
  g = _weights((33, 8), dtype, seed=1)

  @jax.jit
  def pull_back(w, params, g):
    return jax.vjp(q.fake_quant, w, params)[1](g)

  grad_w, grad_params = pull_back(w, params, g)
  _, scale = jax.jit(q.quantize)(w, params)
  wanted = np.asarray(g, np.float32)
  if case.reach is not None:
    ratio = np.asarray(w, np.float32) * (np.float32(1) / np.asarray(scale))
    wanted = np.where(np.abs(ratio) <= case.reach, wanted, 0)
  np.testing.assert_array_equal(np.asarray(grad_w, np.float32), wanted)
  assert jax.tree.structure(grad_params) == jax.tree.structure(params)
  for name, leaf in grad_params.items():
    assert bool(jnp.all(jnp.isfinite(leaf)))
    assert bool(jnp.any(leaf != 0)) == (name not in CONTROLS)


@every_case
def test_gradients_of_a_stack_are_those_of_its_layers(case):
  q = _make(str(case))
  stack = _weights((2, 9, 4), jnp.float32)
  params = jax.vmap(q.init)(stack)

  def loss(w, p):
    return jnp.sum(jnp.sin(30 * q.fake_quant(w, p)))

  both = jax.grad(loss, argnums=(0, 1))
  together = jax.jit(jax.vmap(both))(stack, params)
  for i in range(2):
    alone = jax.jit(both)(stack[i], jax.tree.map(lambda p, i=i: p[i], params))
    for one, all_ in zip(
      jax.tree.leaves(alone), jax.tree.leaves(together), strict=True
    ):
      np.testing.assert_allclose(all_[i], one, rtol=1e-5, atol=1e-6)


@every_case
def test_spec_is_hashable_and_printable(case):
  q = _make(str(case))
  again = make(case.name, **case.options)
  assert q.spec == again.spec
  assert hash(q.spec) == hash(again.spec)
  assert q.spec.name == case.name
  assert case.name in repr(q.spec)
  assert q.spec.granularity in ("tensor", "column", "none")
  others = {make(c.name, **c.options).spec for c in CASES if c != case}
  assert q.spec not in others


@every_case
@pytest.mark.parametrize("rows", [256, 7])
def test_bits_agree_with_the_packed_bytes(case, rows):
  q = _make(str(case))
  w = jax.ShapeDtypeStruct((rows, 10), jnp.float32)
  packed = jax.eval_shape(lambda w: q.pack(*q.quantize(w, q.init(w))), w)
  assert isinstance(packed, Packed)
  assert packed.planes.dtype == jnp.uint8
  planes, columns, run = packed.planes.shape
  assert columns == 10
  assert q.spec.code_bits == case.packed_bits
  # Padding: less than one byte a column and plane.
  surplus = planes * run * 8 - rows * q.spec.code_bits
  assert 0 <= surplus < planes * 8
  assert packed.scale.size == (10 if q.spec.granularity == "column" else 1)
  # The exported form differs from the planes by at most 1.5 bits a weight.
  assert q.bits() == q.spec.stored_bits == case.stored_bits
  assert abs(q.bits() - q.spec.code_bits) <= 1.5


@every_case
def test_errors_name_what_is_allowed(case):
  q = _make(str(case))
  params = q.init(jnp.ones((4, 4)))
  for call in (q.init, lambda w: q.quantize(w, params)):
    with pytest.raises(ValueError, match=r"weight must be \[I, O\]"):
      call(jnp.ones((4,)))
    with pytest.raises(ValueError, match=r"weight must be \[I, O\]"):
      call(jnp.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="not empty"):
      call(jnp.ones((0, 4)))
    with pytest.raises(TypeError, match="bfloat16 or float32"):
      call(jnp.ones((4, 4), jnp.float16))
    with pytest.raises(TypeError, match="bfloat16 or float32"):
      call(jnp.ones((4, 4), jnp.int32))
  with pytest.raises(ValueError, match=r"weight must be \[I, O\]"):
    q.fake_quant(jnp.ones((4,)), params)
  with pytest.raises(TypeError, match="bfloat16 or float32"):
    q.fake_quant(jnp.ones((4, 4), jnp.float16), params)
