"""Drafts are drawn by weight, under the bias that their writer saw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import sample
from bitzero_jax.language import grammar, layout, levels
from bitzero_jax.language.layout import Sizes
from bitzero_jax.learn.imitate import draw_drafts
from bitzero_jax.models.network import Network
from bitzero_jax.state import Drafts

SIZES = Sizes(program=8, value=7, shown=4, hidden=2, references=1)
ROWS = 6


@pytest.fixture(scope="module")
def tables():
  return jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))


def silent(*_):
  """A model that has no opinion: what it writes is the prior's."""
  return jnp.zeros((ROWS, grammar.VOCABULARY)), None


@pytest.fixture(scope="module")
def written(tables):
  """A rollout under budgets of its own, and the drafts that it leaves."""
  network = Network(*[silent] * 6)  # type: ignore[arg-type]
  budget = jnp.array([2, 8, 5, 3, 8, 6], jnp.int32)
  plan = layout.proposal_plan(tables, ROWS)
  plan = plan._replace(budget=plan.budget.at[:, 0].set(budget))
  prompt = jnp.arange(ROWS * SIZES.proposal[0], dtype=jnp.int32)
  rollout = sample.write(
    network,
    None,
    tables,
    plan,
    prompt.reshape(ROWS, -1),
    jax.random.key(0),
    length=SIZES.proposal[1],
    slots=SIZES.slots,
    temperature=1.0,
    prior_weight=1.0,
  )
  return rollout, Drafts(rollout.prompt, rollout.answer, budget)


def drawn(tables, drafts, weight):
  return jax.jit(draw_drafts, static_argnums=(0, 1))(
    400, SIZES.slots, tables, drafts, jnp.asarray(weight), jax.random.key(1)
  )


def test_the_program_is_scored_under_the_bias_that_the_sampler_saw(
  tables, written
):
  rollout, drafts = written
  got = drawn(tables, drafts, np.ones(ROWS, np.float32))
  owner = np.asarray(got.prompt[:, 0]) // SIZES.proposal[0]
  assert set(owner) == set(range(ROWS))
  for name in ("prompt", "answer", "bias"):
    expected = np.asarray(getattr(rollout, name))[owner]
    np.testing.assert_array_equal(getattr(got, name), expected)
  program, _ = layout.split_proposal(got.answer, SIZES)
  length = (np.asarray(program) != grammar.PAD).sum(1)
  column = np.arange(SIZES.proposal[1])
  np.testing.assert_array_equal(got.scored, column < length[:, None])


def test_weights_say_how_often(tables, written):
  weight = np.array([0, 3, 0, 1, 0, 0], np.float32)
  got = drawn(tables, written[1], weight)
  owner = np.asarray(got.prompt[:, 0]) // SIZES.proposal[0]
  assert set(owner) == {1, 3}
  assert abs((owner == 1).mean() - 0.75) < 0.08


def test_without_weight_nothing_counts(tables, written):
  got = drawn(tables, written[1], np.zeros(ROWS, np.float32))
  assert not np.asarray(got.scored).any()
