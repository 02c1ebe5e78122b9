"""The beam beside brute force: every program, scored by the model."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import beam, build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import search
from bitzero_jax.language import automaton, layout, levels, render
from bitzero_jax.language.grammar import PAD
from bitzero_jax.models.policy import chosen, log_policy

TINY = levels.Level(3, 3, 0, 9, 1, ("small",))
SIZES = layout.Sizes(program=3, value=5, shown=2, hidden=1, references=0)
EVERY = tuple(search.programs(TINY))
PROMPTS = (
  (("[3, 1]", "[1, 3]"), ("[2]", "[2]")),
  (("[1, 2, 3]", "6"), ("[9]", "9")),
)


@pytest.fixture(scope="module")
def network():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 16, 2, 16
  config.model.heads = config.model.kv_heads = 2
  return build.build_network(config)


@pytest.fixture(scope="module")
def weights(network):
  params = jax.jit(network.init)(jax.random.key(0))
  scale = params["model"]["norm"]["scale"]
  params["model"]["norm"]["scale"] = 4 * jnp.ones_like(scale)
  return network.weights(params)


@pytest.fixture(scope="module")
def tables():
  return jax.tree.map(jnp.asarray, levels.build(TINY))


@pytest.fixture(scope="module")
def prompts():
  rows = [
    [
      [render.pad(render.value_tokens(t), SIZES.value) for t in side]
      for side in zip(*pairs, strict=True)
    ]
    for pairs in PROMPTS
  ]
  values = jnp.asarray(rows, jnp.int32)
  return layout.induction(values[:, 0], values[:, 1])


@pytest.fixture(scope="module")
def truth(network, weights, tables, prompts):
  """Log-probability of each token of each program: [Q, all, A]."""
  count = len(EVERY)
  answers = jnp.asarray([render.pad(p, SIZES.program) for p in EVERY])
  plan = layout.program_plan(tables, count)

  @jax.jit
  def score(prompt):
    tokens = jnp.concatenate(
      [jnp.broadcast_to(prompt, (count, *prompt.shape)), answers], axis=1
    )
    logits = network.logits(weights, tokens[:, :-1], SIZES.program)
    bias = jax.vmap(
      lambda p, row: automaton.bias_along(tables, p, row, SIZES.slots, 0.0)
    )(plan, answers)
    return chosen(log_policy(logits, bias, 1.0), answers)

  scores = np.stack([score(prompt) for prompt in prompts])
  np.testing.assert_allclose(np.exp(scores.sum(-1)).sum(-1), 1, rtol=1e-4)
  return scores


@pytest.fixture(scope="module")
def found(network, weights, tables, prompts):
  """width -> (answers, scores), as numpy arrays."""

  def run(width):
    searching = jax.jit(
      lambda w, p: beam.search(
        network,
        w,
        tables,
        layout.program_plan(tables, len(PROMPTS)),
        p,
        width=width,
        length=SIZES.program,
        slots=SIZES.slots,
      )
    )
    return tuple(map(np.asarray, searching(weights, prompts)))

  cache = {}
  return lambda width: cache.setdefault(width, run(width))


def beams(scores, width):
  """What a beam finds, by plain enumeration: program -> log-probability."""
  kept = {(): 0.0}
  for length in range(1, SIZES.program + 1):
    longer = {}
    for program, row in zip(EVERY, scores, strict=True):
      tokens = render.pad(program, SIZES.program)
      if tuple(tokens[: length - 1]) in kept:
        longer[tuple(tokens[:length])] = float(row[:length].sum())
    best = sorted(longer, key=longer.get, reverse=True)[:width]
    kept = {tokens: longer[tokens] for tokens in best}
  return {tokens: kept[tokens] for tokens in kept}


def test_the_level_is_small_and_the_model_has_an_opinion(truth):
  assert 20 < len(EVERY) < 512
  totals = truth.sum(-1)
  assert totals.std(axis=1).min() > 0.5
  assert (totals.argmax(1) != 0).any()  # not the grammar's order


@pytest.mark.parametrize("width", [4, 512])
def test_a_beam_finds_what_plain_enumeration_finds(found, truth, width):
  answers, scores = found(width)
  assert answers.shape == (len(PROMPTS), width, SIZES.program)
  assert scores.shape == (len(PROMPTS), width)
  for rows, mine, due in zip(answers, scores, truth, strict=True):
    wanted = beams(due, width)
    real = mine > levels.NEVER / 2
    assert real.sum() == len(wanted) == min(width, len(EVERY))
    assert real[: real.sum()].all()  # nothing real comes behind what is not
    written = list(map(tuple, rows[real].tolist()))
    assert set(written) == set(wanted)
    np.testing.assert_allclose(
      mine[real], [wanted[tokens] for tokens in written], atol=1e-4
    )


def test_the_widest_beam_finds_the_true_best(found, truth):
  answers, scores = found(512)
  for rows, mine, due in zip(answers, scores, truth, strict=True):
    order = np.argsort(-due.sum(-1), kind="stable")
    best = [EVERY[i] for i in order[:20]]
    assert [render.strip(row) for row in rows[:20]] == best
    np.testing.assert_allclose(mine[:20], due.sum(-1)[order[:20]], atol=1e-4)


@pytest.mark.parametrize("width", [4, 512])
def test_answers_are_different_legal_and_sorted(found, width):
  answers, scores = found(width)
  for rows, mine in zip(answers.tolist(), scores.tolist(), strict=True):
    programs = [
      render.strip(row)
      for row, score in zip(rows, mine, strict=True)
      if score > levels.NEVER / 2
    ]
    assert len(set(programs)) == len(programs)
    assert set(programs) <= set(EVERY)
    assert all(a >= b for a, b in itertools.pairwise(mine))


def test_each_prompt_has_beams_of_its_own(found):
  answers, _ = found(4)
  assert (answers[0] != answers[1]).any()


def test_padding_ends_an_answer(found):
  answers, scores = found(512)
  for row in answers[scores > levels.NEVER / 2]:
    stripped = row[row != PAD]
    np.testing.assert_array_equal(row[: len(stripped)], stripped)
