"""A model sits an exam, greedily."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate.exam import build_exam
from bitzero_jax.evaluate.examine import examiner, summarize
from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.language import levels, rows
from bitzero_jax.language.grammar import VOCABULARY
from bitzero_jax.language.layout import Sizes
from bitzero_jax.models.network import Network
from bitzero_jax.solve import Solver, gold_probability, solve
from bitzero_jax.state import KINDS, RIGHT, UNKNOWN, WRONG
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge

LEVEL = levels.LEVELS["small"]
SIZES = Sizes(
  program=LEVEL.program, value=LEVEL.items + 2, shown=4, hidden=2, references=1
)
BOUNDS = Bounds(*map(np.int32, (LEVEL.items, LEVEL.low, LEVEL.high)))
LOSSES = re.compile("eval/(nll|ece|brier)/")


@pytest.fixture(scope="module")
def judge():
  with Executor() as executor:
    made = Judge(executor, 6)
    yield made
    assert made.failure is None


@pytest.fixture(scope="module")
def exam(judge):
  return build_exam(
    judge,
    LEVEL,
    SIZES,
    BOUNDS,
    weights="hand",
    tried=9,
    candidates=500,
    tasks=4,
    bar_share=0.5,
    output_share=0.2,
    seed=0,
  )


def scholar(exam):
  """A model that has learnt the exam by heart: it looks its prompt up."""
  known = []
  for kind in range(len(KINDS)):
    tasks = jax.tree.map(jnp.asarray, exam.tasks)
    known.append(rows.rows_of(kind, tasks, jnp.asarray(exam.pair), 4))

  def prefill(weights, prompt, slots):
    answer = jnp.zeros((prompt.shape[0], 32), jnp.int32)
    for prompts, gold in known:
      if prompts.shape[1] != prompt.shape[1]:
        continue
      same = (prompt[:, None] == prompts[None]).all(-1)
      mine = jnp.pad(gold, ((0, 0), (0, 32 - gold.shape[1])))
      found = mine[jnp.argmax(same, axis=1)]
      answer = jnp.where(same.any(1)[:, None], found, answer)
    return decode(weights, None, (answer, jnp.int32(0)))

  def decode(weights, token, cache):
    answer, at = cache
    said = jax.lax.dynamic_index_in_dim(answer, at, axis=1, keepdims=False)
    logits = 50.0 * jax.nn.one_hot(said, 300)[:, : weights.shape[0]]
    return logits, (answer, at + 1)

  def logits(weights, tokens, n):
    prompt = tokens[:, : tokens.shape[1] + 1 - n]
    _, (answer, _) = prefill(weights, prompt, None)
    return 50.0 * jax.nn.one_hot(answer[:, :n], weights.shape[0])

  return Network(None, lambda params: params, logits, prefill, decode, None)


def test_one_who_knows_every_answer_has_full_marks(exam, judge):
  graded = examiner(scholar(exam), exam, judge)(jnp.zeros(VOCABULARY))
  for name in KINDS:
    assert (graded.grade[name] == RIGHT).all(), name
  summary = summarize(graded)
  losses = {n: v for n, v in summary.items() if LOSSES.match(n)}
  assert max(losses.values()) == pytest.approx(0.0, abs=1e-6)
  assert {v for n, v in summary.items() if n not in losses} == {1.0}


def untrained():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 1, 32
  net = build.build_network(config)
  params = net.init(jax.random.key(0))
  scale = params["model"]["norm"]["scale"]
  params["model"]["norm"]["scale"] = jnp.ones_like(scale)
  return net, params


def test_an_untrained_model_is_graded_the_same_every_time(exam, judge):
  net, params = untrained()
  examine = examiner(net, exam, judge)
  one, two = examine(params), examine(params)
  assert set(one.grade) == set(KINDS)
  for name in KINDS:
    assert one.grade[name].shape == exam.pair.shape
    assert set(one.grade[name].tolist()) <= {RIGHT, WRONG}
  jax.tree.map(np.testing.assert_array_equal, one[2:], two[2:])
  assert np.mean(one.grade["induction"] == RIGHT) < 0.5


def test_the_log_loss_is_that_of_the_gold_answer_token_by_token(exam, judge):
  net, params = untrained()
  graded = examiner(net, exam, judge)(params)
  weights = net.weights(params)
  tasks = jax.tree.map(jnp.asarray, exam.tasks)
  for kind, name in enumerate(KINDS):
    prompt, gold = rows.rows_of(kind, tasks, jnp.asarray(exam.pair), 4)
    tokens = np.asarray(jnp.concatenate([prompt, gold], axis=1))
    live = np.asarray(gold) != 0
    np.testing.assert_array_equal(graded.tokens[name], live.sum(1))
    logits = net.logits(weights, tokens[:, :-1], gold.shape[1])
    log_prob = np.asarray(jax.nn.log_softmax(logits), np.float64)
    taken = np.take_along_axis(log_prob, np.asarray(gold)[..., None], 2)[..., 0]
    expected = -(taken * live).sum(1)
    np.testing.assert_allclose(graded.nats[name], expected, rtol=1e-4)
  trained = exam.bucket < 3
  mean = graded.nats["induction"][trained].sum(dtype=np.float64)
  mean /= graded.tokens["induction"][trained].sum()
  summary = summarize(graded)
  assert summary["eval/nll/induction"] == pytest.approx(mean)


def test_the_probability_is_that_of_the_greedy_answer(exam, judge):
  net, params = untrained()
  graded = examiner(net, exam, judge)(params)
  assert graded.agreement == {}
  tables = jax.tree.map(jnp.asarray, levels.build(exam.level))
  tasks, pair = jax.tree.map(jnp.asarray, (exam.tasks, exam.pair))
  ones = jnp.ones(len(pair), bool)

  @jax.jit
  def expected(params):
    weights = net.weights(params)
    solver = Solver(exam.sizes, temperature=0, samples=1)
    three = [tasks] * 3, [pair] * 3, [ones] * 3
    answered = solve(solver, net, weights, tables, *three, jax.random.key(0))
    # The outputs that were said, as if they were the gold ones.
    said = answered[0][0].answer[:, None]
    other = dataclasses.replace(tasks, outputs=jnp.repeat(said, 6, axis=1))
    return gold_probability(net, weights, tables, [other] * 3, exam.sizes)[0]

  first = np.asarray(pair) == 0  # the pair that `gold_probability` asks about
  assert first.any()
  np.testing.assert_allclose(
    graded.probability["deduction"][first], expected(params)[first], rtol=1e-4
  )
  for name in KINDS:
    assert (graded.probability[name] > 0).all()
    assert (graded.probability[name] <= 1).all()


def test_samples_agree_with_an_answer_as_often_as_it_is_probable(exam, judge):
  net, params = untrained()
  examine = examiner(net, exam, judge, samples=16)
  one, again = examine(params), examine(params)
  jax.tree.map(np.testing.assert_array_equal, one[2:], again[2:])
  # Equal outputs alone mean the same, so this is an estimate of that.
  share, chance = one.agreement["deduction"], one.probability["deduction"]
  spread = np.sqrt(np.mean(chance * (1 - chance)) / 16 / len(share))
  assert abs(np.mean(share - chance)) < 4 * spread
  assert set((share * 16 % 1).tolist()) == {0.0}


def test_a_summary_leaves_unknown_verdicts_and_long_programs_out(exam):
  grades = {name: np.full(len(exam.pair), WRONG) for name in KINDS}
  mine = np.flatnonzero(exam.bucket == 1)
  grades["deduction"][mine[0]] = RIGHT
  grades["deduction"][mine[1]] = UNKNOWN
  grades["abduction"][exam.bucket == 3] = RIGHT
  grades["induction"][exam.bucket == 2] = UNKNOWN
  ones = {name: np.ones(len(exam.pair), int) for name in KINDS}
  summary = summarize(
    Graded("", exam.names, exam.bucket, exam.pair, grades, ones, ones, {}, {})
  )
  trained = int((exam.bucket < 3).sum())
  assert summary["eval/deduction"] == pytest.approx(1 / (trained - 1))
  assert summary["eval/deduction/4-5"] == pytest.approx(1 / (len(mine) - 1))
  assert summary["eval/abduction"] == 0
  assert summary["eval/abduction/long 9-14"] == 1
  assert "eval/induction/6-8" not in summary
  assert summary["eval/nll/induction/6-8"] == 1
