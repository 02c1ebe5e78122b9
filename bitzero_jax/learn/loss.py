"""Policy-gradient loss and hindsight loss, in one forward pass a row shape."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.language.grammar import PAD
from bitzero_jax.learn.batch import GoldRows, PolicyRows
from bitzero_jax.models.network import Network
from bitzero_jax.models.policy import chosen, entropy, log_policy
from bitzero_jax.state import KINDS

PROPOSE = "propose"
Logits = dict[str, jax.Array]


class LossWeights(NamedTuple):
  """Weights of the terms, and the policy's constants.

  Attributes:
    hindsight: of the cross-entropy on the executor's answers.
    solve, propose: of the two roles' policy gradients.
    entropy: of the entropy bonus, per nat.
    clip_low, clip_high: the importance ratio is clipped to
      [1 - clip_low, 1 + clip_high].
    solve_temperature, propose_temperature: that the two roles sampled at.
  """

  hindsight: float
  solve: float
  propose: float
  entropy: float
  clip_low: float
  clip_high: float
  solve_temperature: float
  propose_temperature: float


def forward(
  network: Network, weights: Any, rows: dict[str, tuple[jax.Array, jax.Array]]
) -> Logits:
  """Logits of the answer columns, float32 [B, A, V] for each named batch.

  Batches of one shape share a forward pass.
  """
  shapes: dict[tuple[int, int], list[str]] = {}
  for name, (prompt, answer) in rows.items():
    shapes.setdefault((prompt.shape[1], answer.shape[1]), []).append(name)
  result = {}
  for (_, length), names in shapes.items():
    tokens = jnp.concatenate([jnp.concatenate(rows[n], axis=1) for n in names])
    logits = network.logits(weights, tokens, length + 1)[:, :-1]
    sizes = [rows[n][0].shape[0] for n in names]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    result.update(zip(names, jnp.split(logits, ends), strict=True))
  return result


def hindsight_loss(
  logits: jax.Array, rows: GoldRows
) -> tuple[jax.Array, jax.Array]:
  """Summed cross-entropy in nats, and the number of answer tokens.

  Over the whole vocabulary: the mask would need a scan, and what it forbids
  is quickly learned.
  """
  log_prob = jax.nn.log_softmax(logits, axis=-1)
  gold = jnp.take_along_axis(log_prob, rows.answer[..., None], axis=-1)[..., 0]
  live = (rows.answer != PAD) & rows.counts[:, None]
  return -jnp.sum(gold * live), jnp.sum(live)


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


def loss(
  network: Network,
  weights: LossWeights,
  params: Any,
  policy: dict[str, PolicyRows],
  gold: dict[str, GoldRows],
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Total loss of one update and its parts.

  Args:
    network: the model.
    weights: of the terms.
    params: latent parameters.
    policy: sampled rows by task type, and "propose".
    gold: hindsight rows by task type.
  """
  batches = {f"gold/{n}": (r.prompt, r.answer) for n, r in gold.items()}
  batches |= {f"policy/{n}": (r.prompt, r.answer) for n, r in policy.items()}
  logits = forward(network, network.weights(params), batches)
  parts: dict[str, jax.Array] = {}
  total = jnp.float32(0)
  nats, tokens = jnp.float32(0), jnp.float32(0)
  for name, rows in gold.items():
    summed, count = hindsight_loss(logits[f"gold/{name}"], rows)
    parts[f"loss/hindsight/{name}"] = summed / jnp.maximum(count, 1)
    nats, tokens = nats + summed, tokens + count
  total += weights.hindsight * nats / jnp.maximum(tokens, 1)

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
    gap = jnp.abs(log_prob - rows.log_prob)
    parts[f"gap/{name}"] = gap.max(initial=0.0)
  for role, values in spread.items():
    if values:
      parts[f"entropy/{role}"] = jnp.stack(values).mean()
  return total, parts | {"loss/total": total}
