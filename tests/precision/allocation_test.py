"""Who gets planes, until the freeze and after it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.precision import allocation, ledger
from bitzero_jax.quant import adaptive, tree

KEY = jax.random.key(2)
BUDGET = allocation.Budget(bits=3.0, most=3, freeze=0.5, sharpness=8.0)


def planes_of(params):
  return ledger.read(params, ledger.entries(params), "planes").tolist()


def bits_of(params):
  found = ledger.entries(params)
  planes = ledger.read(params, found, "planes")
  return float(ledger.mean_bits(planes, ledger.sizes(found)))


def seen(gain):
  return {"gain": jnp.float32(gain)}


def worth(values):
  return {"worth": jnp.float32(values)}


def test_expected_bits_fall_to_the_budget_by_the_freeze(make):
  moves = allocation.learned(BUDGET)
  params = moves.start(make(), KEY)
  assert moves.metrics(params)["precision/bits"] == 5.5
  for progress, bits in ((0.125, 4.875), (0.25, 4.25), (0.375, 3.625)):
    values = jax.random.normal(KEY, (4, 2))
    params = moves.advance(params, jnp.float32(progress), worth(values))
    found = moves.metrics(params)["precision/bits"]
    np.testing.assert_allclose(found, bits, rtol=1e-5)
  assert planes_of(params) == [0, 0, 0, 0]  # nothing is decided yet
  assert ledger.manifest(params) == {}


def test_worths_add_up_whatever_their_unit(make):
  moves = allocation.learned(BUDGET)
  params = moves.start(make(), KEY)
  values = np.float32([[1, 0], [0, 0], [3, 1], [1, 2]])
  far = values - 1
  far *= 8 / np.abs(far).mean()
  for number, unit in enumerate((1.0, 1e-6), 1):
    progress = jnp.float32(number / 8)
    params = moves.advance(params, progress, worth(unit * values))
    np.testing.assert_allclose(
      params["precision"]["logits"], number / 4 * far, rtol=1e-4, atol=1e-6
    )
  reach = ledger.read(params, ledger.entries(params), "reach")
  assert reach[2, 0] > reach[3, 0] > reach[1, 0]


def test_at_the_freeze_the_likeliest_fill_the_budget_and_stay(make):
  moves = allocation.learned(BUDGET)
  params = moves.start(make(), KEY)
  advance = jax.jit(moves.advance)
  values = worth([[3, 3], [1, 1], [2, -1], [0, 0]])
  params = advance(params, jnp.float32(0.4), values)
  params = advance(params, jnp.float32(0.5), values)
  # 192 weights: 128 are too many for a second plane in 3 bits.
  assert planes_of(params) == [3, 1, 3, 1]
  assert bits_of(params) <= 3.0
  assert params["precision"]["frozen"] == 1
  assert moves.metrics(params)["precision/planes"].tolist() == [3, 1, 3, 1]
  other = advance(params, jnp.float32(0.6), worth(np.eye(4, 2)))
  assert planes_of(other) == planes_of(params)
  np.testing.assert_array_equal(
    other["precision"]["logits"], params["precision"]["logits"]
  )


def test_a_plane_is_worth_what_it_takes_off_the_loss(make):
  moves = allocation.learned(BUDGET)
  params = moves.start(make(), KEY)
  quantizer = adaptive.quantizer(3, learned=True)
  slope = jax.random.normal(KEY, params["model"]["a"]["kernel"].shape)

  def loss(params):
    made = tree.fake_quant_tree(quantizer, params["model"], params["quant"])
    return jnp.sum(slope * made["a"]["kernel"])

  found = moves.observe(params, jax.grad(loss)(params))["worth"]
  numbers = params["quant"]["a"]["kernel"]
  values = [
    float(loss(with_planes(params, numbers, k))) for k in (1.0, 2.0, 3.0)
  ]
  bits = slope.size * np.array([2.4375, 1.0])
  np.testing.assert_allclose(found[0], -np.diff(values) / bits, rtol=1e-3)
  assert (found[1:] == 0).all()


def with_planes(params, numbers, planes):
  mine = {"kernel": numbers | {"planes": jnp.float32(planes)}}
  return params | {"quant": params["quant"] | {"a": mine}}


def test_a_matrix_that_needs_its_planes_keeps_them(make):
  """The loss is the error of one matrix alone, of equal ones."""
  moves = allocation.learned(BUDGET._replace(bits=4.4))
  params = moves.start(make(), KEY)
  quantizer = adaptive.quantizer(3, learned=True)
  weight = params["model"]

  def loss(params):
    made = tree.fake_quant_tree(quantizer, params["model"], params["quant"])
    return jnp.mean((made["b"]["kernel"] - weight["b"]["kernel"]) ** 2)

  @jax.jit
  def one_round(params, progress):
    gradient = jax.grad(loss)(params)
    return moves.advance(params, progress, moves.observe(params, gradient))

  for step in range(20):
    params = one_round(params, jnp.float32((step + 1) / 40))
  planes = dict(zip("abcd", planes_of(params), strict=True))
  assert planes["b"] >= 2
  assert bits_of(params) <= 4.4


@pytest.mark.parametrize("name", ["random", "sensitivity"])
def test_the_others_train_with_most_planes_until_the_freeze(make, name):
  quantizer = adaptive.quantizer(3)
  moves = {
    "random": allocation.random(BUDGET),
    "sensitivity": allocation.sensitivity(BUDGET, quantizer),
  }[name]
  params = moves.start(make(learned=False), KEY)
  gain = [[0, 0], [0, 0], [1, 0], [0, 0]]
  params = moves.advance(params, jnp.float32(0.4), seen(gain))
  assert planes_of(params) == [3, 3, 3, 3]
  params = moves.advance(params, jnp.float32(0.5), seen(gain))
  assert bits_of(params) <= 3.0
  if name == "sensitivity":
    assert planes_of(params)[2] >= 2


def test_what_was_observed_is_remembered_for_some_rounds(make):
  moves = allocation.sensitivity(BUDGET, adaptive.quantizer(3))
  params = moves.start(make(learned=False), KEY)
  for value in (1.0, 0.0):
    gain = np.full((4, 2), value)
    params = moves.advance(params, jnp.float32(0.1), seen(gain))
  np.testing.assert_allclose(params["precision"]["gain"], 0.09, rtol=1e-6)


def test_chance_depends_on_the_key_alone(make):
  moves = allocation.random(BUDGET)
  results = []
  for seed in (0, 0, 1, 2, 3):
    params = moves.start(make(learned=False), jax.random.key(seed))
    results.append(planes_of(moves.advance(params, jnp.float32(0.5), {})))
  assert results[0] == results[1]
  assert len({tuple(planes) for planes in results}) > 1


def test_chance_does_not_put_small_matrices_first(make):
  moves, params = allocation.random(BUDGET), make(learned=False)
  found = ledger.entries(params)

  @jax.vmap
  def first(key):
    gain = moves.start(params, key)["precision"]["gain"]
    return jnp.argmax(gain[:, 0] / ledger.sizes(found))

  of_each = np.bincount(first(jax.random.split(KEY, 400)), minlength=4)
  assert of_each.sum() == 400
  assert of_each.min() > 70 and of_each.max() < 130


def test_sensitivity_is_half_the_fisher_weighted_square(make):
  quantizer = adaptive.quantizer(3)
  moves = allocation.sensitivity(BUDGET, quantizer)
  params = moves.start(make(learned=False), KEY)
  slope = {"model": jax.tree.map(lambda leaf: jnp.cos(leaf), params["model"])}
  gain = jax.jit(moves.observe)(params, slope)["gain"]
  assert gain.shape == (4, 2)
  weight = params["model"]["b"]["kernel"]
  numbers = params["quant"]["b"]["kernel"]
  values = [
    quantizer.fake_quant(weight, numbers | {"planes": jnp.float32(k)})
    for k in (1, 2, 3)
  ]
  rise = [
    0.5 * float(jnp.sum((jnp.cos(weight) * (v - values[-1])) ** 2))
    for v in values
  ]
  np.testing.assert_allclose(gain[1], -np.diff(rise), rtol=1e-4)
  assert (gain > 0).all()


def test_measured_gains_are_differences_of_losses(make):
  """Two planes short cost what they cost, whoever else is asked meanwhile."""
  moves = allocation.measured(BUDGET)
  params = moves.start(make(learned=False), KEY)
  cost = jnp.float32([[5, 1, 0], [7, 3, 0], [2, 2, 0], [0, 0, 0]])

  def loss(params):
    found = ledger.entries(params)
    planes = ledger.read(params, found, "planes").astype(int)
    return 10 + cost[jnp.arange(4), planes - 1].sum()

  @jax.jit
  def one_round(params, progress):
    return moves.advance(params, progress, moves.probe(params, loss))

  params = one_round(params, jnp.float32(0.1))
  gain = params["precision"]["gain"]
  np.testing.assert_allclose(gain, cost[:, :-1] - cost[:, 1:], atol=1e-5)
  params = one_round(params, jnp.float32(0.5))
  assert bits_of(params) <= 3.0
  assert planes_of(params)[0] == 3  # 5 for 32 weights


def test_a_few_are_measured_in_turn_and_averaged(make, monkeypatch):
  monkeypatch.setattr(allocation, "_ASKED", 3)
  moves = allocation.measured(BUDGET)
  params = moves.start(make(learned=False), KEY)
  for number in range(4):  # eight pairs, three a round
    rise = jnp.full(3, float(number + 1))
    params = moves.advance(params, jnp.float32(0.1), {"rise": rise})
  asked = params["precision"]["asked"].reshape(-1)
  assert asked.tolist() == [2, 2, 2, 2, 1, 1, 1, 1]
  rise = params["precision"]["rise"].reshape(-1)
  np.testing.assert_allclose(rise, [2, 2.5, 2.5, 3, 2, 2, 3, 3])


NAMES = ("learned", "measured", "random", "sensitivity")


def allocator(name, groups):
  quantizer = adaptive.quantizer(3, groups=groups)
  return {
    "learned": lambda: allocation.learned(BUDGET),
    "measured": lambda: allocation.measured(BUDGET),
    "random": lambda: allocation.random(BUDGET),
    "sensitivity": lambda: allocation.sensitivity(BUDGET, quantizer),
  }[name]()


@pytest.mark.parametrize("name", NAMES)
def test_groups_get_planes_of_their_own(make, name):
  moves = allocator(name, 2)
  params = moves.start(make(learned=name == "learned", groups=2), KEY)
  slope = {name: jax.tree.map(jnp.cos, params[name]) for name in params}

  def loss(params):
    planes = ledger.read(params, ledger.entries(params), "planes")
    return jnp.sum(jnp.arange(8.0) * (3 - planes))

  @jax.jit
  def one_round(params, progress):
    observed = {}
    if moves.observe is not None:
      observed = moves.observe(params, slope)
    if moves.probe is not None:
      observed = moves.probe(params, loss)
    return moves.advance(params, progress, observed)

  before = 0.0 if name == "learned" else 3.0
  params = one_round(params, jnp.float32(0.4))
  assert planes_of(params) == [before] * 8
  params = one_round(params, jnp.float32(0.5))
  planes = planes_of(params)
  assert 2.0625 < bits_of(params) <= 3.0
  assert set(planes) <= {1, 2, 3}
  assert moves.metrics(params)["precision/planes"].tolist() == planes
  assert planes_of(one_round(params, jnp.float32(0.6))) == planes


def test_sensitivity_of_groups_adds_up_to_the_matrix(make):
  gains = []
  for groups in (1, 2):
    moves = allocator("sensitivity", groups)
    params = moves.start(make(learned=False, groups=groups), KEY)
    slope = {"model": jax.tree.map(jnp.cos, params["model"])}
    gains.append(jax.jit(moves.observe)(params, slope)["gain"])
  assert gains[1].shape == (8, 2)
  np.testing.assert_allclose(gains[1].reshape(4, 2, 2).sum(1), gains[0], 1e-5)
  assert (gains[1] > 0).all()


def test_with_groups_a_pair_is_asked_as_often(make, monkeypatch):
  monkeypatch.setattr(allocation, "_ASKED", 3)
  asked = []
  for groups in (1, 2):
    moves = allocator("measured", groups)
    params = moves.start(make(learned=False, groups=groups), KEY)
    count = 3 * groups
    for _ in range(8):  # of eight pairs a group
      rise = {"rise": jnp.ones(count)}
      params = moves.advance(params, jnp.float32(0.1), rise)
    asked.append(params["precision"]["asked"])
  assert (asked[0] == 3).all()
  assert (asked[1] == 3).all()
