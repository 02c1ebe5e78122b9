"""Who gets planes, until the freeze and after it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.precision import allocation, ledger
from bitzero_jax.quant import adaptive, tree

KEY = jax.random.key(2)
BUDGET = allocation.Budget(
  bits=3.0, most=3, freeze=0.5, dual_rate=0.1, sharpness=1.0
)


def planes_of(params):
  return ledger.read(params, ledger.entries(params), "planes").tolist()


def bits_of(params):
  found = ledger.entries(params)
  planes = ledger.read(params, found, "planes")
  return float(ledger.mean_bits(planes, ledger.sizes(found)))


def with_keep(params, keep):
  found = ledger.entries(params)
  return ledger.write(params, found, "keep", jnp.float32(keep))


def test_the_penalty_is_the_budget_times_its_multiplier(make):
  moves = allocation.learned(BUDGET)
  params = moves.start(make(), KEY)
  assert moves.penalty(params) == 0  # the multiplier begins at 0
  params["precision"]["dual"] = jnp.float32(2)
  found = ledger.entries(params)
  chances = jax.vmap(adaptive.chances)(ledger.read(params, found, "keep"))
  bits = ledger.expected_bits(chances, ledger.sizes(found))
  np.testing.assert_allclose(moves.penalty(params), 2 * (bits - 3), rtol=1e-6)
  slope = jax.grad(moves.penalty)(params)
  assert slope["precision"]["dual"] == 0  # ascended by hand
  assert (slope["quant"]["b"]["kernel"]["keep"] > 0).all()
  frozen = params | {"precision": params["precision"] | {"frozen": 1.0}}
  assert moves.penalty(frozen) == 0


def test_the_multiplier_rises_with_what_is_too_much_and_never_below_0(make):
  moves = allocation.learned(BUDGET)
  params = moves.start(make(), KEY)
  after = moves.advance(params, jnp.float32(0.1), {})
  rise = float(after["precision"]["dual"])
  assert rise > 0
  again = moves.advance(after, jnp.float32(0.2), {})
  assert float(again["precision"]["dual"]) == pytest.approx(2 * rise)
  poor = with_keep(params, np.full((4, 2), -9.0))
  assert moves.advance(poor, jnp.float32(0.1), {})["precision"]["dual"] == 0


def test_chances_sharpen_until_the_freeze(make):
  moves = allocation.learned(BUDGET._replace(sharpness=16.0))
  params = with_keep(moves.start(make(), KEY), np.full((4, 2), 0.5))
  found = ledger.entries(params)
  factors, bits = [], []
  for progress in (0.0, 0.25, 0.5, 1.0):
    params = moves.advance(params, jnp.float32(progress), {})
    factors.append(ledger.read(params, found, "sharpness").tolist())
    thawed = ledger.write(params, found, "planes", jnp.zeros(4))
    thawed["precision"]["frozen"] = jnp.float32(0)
    bits.append(float(moves.metrics(thawed)["precision/bits"]))
  np.testing.assert_allclose(
    factors, np.outer([1, 4, 16, 16], np.ones(4)), rtol=1e-6
  )
  assert bits[0] < bits[1] < bits[2] == bits[3]
  assert bits[2] == pytest.approx(5.5, rel=1e-2)  # three planes, all but sure


def test_before_the_freeze_nothing_is_decided(make):
  moves = allocation.learned(BUDGET)
  params = with_keep(
    moves.start(make(), KEY), [[9, 9], [9, -9], [-9, 9], [0, 0]]
  )
  params = moves.advance(params, jnp.float32(0.1), {})
  assert planes_of(params) == [0, 0, 0, 0]
  assert ledger.manifest(params) == {}
  values = moves.metrics(params)
  np.testing.assert_allclose(
    values["precision/planes"], [3, 2, 1, 1.75], atol=1e-3
  )
  wanted = (32 * 5.5 + 128 * 4.5 + 16 * 2.0625 + 16 * 3.53125) / 192
  assert float(values["precision/bits"]) == pytest.approx(wanted, rel=1e-3)


def test_at_the_freeze_the_likeliest_fill_the_budget_and_stay(make):
  moves = allocation.learned(BUDGET)
  keep = [[3, 3], [0, 0], [2, -9], [-9, -9]]
  params = with_keep(moves.start(make(), KEY), keep)
  advance = jax.jit(moves.advance)
  params = advance(params, jnp.float32(0.5), {})
  # 192 weights: 128 are too many for a second plane in 3 bits.
  assert planes_of(params) == [3, 1, 3, 1]
  assert bits_of(params) <= 3.0
  assert params["precision"]["frozen"] == 1
  assert moves.metrics(params)["precision/planes"].tolist() == [3, 1, 3, 1]
  other = advance(with_keep(params, np.full((4, 2), 9.0)), jnp.float32(0.6), {})
  assert planes_of(other) == planes_of(params)
  assert other["precision"]["dual"] == params["precision"]["dual"]


def test_chances_follow_what_planes_are_worth(make):
  """One matrix needs its planes and the others do not: it keeps them."""
  moves = allocation.learned(BUDGET._replace(bits=4.4))
  params = moves.start(make(), KEY)
  quantizer = adaptive.quantizer(3, learned=True)
  weight = params["model"]

  def loss(params):
    made = tree.fake_quant_tree(quantizer, params["model"], params["quant"])
    gap = made["b"]["kernel"] - weight["b"]["kernel"]
    return jnp.mean(gap**2) + moves.penalty(params)

  @jax.jit
  def update(params, progress):
    slope = jax.grad(loss)(params)["quant"]
    moved = jax.tree_util.tree_map_with_path(
      lambda path, leaf, g: leaf - jnp.sign(g) * 0.1 * (path[-1].key == "keep"),
      params["quant"],
      slope,
    )
    return moves.advance(params | {"quant": moved}, progress, {})

  for step in range(60):
    params = update(params, jnp.float32(step / 100))
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
  seen = {"gain": jnp.float32([[0, 0], [0, 0], [1, 0], [0, 0]])}
  params = moves.advance(params, jnp.float32(0.4), seen)
  assert planes_of(params) == [3, 3, 3, 3]
  params = moves.advance(params, jnp.float32(0.5), seen)
  assert bits_of(params) <= 3.0
  if name == "sensitivity":
    assert planes_of(params)[2] >= 2


def test_what_was_observed_is_remembered_for_some_rounds(make):
  moves = allocation.sensitivity(BUDGET, adaptive.quantizer(3))
  params = moves.start(make(learned=False), KEY)
  for value in (1.0, 0.0):
    seen = {"gain": jnp.full((4, 2), value)}
    params = moves.advance(params, jnp.float32(0.1), seen)
  np.testing.assert_allclose(params["precision"]["gain"], 0.09, rtol=1e-6)


def test_chance_depends_on_the_key_alone(make):
  moves = allocation.random(BUDGET)
  results = []
  for seed in (0, 0, 1, 2, 3):
    params = moves.start(make(learned=False), jax.random.key(seed))
    results.append(planes_of(moves.advance(params, jnp.float32(0.5), {})))
  assert results[0] == results[1]
  assert len({tuple(planes) for planes in results}) > 1


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
  slope = {"model": jax.tree.map(jnp.cos, params["model"])}

  def loss(params):
    planes = ledger.read(params, ledger.entries(params), "planes")
    return jnp.sum(jnp.arange(8.0) * (3 - planes))

  @jax.jit
  def one_round(params, progress):
    seen = {}
    if moves.observe is not None:
      seen = moves.observe(params, slope)
    if moves.probe is not None:
      seen = moves.probe(params, loss)
    return moves.advance(params, progress, seen)

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
