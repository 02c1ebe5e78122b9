"""The stack machine, one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language import automaton, layout, levels, prior
from bitzero_jax.language import grammar as g

SLOTS = 12
LENGTH = 15


@pytest.fixture(scope="module")
def tables():
  return jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))


def plan_of(*segments):
  start = jnp.array([g.NONTERMINAL_OF[name] for name, _ in segments], jnp.int32)
  return automaton.Plan(start, jnp.array([n for _, n in segments], jnp.int32))


def names(tables, state):
  legal = np.flatnonzero(automaton.legal(tables, state))
  return {g.token_name(int(token)) for token in legal}


def feed(tables, plan, *tokens):
  state = automaton.start(tables, plan, SLOTS)
  for token in tokens:
    index = g.TOKEN_OF[token] if isinstance(token, str) else token
    assert bool(automaton.legal(tables, state)[index]), token
    state = automaton.advance(tables, plan, state, jnp.int32(index))
  return state


def test_a_tight_budget_leaves_only_what_can_still_end(tables):
  plan = plan_of(("program", 2))
  first = names(tables, feed(tables, plan))
  assert first == {
    *("sorted", "reversed", "every_other", "all_but_last", "sorted_set"),
    *("wrap", "len", "sum", "max", "min", "last"),
  }
  state = feed(tables, plan, "len")
  assert names(tables, state) == {"x"}
  state = feed(tables, plan, "len", "x")
  assert names(tables, state) == {"<pad>"}
  assert (int(state.depth), int(state.need)) == (0, 0)


def test_v_is_seen_in_its_comprehension_alone(tables):
  plan = plan_of(("program", 8))
  inside = names(tables, feed(tables, plan, "map", "x"))
  assert "v" not in inside and "add" in inside
  assert "v" in names(tables, feed(tables, plan, "map", "x", "add"))
  assert "v" in names(tables, feed(tables, plan, "filter", "x", "less"))
  outside = names(tables, feed(tables, plan, "take", "map", "x", "len", "x"))
  assert "v" not in outside and "0" in outside
  hidden = names(tables, feed(tables, plan, "map", "x", "len"))
  assert "x" in hidden and "v" not in hidden


def test_values_stay_in_their_level(tables):
  plan = plan_of(("value", 7))
  assert names(tables, feed(tables, plan)) == {"[", *map(str, range(21))}
  full = feed(tables, plan, g.LIST_OPEN, *[g.int_token(3)] * 5)
  assert names(tables, full) == {"]"}
  assert "]" in names(tables, feed(tables, plan, g.LIST_OPEN))
  assert names(tables, feed(tables, plan, g.int_token(7))) == {"<pad>"}
  opening = feed(tables, plan_of(("argument", 7)))
  assert names(tables, opening) == {"["}


def test_segments_follow_each_other_with_their_own_budgets(tables):
  plan = plan_of(("program", 3), ("argument", 4))
  state = feed(tables, plan, "sorted", "x")
  assert (int(state.segment), int(state.remaining)) == (1, 4)
  assert names(tables, state) == {"["}
  done = feed(
    tables, plan, "sorted", "x", g.LIST_OPEN, g.int_token(1), g.LIST_CLOSE
  )
  assert names(tables, done) == {"<pad>"}


def test_padding_changes_a_finished_row_no_more(tables):
  plan = plan_of(("argument", 7))
  done = feed(tables, plan, g.LIST_OPEN, g.LIST_CLOSE)
  after = automaton.advance(tables, plan, done, jnp.int32(g.PAD))
  jax.tree.map(np.testing.assert_array_equal, after, done)


def test_the_bias_is_the_weighted_prior_on_legal_tokens(tables):
  state = feed(tables, plan_of(("program", 4)), "sorted")
  legal = np.asarray(automaton.legal(tables, state))
  top = g.NONTERMINAL_OF["list"]
  for weight in (0.0, 0.5, 1.0):
    bias = np.asarray(automaton.bias(tables, state, weight))
    assert (bias[~legal] == levels.NEVER).all()
    expected = weight * np.asarray(tables.log_prior)[top][legal]
    np.testing.assert_allclose(bias[legal], expected, rtol=1e-6)
  done = feed(tables, plan_of(("program", 2)), "len", "x")
  bias = np.asarray(automaton.bias(tables, done, 1.0))
  assert bias[g.PAD] == 0 and (np.delete(bias, g.PAD) == levels.NEVER).all()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_bias_along_a_row_is_the_bias_of_each_step(tables, weight):
  rows = 16
  plan = layout.proposal_plan(tables, rows)
  plan = plan._replace(
    budget=plan.budget.at[:, 0].set(jnp.arange(rows) % 7 + 2)
  )
  tokens = prior.sample(tables, plan, jax.random.key(1), LENGTH, SLOTS)
  along = jax.jit(
    jax.vmap(lambda p, row: automaton.bias_along(tables, p, row, SLOTS, weight))
  )(plan, tokens)
  states = jax.vmap(lambda p: automaton.start(tables, p, SLOTS))(plan)

  @jax.jit
  def step(states, column):
    seen = jax.vmap(lambda s: automaton.bias(tables, s, weight))(states)
    moved = jax.vmap(lambda p, s, t: automaton.advance(tables, p, s, t))(
      plan, states, column
    )
    return seen, moved

  for i in range(LENGTH):
    seen, states = step(states, tokens[:, i])
    np.testing.assert_array_equal(seen, along[:, i])
  taken = np.take_along_axis(
    np.asarray(along), np.asarray(tokens)[..., None], axis=-1
  )
  assert (taken > levels.NEVER / 2).all()
  assert (np.asarray(states.depth) == 0).all()
