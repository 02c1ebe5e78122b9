"""Answers to tasks of every type, and how likely the gold answer is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.language import automaton, levels, render
from bitzero_jax.language import grammar as g
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.rows import plan_of, rows_of
from bitzero_jax.solve import Solver, gold_probability, pose, solve
from bitzero_jax.state import ABDUCTION, DEDUCTION, INDUCTION, KINDS, Task

SIZES = Sizes(program=8, value=7, shown=2, hidden=2, references=1)
INPUTS = ("[3, 1]", "[]", "[2]")
TASKS = {
  "sorted(x)": ("[1, 3]", "[]", "[2]"),
  "len(x[:1])": ("1", "0", "1"),
  "[v + v for v in x]": ("[6, 2]", "[]", "[4]"),
  "x[::-1]": ("[1, 3]", "[]", "[2]"),
}


def values(texts):
  return [render.pad(render.value_tokens(t), 7) for t in texts]


@pytest.fixture(scope="module")
def tasks():
  rows = len(TASKS)
  nothing = jnp.zeros(rows, jnp.int32)
  programs = [render.pad(render.parse(p), 8) for p in TASKS]
  return Task(
    program=jnp.array(programs, jnp.int32),
    inputs=jnp.array([values(INPUTS)] * rows, jnp.int32),
    outputs=jnp.array([values(o) for o in TASKS.values()], jnp.int32),
    behaviour=jnp.zeros((rows, 2), jnp.uint32),
    kind=nothing,
    source=nothing,
  )


@pytest.fixture(scope="module")
def tables():
  return jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))


@pytest.fixture(scope="module")
def model():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 1, 32
  net = build.build_network(config)
  params = net.init(jax.random.key(0))
  scale = params["model"]["norm"]["scale"]
  params["model"]["norm"]["scale"] = 3 * jnp.ones_like(scale)
  return net, net.weights(params)


def solved(model, tables, tasks, samples, temperature=1.0, seed=0):
  net, weights = model
  solver = Solver(SIZES, temperature, samples)
  pairs = [jnp.arange(4, dtype=jnp.int32) % 3] * 3
  asked = [jnp.arange(4) != kind for kind in range(3)]
  return jax.jit(
    lambda key: solve(
      solver, net, weights, tables, [tasks] * 3, pairs, asked, key
    )
  )(jax.random.key(seed))


def test_types_of_one_shape_are_posed_together(tables, tasks):
  pairs = [jnp.zeros(4, jnp.int32)] * 3
  groups = pose([tasks] * 3, pairs, tables, SIZES.shown)
  assert [group.kinds for group in groups] == [[0, 1], [2]]
  for group in groups:
    assert group.rows == [4] * len(group.kinds)
    for i, kind in enumerate(group.kinds):
      mine = slice(4 * i, 4 * i + 4)
      prompt, gold = rows_of(kind, tasks, pairs[0], SIZES.shown)
      np.testing.assert_array_equal(group.prompt[mine], prompt)
      np.testing.assert_array_equal(group.gold[mine], gold)
      jax.tree.map(
        lambda leaf, due, mine=mine: np.testing.assert_array_equal(
          leaf[mine], due
        ),
        group.plan,
        plan_of(kind, tables, 4),
      )


def test_samples_of_a_task_stand_together_with_all_that_grading_needs(
  model, tables, tasks
):
  results = solved(model, tables, tasks, samples=3)
  assert len(results) == len(KINDS)
  owner = np.repeat(np.arange(4), 3)
  for kind, (answers, rollout) in enumerate(results):
    np.testing.assert_array_equal(answers.kind, kind)
    np.testing.assert_array_equal(answers.program, tasks.program[owner])
    np.testing.assert_array_equal(answers.inputs, tasks.inputs[owner])
    np.testing.assert_array_equal(answers.outputs, tasks.outputs[owner])
    np.testing.assert_array_equal(answers.asked, owner != kind)
    pair = np.full(12, 2) if kind == INDUCTION else owner % 3
    np.testing.assert_array_equal(answers.pair, pair)
    np.testing.assert_array_equal(answers.answer, rollout.answer)
    prompt, _ = rows_of(kind, tasks, jnp.arange(4) % 3, 2)
    np.testing.assert_array_equal(rollout.prompt, prompt[owner])
    for row in np.asarray(answers.answer):
      tokens = render.strip(row)
      if kind == INDUCTION:
        assert render.parse(render.source(tokens)) == tokens
      else:
        text = render.value_text(tokens)
        assert kind == DEDUCTION or text[0] == "["


def test_samples_differ_and_greedy_answers_do_not(model, tables, tasks):
  warm = solved(model, tables, tasks, samples=3)
  cold = solved(model, tables, tasks, samples=3, temperature=0)
  again = solved(model, tables, tasks, samples=3, temperature=0, seed=1)
  distinct = [
    len(np.unique(np.asarray(a.answer).reshape(4, 3, -1)[0], axis=0))
    for a, _ in warm
  ]
  assert max(distinct) > 1
  for (a, _), (b, _) in zip(cold, again, strict=True):
    np.testing.assert_array_equal(a.answer, b.answer)
    rows = np.asarray(a.answer).reshape(4, 3, -1)
    np.testing.assert_array_equal(rows, rows[:, :1].repeat(3, axis=1))


def test_gold_probability_is_the_product_along_the_answer(model, tables, tasks):
  net, weights = model
  legal_now = jax.jit(lambda state: automaton.legal(tables, state))
  advance = jax.jit(lambda p, s, t: automaton.advance(tables, p, s, t))
  logits_of = jax.jit(net.logits, static_argnums=2)
  got = jax.jit(
    lambda: gold_probability(net, weights, tables, [tasks] * 3, SIZES)
  )()
  for kind in (DEDUCTION, ABDUCTION, INDUCTION):
    prompt, gold = rows_of(kind, tasks, jnp.zeros(4, jnp.int32), 2)
    plan = plan_of(kind, tables, 4)
    for i in range(4):
      one = jax.tree.map(lambda leaf, i=i: leaf[i], plan)
      state = automaton.start(tables, one, SIZES.slots)
      tokens = jnp.concatenate([prompt, gold], axis=1)[i : i + 1]
      logits = logits_of(weights, tokens, gold.shape[1] + 1)[0]
      expected = 1.0
      for j, token in enumerate(np.asarray(gold[i])):
        if token == g.PAD:
          break
        legal = np.asarray(legal_now(state))
        odds = np.exp(np.float64(logits[j])) * legal
        expected *= odds[token] / odds.sum()
        state = advance(one, state, jnp.int32(token))
      assert int(state.depth) == 0
      assert float(got[kind][i]) == pytest.approx(expected, rel=1e-4)
