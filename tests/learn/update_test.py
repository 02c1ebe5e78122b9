"""A round of updates is the updates one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.language.grammar import VOCABULARY
from bitzero_jax.learn.batch import Draw, PolicyRows, draw
from bitzero_jax.learn.imitate import ImitationRows
from bitzero_jax.learn.loss import LossWeights, loss
from bitzero_jax.learn.update import Learner, learn
from bitzero_jax.models.network import Network
from bitzero_jax.state import KINDS, empty_task

UPDATES, ROWS = 3, 12
WEIGHTS = LossWeights(1.0, 0.5, 0.5, 0.5, 0.01, 0.0, 0.2, 0.28, 1.0, 1.0)


def logits(weights, tokens, n):
  return weights[tokens][:, -n:]


NETWORK = Network(None, lambda params: params, logits, None, None, None)
LEARNER = Learner(
  network=NETWORK,
  optimizer=optax.sgd(0.5),
  weights=WEIGHTS,
  draw=Draw(rows=(2, 3, 4), fresh_share=0.5, shown=2, shown_weight=0.5),
  updates=UPDATES,
)


@pytest.fixture(scope="module")
def material():
  rng = np.random.default_rng(0)

  def tokens(*shape):
    return jnp.asarray(rng.integers(1, VOCABULARY, shape), jnp.int32)

  def policy(columns):
    return PolicyRows(
      prompt=tokens(ROWS, 4),
      answer=tokens(ROWS, columns),
      log_prob=jnp.asarray(rng.normal(-5, 1, (ROWS, columns)), jnp.float32),
      bias=jnp.zeros((ROWS, columns, VOCABULARY)),
      advantage=jnp.asarray(rng.normal(size=ROWS), jnp.float32),
      counts=jnp.asarray(rng.random(ROWS) < 0.8),
    )

  rows = {name: policy(3) for name in KINDS} | {"propose": policy(5)}
  copied = ImitationRows(
    prompt=tokens(ROWS, 4),
    answer=tokens(ROWS, 5),
    bias=jnp.zeros((ROWS, 5, VOCABULARY)),
    scored=jnp.asarray(rng.random((ROWS, 5)) < 0.8),
  )
  fresh = empty_task(6, 3, 5, 4).replace(
    program=tokens(6, 5), inputs=tokens(6, 3, 4), outputs=tokens(6, 3, 4)
  )
  table = jnp.asarray(rng.normal(size=(VOCABULARY, VOCABULARY)), jnp.float32)
  return table, rows, copied, fresh


def test_each_update_sees_its_own_part_once(material):
  table, rows, copied, fresh = material
  weight, key = jnp.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0]), jax.random.key(3)
  pool = pool_lib.empty(4, 3, 5, 4)
  state = LEARNER.optimizer.init(table)
  got, _, metrics = jax.jit(
    lambda params, key: learn(
      LEARNER, params, state, rows, copied, fresh, weight, pool, key
    )
  )(table, key)

  @jax.jit
  def one_update(params, part, copies, step_key):
    gold = draw(LEARNER.draw, fresh, weight, pool, step_key)
    (_, parts), slope = jax.value_and_grad(
      lambda p: loss(NETWORK, WEIGHTS, p, part, gold, copies), has_aux=True
    )(params)
    parts["norm/gradient"] = jnp.sqrt(jnp.sum(slope**2))
    return params - 0.5 * slope, parts

  params, seen = table, []
  size = ROWS // UPDATES
  for i, step_key in enumerate(jax.random.split(key, UPDATES)):
    part, copies = jax.tree.map(
      lambda x, i=i: x[i * size : (i + 1) * size], (rows, copied)
    )
    params, parts = one_update(params, part, copies, step_key)
    seen.append(parts)
  np.testing.assert_allclose(got, params, atol=1e-5)
  assert float(jnp.abs(got - table).max()) > 1e-3
  gaps = {name for name in seen[0] if name.startswith("gap/")}
  assert len(gaps) == 3  # proposals are a round old
  for name in set(seen[0]) - gaps:
    mean = np.mean([float(parts[name]) for parts in seen])
    assert float(metrics[name]) == pytest.approx(mean, rel=1e-3), name
  first = max(float(seen[0][name]) for name in gaps)
  assert float(metrics["gap/logprob_max"]) == pytest.approx(first, rel=1e-4)
  others = {"gap/logprob_max", "trained/lengths"}
  assert set(metrics) == set(seen[0]) - gaps | others


def test_hindsight_alone_learns_the_answers(material):
  table, _, _, fresh = material
  learner = LEARNER._replace(
    updates=40, optimizer=optax.adam(0.1), draw=Draw((8, 8, 8), 1.0, 2, 0.0)
  )
  state = learner.optimizer.init(table)

  @jax.jit
  def step(params, state, key):
    pool = pool_lib.empty(4, 3, 5, 4)
    weight = jnp.ones(6)
    return learn(learner, params, state, {}, None, fresh, weight, pool, key)

  params, state, before = step(table, state, jax.random.key(0))
  _, _, after = step(params, state, jax.random.key(1))
  assert "gap/logprob_max" not in after
  assert float(after["loss/total"]) < 0.7 * float(before["loss/total"])


def test_what_is_observed_and_penalized_is_said(material):
  table, _, _, fresh = material
  params = {"model": table, "quant": {}, "precision": {"dual": jnp.float32(2)}}
  learner = LEARNER._replace(
    network=NETWORK._replace(weights=lambda p: p["model"]),
    optimizer=optax.sgd(0.0),
    penalty=lambda p: p["precision"]["dual"] * jnp.mean(p["model"] ** 2),
    observe=lambda p, g: {
      "slope": jnp.stack([p["model"][0, 0], g["model"][0, 0]])
    },
  )
  state = learner.optimizer.init(params)
  pool = pool_lib.empty(4, 3, 5, 4)
  _, _, metrics = learn(
    learner,
    params,
    state,
    {},
    None,
    fresh,
    jnp.ones(6),
    pool,
    jax.random.key(0),
  )
  penalty = 2 * float(jnp.mean(table**2))
  assert float(metrics["loss/penalty"]) == pytest.approx(penalty, rel=1e-5)
  seen = metrics["observed/slope"]
  assert seen.shape == (2,)
  assert float(seen[0]) == pytest.approx(float(table[0, 0]))
  assert float(seen[1]) != 0  # of the penalty at least


def test_every_depth_is_learned_in_every_update(material):
  """Each depth has a table of its own, picked by the control."""
  table, rows, _, fresh = material
  tables = jnp.stack([table, table + 1, table - 1])
  params = {"model": tables, "quant": {"q": {"planes": jnp.float32(3)}}}

  def weights(p):
    return p["model"][p["quant"]["q"]["planes"].astype(int) - 1]

  learner = LEARNER._replace(
    network=NETWORK._replace(weights=weights),
    optimizer=optax.masked(optax.sgd(0.5), {"model": True, "quant": False}),
    depths=(1,),
  )
  state = learner.optimizer.init(params)
  pool = pool_lib.empty(4, 3, 5, 4)
  after, _, metrics = learn(
    learner,
    params,
    state,
    rows,
    None,
    fresh,
    jnp.ones(6),
    pool,
    jax.random.key(0),
  )
  moved = jnp.abs(after["model"] - tables).max(axis=(1, 2))
  assert moved[0] > 0
  assert moved[1] == 0  # of two planes nobody spoke
  assert moved[2] > 0
  assert metrics["loss/planes/1"] > 0
  assert "gap/logprob_max" in metrics  # samples are learned at most planes
