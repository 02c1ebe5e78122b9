"""Muon by stacks is Muon by matrices; all else is Adam; rates by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from bitzero_jax import config as config_lib
from bitzero_jax.learn.optimizer import (
  OptimizerSpec,
  optimizer,
  schedule,
  weight_decay,
)

SPEC = OptimizerSpec(
  name="muon",
  learning_rate=0.01,
  muon_scale=3.0,
  schedule="cosine",
  second_stage_at=0.6,
  second_stage_share=2 / 3,
  final_share=0.1,
  warmup=2,
  updates=10,
  b1=0.9,
  b2=0.98,
  weight_decay=0.0,
  decay_until=1.0,
  clip=1e9,
)
SHAPES = {"a": (8, 8), "b": (8, 16), "c": (8, 8), "d": (16, 8)}


def tree(seed):
  rng = np.random.default_rng(seed)
  matrices = {
    name: {"kernel": jnp.asarray(rng.normal(size=shape), jnp.float32)}
    for name, shape in SHAPES.items()
  }
  scale = jnp.asarray(rng.normal(size=8), jnp.float32)
  table = jnp.asarray(rng.normal(size=(5, 8)), jnp.float32)
  return {
    "blocks": matrices,
    "norm": {"scale": scale},
    "embed": {"embedding": table},
  }


def walk(rule, steps=4):
  """Updates of each step, as one tree a step."""
  params = tree(0)
  state = rule.init(params)
  update = jax.jit(rule.update)
  seen = []
  for step in range(steps):
    changes, state = update(tree(step + 1), state, params)
    params = optax.apply_updates(params, changes)
    seen.append(changes)
  return seen


def test_the_schedule_warms_up_then_falls_to_its_share():
  rate = schedule(SPEC)
  np.testing.assert_allclose(rate(0), 0, atol=1e-9)
  np.testing.assert_allclose(rate(1), 0.005, rtol=1e-5)
  np.testing.assert_allclose(rate(2), 0.01, rtol=1e-5)
  np.testing.assert_allclose(rate(10), 0.001, rtol=1e-5)
  values = [float(rate(i)) for i in range(2, 11)]
  assert values == sorted(values, reverse=True)


def test_the_defaults_are_a_cosine_without_decay():
  config = config_lib.default()
  o, updates = config.optimizer, config_lib.total_updates(config)
  rate = schedule(OptimizerSpec(updates=updates, **o.to_dict()))
  expected = {0: 0, 50: 0.007, 100: 0.014, 1970: 0.00721, 3840: 0.00042}
  for step, value in expected.items():
    np.testing.assert_allclose(rate(step), value, rtol=1e-5, atol=1e-9)
  assert (o.weight_decay, o.decay_until) == (0.0, 1.0)


def test_two_stages_are_two_lines_to_the_same_end():
  rate = schedule(SPEC._replace(schedule="two_stage"))
  thousandths = [0, 5, 10, 8.875, 7.75, 6.625]  # to 5.5 at update 6
  thousandths += [11 / 3, 3, 7 / 3, 5 / 3, 1, 1]
  got = [1e3 * float(rate(step)) for step in range(12)]
  np.testing.assert_allclose(got, thousandths, rtol=1e-5)


def test_bitnet_s_two_stages():
  spec = SPEC._replace(
    schedule="two_stage",
    learning_rate=1.5e-3,
    final_share=0.0,
    warmup=0,
    updates=100_000,
    second_stage_at=0.5,
  )
  rate = jax.jit(schedule(spec))  # as the optimizer's `update` is
  np.testing.assert_allclose(rate(0), 1.5e-3, rtol=1e-4)
  np.testing.assert_allclose(rate(49_999), 7.5e-4, rtol=1e-4)
  np.testing.assert_allclose(rate(50_000), 5e-4, rtol=1e-4)
  np.testing.assert_allclose(rate(100_000), 0, atol=1e-9)


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_a_second_stage_outside_the_run_is_refused(share):
  spec = SPEC._replace(schedule="two_stage", second_stage_at=share)
  with pytest.raises(ValueError, match=f"second_stage_at={share} is update"):
    schedule(spec)


def test_a_run_shorter_than_its_warm_up_has_a_schedule():
  rate = schedule(SPEC._replace(warmup=20, updates=5))
  assert 0 < float(rate(5)) < SPEC.learning_rate


def test_stacked_muon_is_muon_of_each_matrix():
  got = walk(optimizer(SPEC))
  for name in SHAPES:
    alone = contrib.scale_by_muon()
    params = tree(0)["blocks"][name]["kernel"]
    state = alone.init(params)
    for step, changes in enumerate(got):
      gradient = tree(step + 1)["blocks"][name]["kernel"]
      expected, state = alone.update(gradient, state, params)
      expected = -float(schedule(SPEC)(step)) * 3.0 * expected
      np.testing.assert_allclose(
        changes["blocks"][name]["kernel"], expected, rtol=0, atol=1e-6
      )
  # Orthogonalized: all singular values are near one.
  last = got[-1]["blocks"]["a"]["kernel"] / float(schedule(SPEC)(3)) / 3
  assert np.linalg.svd(last, compute_uv=False).min() > 0.3


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_all_else_is_adam(name):
  got = walk(optimizer(SPEC._replace(name=name, weight_decay=0.1)))
  plain = walk(optax.adam(schedule(SPEC), SPEC.b1, SPEC.b2))
  for ours, theirs in zip(got, plain, strict=True):
    for room in ("norm", "embed"):
      jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7),
        ours[room],
        theirs[room],
      )


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_matrices_are_decayed_as_the_field_does(name):
  rate = schedule(SPEC)
  plain = {
    "adamw": optax.adamw(rate, SPEC.b1, SPEC.b2, weight_decay=0.1),
    "muon": contrib.muon(lambda step: 3.0 * rate(step), weight_decay=0.1),
  }
  got = walk(optimizer(SPEC._replace(name=name, weight_decay=0.1)))
  for ours, theirs in zip(got, walk(plain[name]), strict=True):
    for matrix in ("a", "c"):  # optax's Muon also scales what is not square
      np.testing.assert_allclose(
        ours["blocks"][matrix]["kernel"],
        theirs["blocks"][matrix]["kernel"],
        rtol=0,
        atol=1e-6,
      )


@pytest.mark.parametrize(("name", "scale"), [("muon", 3.0), ("adamw", 1.0)])
def test_decay_shrinks_matrices_alone_and_ends(name, scale):
  spec = SPEC._replace(name=name, weight_decay=0.5, decay_until=0.4)
  rule = optimizer(spec)
  params = tree(0) | {"quant": {"kernel": {"step": jnp.float32(0.3)}}}
  nothing = jax.tree.map(jnp.zeros_like, params)
  state = rule.init(params)
  update = jax.jit(rule.update)
  for step in range(6):
    changes, state = update(nothing, state, params)
    taken = float(schedule(spec)(step)) * scale * 0.5 if step < 4 else 0.0
    for matrix in SHAPES:
      np.testing.assert_allclose(
        changes["blocks"][matrix]["kernel"],
        -taken * params["blocks"][matrix]["kernel"],
        rtol=1e-5,
      )
    for room in ("norm", "embed", "quant"):
      assert not any(np.any(leaf) for leaf in jax.tree.leaves(changes[room]))


def test_decay_is_a_number_unless_it_ends():
  spec = SPEC._replace(weight_decay=0.1)
  assert weight_decay(spec) == 0.1
  until_half = weight_decay(spec._replace(decay_until=0.5))
  assert callable(until_half)
  values = [float(until_half(i)) for i in range(10)]
  np.testing.assert_allclose(values, [0.1] * 5 + [0.0] * 5)


def test_the_gradient_is_clipped_over_the_whole_tree():
  free = optimizer(SPEC._replace(name="adamw"))
  tight = optimizer(SPEC._replace(name="adamw", clip=1e-3))
  gradient = tree(1)
  squares = [float(jnp.sum(g * g)) for g in jax.tree.leaves(gradient)]
  norm = np.sqrt(sum(squares))
  small = jax.tree.map(lambda g: g * 1e-3 / norm, gradient)
  params = tree(0)
  # The learning rate is 0 at the first step, so two are taken.
  _, state = tight.update(gradient, tight.init(params), params)
  got, _ = tight.update(gradient, state, params)
  _, state = free.update(small, free.init(params), params)
  expected, _ = free.update(small, state, params)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3), got, expected
  )


def test_an_unknown_name_is_refused():
  with pytest.raises(ValueError, match=r"optimizer.name='sgd' must be 'muon'"):
    optimizer(SPEC._replace(name="sgd"))
  with pytest.raises(ValueError, match=r"optimizer.schedule='wsd' must be"):
    optimizer(SPEC._replace(schedule="wsd"))


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_controls_and_what_precision_remembers_stay_as_they_are(name):
  rule = optimizer(SPEC._replace(name=name, weight_decay=0.1))
  numbers = {"planes": 3.0, "mix": 0.5, "stretch": 0.0}
  params = tree(0) | {
    "quant": {"a": {"kernel": jax.tree.map(jnp.float32, numbers)}},
    "precision": {"dual": jnp.float32(2)},
  }
  pull = jax.tree.map(jnp.ones_like, params)
  state = rule.init(params)
  for _ in range(3):
    changes, state = rule.update(pull, state, params)
  moved = changes["quant"]["a"]["kernel"]
  assert moved["planes"] == moved["mix"] == 0
  assert changes["precision"]["dual"] == 0
  assert moved["stretch"] < 0
