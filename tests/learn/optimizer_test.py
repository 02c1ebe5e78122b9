"""Muon by stacks is Muon by matrices; everything else is AdamW."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from bitzero_jax.learn.optimizer import OptimizerSpec, optimizer, schedule

SPEC = OptimizerSpec(
  name="muon",
  learning_rate=0.01,
  muon_scale=3.0,
  final_share=0.1,
  warmup=2,
  updates=10,
  b1=0.9,
  b2=0.98,
  weight_decay=0.0,
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
def test_all_else_is_adamw(name):
  spec = SPEC._replace(name=name, weight_decay=0.1)
  got = walk(optimizer(spec))
  plain = walk(optax.adamw(schedule(spec), spec.b1, spec.b2, weight_decay=0.1))
  for ours, theirs in zip(got, plain, strict=True):
    for room in ("norm", "embed"):
      jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7),
        ours[room],
        theirs[room],
      )
    same = np.allclose(
      ours["blocks"]["a"]["kernel"], theirs["blocks"]["a"]["kernel"], atol=1e-6
    )
    assert same == (name == "adamw") or not np.any(
      theirs["blocks"]["a"]["kernel"]
    )


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
