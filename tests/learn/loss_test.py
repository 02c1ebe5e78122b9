"""The loss terms against numpy, and their gradient against REINFORCE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language.levels import NEVER
from bitzero_jax.learn.batch import GoldRows, PolicyRows
from bitzero_jax.learn.imitate import ImitationRows
from bitzero_jax.learn.loss import (
  Batch,
  LossWeights,
  forward,
  hindsight_loss,
  loss,
  policy_loss,
)
from bitzero_jax.models.network import Network
from bitzero_jax.state import KINDS

VOCAB = 9
WEIGHTS = LossWeights(
  hindsight=1.0,
  solve=0.3,
  propose=0.5,
  imitate=0.4,
  entropy=0.0,
  prior_kl=0.0,
  clip_low=0.2,
  clip_high=0.28,
  solve_temperature=0.5,
  propose_temperature=2.0,
)
rng = np.random.default_rng(0)


def toy():
  """A model whose logits are a table row for the token before."""

  def logits(weights, tokens, n):
    return weights[tokens][:, -n:]

  return Network(None, lambda params: params, logits, None, None, None)


def tokens(rows, columns, seed=0):
  draw = np.random.default_rng(seed)
  answer = draw.integers(1, VOCAB, (rows, columns))
  for row, length in enumerate(draw.integers(1, columns + 1, rows)):
    answer[row, length:] = 0
  return answer.astype(np.int32)


def log_softmax(x):
  x = np.asarray(x, np.float64)
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def gold(rows=5, columns=4, seed=0, scored=None):
  """Rows with weights on their last `scored` tokens; row 2 has none."""
  scored = scored or columns
  weight = np.random.default_rng(seed).uniform(0.2, 1, (rows, scored))
  answer = tokens(rows, columns, seed)
  weight[:, -columns:] *= answer != 0
  weight[2] = 0
  return GoldRows(
    prompt=jnp.ones((rows, 6), jnp.int32) + seed,
    answer=jnp.asarray(answer),
    weight=jnp.asarray(weight, jnp.float32),
  )


def whole(rows):
  return np.concatenate([rows.prompt, rows.answer], axis=1)


def masks(rows, columns, seed=0):
  draw = np.random.default_rng(seed)
  bias = np.log(draw.uniform(0.1, 1, (rows, columns, VOCAB)))
  bias[draw.random(bias.shape) < 0.3] = NEVER
  return bias.astype(np.float32)


def policy(table, heat, rows=6, columns=4, seed=0):
  """Rows with the log-probabilities that `table` gives them."""
  prompt = np.ones((rows, 2), np.int32)
  answer = tokens(rows, columns, seed)
  bias = masks(rows, columns, seed)
  np.put_along_axis(bias, answer[..., None], -0.5, axis=-1)
  before = np.concatenate([prompt[:, -1:], answer[:, :-1]], axis=1)
  log_prob = log_softmax(np.asarray(table)[before] / heat + bias)
  taken = np.take_along_axis(log_prob, answer[..., None], -1)[..., 0]
  draw = np.random.default_rng(seed + 9)
  return PolicyRows(
    prompt=jnp.asarray(prompt),
    answer=jnp.asarray(answer),
    log_prob=jnp.asarray(taken * (answer != 0), jnp.float32),
    bias=jnp.asarray(bias),
    advantage=jnp.asarray(draw.normal(size=rows), jnp.float32),
    counts=jnp.asarray(np.arange(rows) != 1),
  )


@pytest.fixture(scope="module")
def table():
  return jnp.asarray(rng.normal(size=(VOCAB, VOCAB)), jnp.float32)


def test_hindsight_is_the_weighted_cross_entropy_of_the_last_tokens():
  rows = gold(scored=7)
  logits = rng.normal(size=(5, 7, VOCAB)).astype(np.float32)
  summed, share = hindsight_loss(
    jnp.asarray(logits), jnp.asarray(whole(rows)), rows.weight
  )
  log_prob = log_softmax(logits)
  expected, weights = 0.0, 0.0
  for i in range(5):
    for j in range(7):
      token, weight = whole(rows)[i, 3 + j], float(rows.weight[i, j])
      expected -= weight * log_prob[i, j, token]
      weights += weight
  assert float(share) == pytest.approx(weights, rel=1e-5)
  assert float(summed) == pytest.approx(expected, rel=1e-5)


def test_the_clip_is_that_of_ppo():
  ratios = np.array([0.5, 0.79, 0.9, 1.0, 1.2, 1.27, 1.29, 3.0])
  for sign in (1.0, -1.0):
    rows = PolicyRows(
      prompt=jnp.ones((8, 1), jnp.int32),
      answer=jnp.ones((8, 1), jnp.int32),
      log_prob=jnp.zeros((8, 1)),
      bias=jnp.zeros((8, 1, VOCAB)),
      advantage=jnp.full(8, sign * 2.0),
      counts=jnp.ones(8, bool),
    )
    each = [min(r * sign * 2, np.clip(r, 0.8, 1.28) * sign * 2) for r in ratios]
    new = jnp.asarray(np.log(ratios)[:, None], jnp.float32)
    assert float(policy_loss(new, rows, WEIGHTS)) == pytest.approx(
      -np.mean(each), rel=1e-5
    )
    slope = jax.grad(lambda x, r=rows: policy_loss(x, r, WEIGHTS))(new)[:, 0]
    held = ratios > 1.28 if sign > 0 else ratios < 0.8
    expected = np.where(held, 0, -sign * 2 * ratios / 8)
    np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_on_policy_the_gradient_is_reinforce(table):
  rows = policy(table, WEIGHTS.propose_temperature)
  (total, parts), got = jax.jit(
    jax.value_and_grad(
      lambda p: loss(toy(), WEIGHTS, p, {"propose": rows}, {}), has_aux=True
    )
  )(table)
  live = (np.asarray(rows.answer) != 0) & np.asarray(rows.counts)[:, None]

  expected = np.zeros((VOCAB, VOCAB))
  for i, j in zip(*np.nonzero(live), strict=True):
    row = np.concatenate([rows.prompt[i], rows.answer[i]])
    before, said = row[1 + j], row[2 + j]
    heat = WEIGHTS.propose_temperature
    probability = np.exp(
      log_softmax(np.asarray(table)[before] / heat + rows.bias[i, j])
    )
    score = (np.arange(VOCAB) == said) - probability
    expected[before] -= float(rows.advantage[i]) * score / heat
  expected *= WEIGHTS.propose / live.sum()
  np.testing.assert_allclose(got, expected, atol=1e-6)
  assert np.abs(expected).max() > 1e-3
  assert float(parts["stale/propose"]) < 1e-6
  mean = np.sum(np.asarray(rows.advantage)[:, None] * live) / live.sum()
  assert float(total) == pytest.approx(-WEIGHTS.propose * mean, rel=1e-4)


def test_the_total_is_the_weighted_sum_of_its_parts(table):
  weights = WEIGHTS._replace(entropy=0.1)
  answers = {
    name: policy(table, weights.solve_temperature, columns=3 + i, seed=i)
    for i, name in enumerate(KINDS)
  }
  answers["propose"] = policy(table, weights.propose_temperature, seed=7)
  golds = {
    n: gold(columns=2 + i, seed=i, scored=4) for i, n in enumerate(KINDS)
  }
  total, parts = jax.jit(lambda p: loss(toy(), weights, p, answers, golds))(
    table
  )
  nats, count = 0.0, 0.0
  for name, rows in golds.items():
    tokens = whole(rows)
    logits = jnp.asarray(table)[tokens[:, -5:-1]]
    summed, number = hindsight_loss(logits, jnp.asarray(tokens), rows.weight)
    nats, count = nats + float(summed), count + float(number)
    assert float(parts[f"loss/hindsight/{name}"]) == pytest.approx(
      float(summed / number), rel=1e-4
    )
  expected = nats / count
  spread = {}
  for name, rows in answers.items():
    role = "propose" if name == "propose" else "solve"
    heat = 2.0 if role == "propose" else 0.5
    before = whole(rows)[:, 1:-1]
    log_prob = log_softmax(np.asarray(table)[before] / heat + rows.bias)
    live = (np.asarray(rows.answer) != 0) & np.asarray(rows.counts)[:, None]
    entropy = -(np.exp(log_prob) * log_prob).sum(-1)
    mean = (entropy * live).sum() / live.sum()
    spread.setdefault(role, []).append(mean)
    share = 0.5 if role == "propose" else 0.3 / 3
    surrogate = float(parts[f"loss/policy/{name}"])
    expected += share * (surrogate - 0.1 * mean)
  assert float(total) == pytest.approx(expected, rel=1e-4)
  assert float(parts["loss/total"]) == float(total)
  for role, values in spread.items():
    assert float(parts[f"entropy/{role}"]) == pytest.approx(
      np.mean(values), rel=1e-4
    )


def test_batches_of_one_length_share_a_pass_and_keep_their_columns(table):
  calls = []

  def logits(weights, tokens, n):
    calls.append((*tokens.shape, n))
    return weights[tokens][:, -n:]

  counting = toy()._replace(logits=logits)
  batches = {
    "a": Batch(jnp.asarray(tokens(2, 7)), 4),
    "b": Batch(jnp.asarray(tokens(3, 5, 1)), 2),
    "c": Batch(jnp.asarray(tokens(4, 7, 2)), 2),
  }
  got = forward(counting, table, batches)
  assert sorted(calls) == [(3, 4, 2), (6, 6, 4)]
  for name, (rows, scored) in batches.items():
    before = rows[:, -scored - 1 : -1]
    np.testing.assert_array_equal(got[name], table[before])


def test_rows_that_do_not_count_give_no_gradient(table):
  rows = gold()
  rows = rows.replace(weight=jnp.zeros_like(rows.weight))
  sampled = policy(table, 1.0).replace(counts=jnp.zeros(6, bool))
  weights = WEIGHTS._replace(entropy=0.1)
  value, slope = jax.value_and_grad(
    lambda p: loss(
      toy(), weights, p, {"propose": sampled}, {"deduction": rows}
    )[0]
  )(table)
  assert float(value) == 0
  np.testing.assert_array_equal(slope, 0)


def test_the_leash_is_the_divergence_from_the_prior(table):
  heat = WEIGHTS.propose_temperature
  rows = policy(table, heat)
  tight = WEIGHTS._replace(prior_kl=0.3)

  def total(params, weights, rows=rows):
    return loss(toy(), weights, params, {"propose": rows}, {})

  (whole_loss, parts), slope = jax.value_and_grad(total, has_aux=True)(
    table, tight
  )
  before = whole(rows)[:, 1:-1]
  log_prob = log_softmax(np.asarray(table)[before] / heat + rows.bias)
  prior = log_softmax(np.asarray(rows.bias))
  live = (np.asarray(rows.answer) != 0) & np.asarray(rows.counts)[:, None]
  strayed = (np.exp(log_prob) * (log_prob - prior)).sum(-1)
  expected = (strayed * live).sum() / live.sum()
  assert expected > 0.01
  assert float(parts["prior_kl/propose"]) == pytest.approx(expected, rel=1e-4)
  loose, untouched = total(table, WEIGHTS)
  assert "prior_kl/propose" not in untouched
  assert float(whole_loss - loose) == pytest.approx(
    WEIGHTS.propose * 0.3 * expected, rel=1e-3
  )
  assert np.isfinite(slope).all()
  # A model without an opinion is the prior: nothing strays, nothing pulls.
  alone = rows.replace(advantage=jnp.zeros(6))
  (nothing, parts), slope = jax.value_and_grad(total, has_aux=True)(
    0 * table, tight, alone
  )
  assert float(nothing) == float(parts["prior_kl/propose"]) == 0
  np.testing.assert_allclose(slope, 0, atol=1e-7)


def test_imitation_is_the_cross_entropy_of_the_masked_policy(table):
  heat = WEIGHTS.propose_temperature
  rows = policy(table, heat)
  live = (np.asarray(rows.answer) != 0) & np.asarray(rows.counts)[:, None]
  live[:, 2:] = False  # the input, say
  copied = ImitationRows(rows.prompt, rows.answer, rows.bias, jnp.array(live))
  total, parts = jax.jit(lambda p: loss(toy(), WEIGHTS, p, {}, {}, copied))(
    table
  )
  expected = -(np.asarray(rows.log_prob) * live).sum() / live.sum()
  assert float(parts["loss/imitate"]) == pytest.approx(expected, rel=1e-5)
  assert float(total) == pytest.approx(0.4 * expected, rel=1e-5)
  nobody = copied.replace(scored=jnp.zeros((6, 4), bool))
  slope = jax.grad(lambda p: loss(toy(), WEIGHTS, p, {}, {}, nobody)[0])(table)
  np.testing.assert_array_equal(slope, 0)


def test_a_masked_token_sends_no_nan_through_the_gradient(table):
  rows = policy(table, 2.0)
  weights = WEIGHTS._replace(entropy=0.1)
  slope = jax.grad(lambda p: loss(toy(), weights, p, {"propose": rows}, {})[0])(
    1e3 * table
  )
  assert np.isfinite(slope).all()
