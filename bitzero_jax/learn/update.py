"""LEARN: the gradient updates of one round."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bitzero_jax.learn.batch import Draw, PolicyRows, draw, drawn_lengths
from bitzero_jax.learn.imitate import ImitationRows
from bitzero_jax.learn.loss import LossWeights, loss
from bitzero_jax.models.network import Network
from bitzero_jax.precision.base import set_control
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.state import Pool, Task

Metrics = dict[str, jax.Array]

OBSERVED = "observed/"  # begins the names of what `observe` saw


class Learner(NamedTuple):
  """Static choices of the learning role.

  Attributes:
    network: the model.
    optimizer: gradient transformation.
    weights: of the loss terms.
    draw: how hindsight rows are drawn.
    updates: gradient updates a round; sampled rows are split among them.
    depths: fewer planes that the same weights learn their hindsight rows at,
      in every update too; empty for none.
    penalty: params -> a further part of the loss; None for none.
    observe: (params, gradient) -> numbers under "observed/..." of the metrics;
      None for none.
    probe: (params, loss) -> further ones, of the last parameters and rows that
      are drawn for it; None for none.
  """

  network: Network
  optimizer: optax.GradientTransformation
  weights: LossWeights
  draw: Draw
  updates: int
  depths: tuple[int, ...] = ()
  penalty: Callable[[Any], jax.Array] | None = None
  observe: Callable[[Any, Any], Metrics] | None = None
  probe: Callable[[Any, Callable[[Any], jax.Array]], Metrics] | None = None


def learn(
  learner: Learner,
  params: Any,
  optimizer: Any,
  policy: dict[str, PolicyRows],
  imitated: ImitationRows | None,
  fresh: Task,
  weight: jax.Array,
  pool: Pool,
  key: jax.Array,
  pool_weight: jax.Array | None = None,
) -> tuple[Any, Any, Metrics]:
  """Takes `learner.updates` gradient updates in a scan.

  Each update sees its own part of the sampled rows once, so the first part is
  exactly on-policy and the ratio's clip guards the others; hindsight rows are
  drawn anew each time.

  Args:
    learner: static choices.
    params, optimizer: latent parameters and optax state.
    policy: sampled rows; the rows of each batch divide by the updates.
    imitated: proposals to be copied, split as `policy` is; None for none.
    fresh, weight: this round's tasks, and how often each is drawn.
    pool: tasks of earlier rounds.
    key: PRNG key, consumed.
    pool_weight: how often each of the pool's tasks is drawn; None for alike.

  Returns:
    New parameters, new optimizer state, and metrics: means over the updates,
    but "gap/..." of the first update alone, where sampler and learner share
    parameters; "trained/lengths" is `drawn_lengths`.
  """
  differentiate = jax.value_and_grad(_total(learner), has_aux=True)
  parts = jax.tree.map(
    lambda leaf: mesh_lib.split_each(
      leaf.reshape(learner.updates, -1, *leaf.shape[1:])
    ),
    (policy, imitated),
  )

  def update(carry, step):
    params, state = carry
    (rows, copied), step_key = step
    gold = draw(learner.draw, fresh, weight, pool, step_key, pool_weight)
    (_, metrics), gradient = differentiate(params, rows, gold, copied)
    if learner.observe is not None:
      seen = learner.observe(params, gradient)
      metrics |= {OBSERVED + name: value for name, value in seen.items()}
    changes, state = learner.optimizer.update(gradient, state, params)
    params = optax.apply_updates(params, changes)
    metrics["norm/gradient"] = optax.tree.norm(gradient)
    return (params, state), metrics

  keys = jax.random.split(key, learner.updates)
  (params, optimizer), metrics = jax.lax.scan(
    update, (params, optimizer), (parts, keys)
  )
  if learner.probe is not None:
    # Below this number are the keys of the updates and of what is imitated.
    probe_key = jax.random.fold_in(key, learner.updates + 1)
    gold = draw(learner.draw, fresh, weight, pool, probe_key, pool_weight)
    seen = learner.probe(params, _hindsight(learner, gold))
    metrics |= {OBSERVED + name: value[None] for name, value in seen.items()}
  lengths = drawn_lengths(learner.draw, fresh, weight, pool, pool_weight)
  summary = _summarize(metrics) | {"trained/lengths": lengths}
  return params, optimizer, summary


def _total(learner: Learner) -> Callable[..., Any]:
  def total(params, policy, gold, imitated):
    value, metrics = loss(
      learner.network, learner.weights, params, policy, gold, imitated
    )
    for planes in learner.depths:
      shallow = set_control(params, "planes", planes)
      more = _hindsight(learner, gold)(shallow)
      metrics[f"loss/planes/{planes}"] = more
      value += more
    if learner.penalty is not None:
      metrics["loss/penalty"] = learner.penalty(params)
      value += metrics["loss/penalty"]
    return value, metrics

  return total


def _hindsight(learner: Learner, gold: Any) -> Callable[[Any], jax.Array]:
  """The loss of these rows alone: params -> float32 []."""
  return lambda params: loss(
    learner.network, learner.weights, params, {}, gold
  )[0]


def _summarize(metrics: Metrics) -> Metrics:
  gaps = [v[0] for name, v in metrics.items() if name.startswith("gap/")]
  result = {
    name: jnp.mean(values, axis=0)
    for name, values in metrics.items()
    if not name.startswith("gap/")
  }
  if gaps:
    result["gap/logprob_max"] = jnp.max(jnp.stack(gaps))
  return result
