"""Sampling under the grammar's mask, and the learner's view of the sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build, config_checks, sample
from bitzero_jax import config as config_lib
from bitzero_jax.language import automaton, layout, levels, prior, render
from bitzero_jax.language.grammar import PAD
from bitzero_jax.models.policy import chosen, entropy, log_policy

SIZES = layout.Sizes(program=8, value=7, shown=4, hidden=2, references=1)
LENGTH = SIZES.proposal[1]
ROWS = 72


def network(**changes):
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 2, 64
  for name, value in changes.items():
    config.quant[name] = value
  config_checks.validate(config)
  return build.build_network(config)


@pytest.fixture(scope="module")
def tables():
  return jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))


@pytest.fixture(scope="module")
def prompt(tables):
  """References of mixed length, so that prompts have padding inside."""
  plan = layout.program_plan(tables, ROWS)
  budget = 2 + jnp.arange(ROWS) % 7
  plan = plan._replace(budget=budget[:, None])
  programs = prior.sample(tables, plan, jax.random.key(8), 8, SIZES.slots)
  return layout.proposal(jnp.arange(ROWS) % 3, programs[:, None])


def trained(net, scale=1.0):
  """Parameters whose head is awake."""
  params = net.init(jax.random.key(0))
  norm = params["model"]["norm"]["scale"]
  params["model"]["norm"]["scale"] = scale * jnp.ones_like(norm)
  return params


def written(net, weights, tables, prompt, **options):
  plan = layout.proposal_plan(tables, ROWS)
  options = {"temperature": 1.0, "prior_weight": 1.0, **options}

  @jax.jit
  def write(weights, key):
    return sample.write(
      net,
      weights,
      tables,
      plan,
      prompt,
      key,
      length=LENGTH,
      slots=SIZES.slots,
      **options,
    )

  return plan, write(weights, jax.random.key(5))


def rescored(net, weights, tables, plan, rollout, heat, prior_weight):
  tokens = jnp.concatenate([rollout.prompt, rollout.answer], axis=1)

  @jax.jit
  def score(weights):
    logits = net.logits(weights, tokens[:, :-1], LENGTH)
    bias = jax.vmap(
      lambda p, row: automaton.bias_along(
        tables, p, row, SIZES.slots, prior_weight
      )
    )(plan, rollout.answer)
    return chosen(log_policy(logits, bias, heat), rollout.answer), bias

  return score(weights)


def test_an_untrained_model_samples_exactly_the_grammars_prior(tables, prompt):
  net = network()
  weights = net.weights(net.init(jax.random.key(0)))
  plan, rollout = written(net, weights, tables, prompt)
  drawn = prior.sample(tables, plan, jax.random.key(5), LENGTH, SIZES.slots)
  np.testing.assert_array_equal(rollout.answer, drawn)
  assert len(np.unique(drawn, axis=0)) > ROWS / 2


@pytest.mark.parametrize("heat", [1.0, 0.5])
def test_with_ternary_weights_the_learner_sees_the_very_same_number(
  tables, prompt, heat
):
  net = network()
  weights = net.weights(trained(net))
  plan, rollout = written(net, weights, tables, prompt, temperature=heat)
  log_prob, bias = rescored(net, weights, tables, plan, rollout, heat, 1.0)
  np.testing.assert_array_equal(rollout.bias, bias)
  np.testing.assert_array_equal(rollout.log_prob, log_prob)
  assert (np.asarray(rollout.prompt)[:, :-1] == PAD).any()
  live = np.asarray(rollout.answer) != PAD
  assert (np.asarray(log_prob)[live] <= 0).all()
  assert np.asarray(log_prob)[live].std() > 0.1


@pytest.mark.parametrize(
  "name", [pytest.param("absmean", marks=pytest.mark.slow), "digits"]
)
def test_packed_sampling_is_the_very_number_of_the_integer_learner(
  tables, prompt, name
):
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 2, 64
  config.quant.weights, config.quant.planes = name, 2
  config.quant.product, config.rollout = "integer", "packed"
  config_checks.validate(config)
  net = build.build_network(config)
  params = trained(net)
  packed = jax.jit(build.build_rollout(config))(params)
  assert "Weight" in repr(packed["layers_0"]["mlp"]["up_proj"]["kernel"])
  plan, rollout = written(net, packed, tables, prompt)
  weights = net.weights(params)
  log_prob, _ = rescored(net, weights, tables, plan, rollout, 1.0, 1.0)
  np.testing.assert_array_equal(rollout.log_prob, log_prob)
  live = np.asarray(rollout.answer) != PAD
  assert np.asarray(log_prob)[live].std() > 0.1


def test_with_plain_weights_the_learner_sees_nearly_the_same(tables, prompt):
  net = network(weights="identity", activations="none")
  weights = net.weights(trained(net))
  plan, rollout = written(net, weights, tables, prompt, prior_weight=0.0)
  log_prob, _ = rescored(net, weights, tables, plan, rollout, 1.0, 0.0)
  np.testing.assert_allclose(rollout.log_prob, log_prob, atol=1e-5)


def test_every_row_is_a_program_and_a_list_whatever_the_model_says(
  tables, prompt
):
  net = network()
  weights = net.weights(trained(net, scale=30.0))
  _, rollout = written(net, weights, tables, prompt, prior_weight=0.0)
  program, value = layout.split_proposal(rollout.answer, SIZES)
  for row, given in zip(np.asarray(program), np.asarray(value), strict=True):
    tokens = render.strip(row)
    assert render.parse(render.source(tokens)) == tokens
    assert render.value_text(render.strip(given))[0] == "["


def test_zero_temperature_takes_the_best_legal_token(tables, prompt):
  net = network()
  weights = net.weights(trained(net))
  _, rollout = written(net, weights, tables, prompt, temperature=0)
  tokens = jnp.concatenate([prompt, rollout.answer], axis=1)
  logits = jax.jit(lambda w: net.logits(w, tokens[:, :-1], LENGTH))(weights)
  policy = log_policy(logits, rollout.bias, 1.0)
  np.testing.assert_array_equal(rollout.answer, jnp.argmax(policy, axis=-1))
  np.testing.assert_array_equal(
    rollout.log_prob, chosen(policy, rollout.answer)
  )
  finished = np.asarray(rollout.answer) == PAD
  assert (np.asarray(rollout.log_prob)[finished] == 0).all()


def test_the_policy_is_masked_and_normalised():
  logits = jnp.array([[2.0, 0.0, -1.0, 5.0]])
  bias = jnp.array([[0.0, -0.5, 0.0, levels.NEVER]])
  heat = 0.5
  expected = np.exp([4.0, -0.5, -2.0, -np.inf])
  expected /= expected.sum()
  policy = log_policy(logits, bias, heat)
  np.testing.assert_allclose(np.exp(policy[0]), expected, rtol=1e-5)
  terms = expected[:3] * np.log(expected[:3])
  np.testing.assert_allclose(entropy(policy)[0], -terms.sum(), rtol=1e-5)
  taken = chosen(policy[None], jnp.array([[2]]))
  np.testing.assert_allclose(taken[0, 0], np.log(expected[2]), rtol=1e-5)
  assert float(chosen(policy[None], jnp.array([[PAD]]))[0, 0]) == 0


def test_an_answer_goes_on_from_where_it_was_begun(tables, prompt):
  net = network()
  weights = net.weights(trained(net))
  plan, whole = written(net, weights, tables, prompt)
  column, rows = np.arange(LENGTH), np.arange(ROWS)
  kept = column < (rows % (LENGTH + 1))[:, None]  # nothing, some or all of it

  def go_on(answer):
    begun = jnp.where(kept, answer, PAD)
    return written(net, weights, tables, prompt, begun=begun)[1]

  # The same key chooses the same tokens behind what it chose before.
  again = go_on(whole.answer)
  jax.tree.map(np.testing.assert_array_equal, again, whole)

  # Behind what another row began, the rest is drawn anew.
  turned = jnp.roll(whole.answer, 1, axis=0)
  other = go_on(turned)
  np.testing.assert_array_equal(
    np.where(kept, other.answer, PAD), np.where(kept, turned, PAD)
  )
  changed = (other.answer != turned).any(axis=1)
  assert changed[rows % (LENGTH + 1) == 0].all()
  assert changed.mean() > 0.5
  for row in np.asarray(layout.split_proposal(other.answer, SIZES)[0]):
    tokens = render.strip(row)
    assert render.parse(render.source(tokens)) == tokens
  log_prob, bias = rescored(net, weights, tables, plan, other, 1.0, 1.0)
  np.testing.assert_array_equal(other.bias, bias)
  np.testing.assert_array_equal(other.log_prob, log_prob)


def test_a_beginning_of_nothing_changes_nothing(tables, prompt):
  net = network()
  weights = net.weights(trained(net))
  _, plain = written(net, weights, tables, prompt, temperature=0)
  begun = jnp.zeros((ROWS, LENGTH), jnp.int32)
  _, same = written(net, weights, tables, prompt, temperature=0, begun=begun)
  jax.tree.map(np.testing.assert_array_equal, same, plain)


def test_an_answer_that_was_begun_to_its_last_token_is_kept(tables, prompt):
  net = network()
  plan = layout.program_plan(tables, ROWS)

  @jax.jit
  def write(params, key):
    begun = prior.sample(tables, plan, key, SIZES.program, SIZES.slots)
    rollout = sample.write(
      net,
      net.weights(params),
      tables,
      plan,
      prompt,
      jax.random.key(1),
      length=SIZES.program,
      slots=SIZES.slots,
      temperature=1.0,
      begun=begun,
    )
    return begun, rollout.answer

  begun, answer = write(trained(net), jax.random.key(0))
  assert (np.asarray(begun)[:, -1] != PAD).any()
  np.testing.assert_array_equal(answer, begun)


def test_copies_of_a_prompt_are_read_once_and_answered_each(tables, prompt):
  net = network()
  weights = net.weights(trained(net))
  few = prompt[: ROWS // 3]
  _, together = written(net, weights, tables, few, copies=3)
  _, apart = written(net, weights, tables, jnp.repeat(few, 3, axis=0))
  for name in ("prompt", "answer", "bias"):
    np.testing.assert_array_equal(getattr(together, name), getattr(apart, name))
  # A batch of another size may add in another order.
  np.testing.assert_allclose(together.log_prob, apart.log_prob, atol=1e-5)
