"""Policy-gradient loss and hindsight loss, in one forward pass a row shape."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.language.grammar import PAD
from bitzero_jax.learn.batch import GoldRows, PolicyRows
from bitzero_jax.learn.imitate import ImitationRows
from bitzero_jax.models.network import Network
from bitzero_jax.models.policy import chosen, divergence, entropy, log_policy
from bitzero_jax.state import KINDS

PROPOSE = "propose"


class LossWeights(NamedTuple):
  """Weights of the terms, and the policy's constants.

  Attributes:
    hindsight: of the cross-entropy on the executor's answers.
    solve, propose: of the two roles' policy gradients.
    imitate: of the cross-entropy on imitated proposals.
    entropy: of the entropy bonus, per nat.
    prior_kl: of the proposer's divergence from the grammar's prior, per nat.
    clip_low, clip_high: the importance ratio is clipped to
      [1 - clip_low, 1 + clip_high].
    solve_temperature, propose_temperature: that the two roles sampled at.
  """

  hindsight: float
  solve: float
  propose: float
  imitate: float
  entropy: float
  prior_kl: float
  clip_low: float
  clip_high: float
  solve_temperature: float
  propose_temperature: float


class Batch(NamedTuple):
  """Rows for the forward pass: tokens int32 [B, T], the last Q scored."""

  tokens: jax.Array
  scored: int


def _batch(rows: GoldRows | PolicyRows | ImitationRows, scored: int) -> Batch:
  return Batch(jnp.concatenate([rows.prompt, rows.answer], axis=1), scored)


def forward(
  network: Network, weights: Any, batches: dict[str, Batch]
) -> dict[str, jax.Array]:
  """Logits before each scored token: float32 [B, Q, V] for each batch.

  Batches of one length share a forward pass.
  """
  lengths: dict[int, list[str]] = {}
  for name, batch in batches.items():
    lengths.setdefault(batch.tokens.shape[1], []).append(name)
  result = {}
  for names in lengths.values():
    group = [batches[name] for name in names]
    most = max(batch.scored for batch in group)
    tokens = jnp.concatenate([batch.tokens for batch in group])
    logits = network.logits(weights, tokens[:, :-1], most)
    begin = 0
    for name, batch in zip(names, group, strict=True):
      end = begin + batch.tokens.shape[0]
      result[name] = logits[begin:end, most - batch.scored :]
      begin = end
  return result


def hindsight_loss(
  logits: jax.Array, tokens: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Weighted sum of cross-entropies in nats, and the sum of weights.

  Over the whole vocabulary: the mask would need a scan, and what it forbids
  is quickly learned.

  Args:
    logits: float32 [B, Q, V].
    tokens: int32 [B, T], of which the last Q are scored.
    weight: float32 [B, Q].
  """
  log_prob = jax.nn.log_softmax(logits, axis=-1)
  target = tokens[:, -weight.shape[1] :, None]
  gold = jnp.take_along_axis(log_prob, target, axis=-1)[..., 0]
  return -jnp.sum(gold * weight), jnp.sum(weight)


def policy_loss(
  log_prob: jax.Array, rows: PolicyRows, weights: LossWeights
) -> jax.Array:
  """Clipped policy gradient, mean over answer tokens (PPO, arXiv:1707.06347).

  Args:
    log_prob: float32 [B, A], of the learner.
    rows: what was sampled, and its advantage.
    weights: for the clip.
  """
  live = (rows.answer != PAD) & rows.counts[:, None]
  ratio = jnp.exp(jnp.where(live, log_prob - rows.log_prob, 0.0))
  clipped = jnp.clip(ratio, 1 - weights.clip_low, 1 + weights.clip_high)
  advantage = rows.advantage[:, None]
  gain = jnp.minimum(ratio * advantage, clipped * advantage)
  return -jnp.sum(gain * live) / jnp.maximum(jnp.sum(live), 1)


def imitation_loss(
  logits: jax.Array, rows: ImitationRows, temperature: float
) -> jax.Array:
  """Cross-entropy of programs under the policy that samples them.

  That policy is masked and carries the grammar's log-prior, so what the model
  learns is the difference to the prior.

  Args:
    logits: float32 [B, A, V].
    rows: what is imitated.
    temperature: that the proposer samples at.

  Returns:
    float32 [], mean nats a scored token.
  """
  log_prob = chosen(log_policy(logits, rows.bias, temperature), rows.answer)
  scored = jnp.maximum(jnp.sum(rows.scored), 1)
  return -jnp.sum(log_prob * rows.scored) / scored


def loss(
  network: Network,
  weights: LossWeights,
  params: Any,
  policy: dict[str, PolicyRows],
  gold: dict[str, GoldRows],
  imitated: ImitationRows | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Total loss of one update and its parts.

  Args:
    network: the model.
    weights: of the terms.
    params: latent parameters.
    policy: sampled rows by task type, and "propose".
    gold: hindsight rows by task type.
    imitated: proposals to be copied, None where there are none.
  """
  batches = {
    f"gold/{name}": _batch(rows, rows.weight.shape[1])
    for name, rows in gold.items()
  }
  batches |= {
    f"policy/{name}": _batch(rows, rows.answer.shape[1])
    for name, rows in policy.items()
  }
  if imitated is not None:
    batches["imitate"] = _batch(imitated, imitated.answer.shape[1])
  logits = forward(network, network.weights(params), batches)
  parts: dict[str, jax.Array] = {}
  total = jnp.float32(0)
  nats, count = jnp.float32(0), jnp.float32(0)
  for name, rows in gold.items():
    key = f"gold/{name}"
    summed, share = hindsight_loss(
      logits[key], batches[key].tokens, rows.weight
    )
    parts[f"loss/hindsight/{name}"] = summed / jnp.maximum(share, 1)
    nats, count = nats + summed, count + share
  total += weights.hindsight * nats / jnp.maximum(count, 1)

  spread: dict[str, list[jax.Array]] = {"propose": [], "solve": []}
  for name, rows in policy.items():
    if name == PROPOSE:
      role, share, heat = name, weights.propose, weights.propose_temperature
    else:
      role, share = "solve", weights.solve / len(KINDS)
      heat = weights.solve_temperature
    distribution = log_policy(logits[f"policy/{name}"], rows.bias, heat)
    log_prob = chosen(distribution, rows.answer)
    live = (rows.answer != PAD) & rows.counts[:, None]
    mean_nats = jnp.sum(entropy(distribution) * live)
    mean_nats /= jnp.maximum(live.sum(), 1)
    surrogate = policy_loss(log_prob, rows, weights)
    total += share * (surrogate - weights.entropy * mean_nats)
    parts[f"loss/policy/{name}"] = surrogate
    spread[role].append(mean_nats)
    if name == PROPOSE and weights.prior_kl:
      prior = log_policy(jnp.zeros_like(rows.bias), rows.bias, heat)
      strayed = jnp.sum(divergence(distribution, prior) * live)
      strayed /= jnp.maximum(live.sum(), 1)
      total += share * weights.prior_kl * strayed
      parts["prior_kl/propose"] = strayed
    gap = jnp.abs(log_prob - rows.log_prob)
    if name == PROPOSE:  # written by the model of the round before
      parts["stale/propose"] = jnp.sum(gap * live) / jnp.maximum(live.sum(), 1)
    else:
      parts[f"gap/{name}"] = gap.max(initial=0.0)
  if imitated is not None:
    nats = imitation_loss(
      logits["imitate"], imitated, weights.propose_temperature
    )
    total += weights.imitate * nats
    parts["loss/imitate"] = nats
  for role, values in spread.items():
    if values:
      parts[f"entropy/{role}"] = jnp.stack(values).mean()
  return total, parts | {"loss/total": total}
