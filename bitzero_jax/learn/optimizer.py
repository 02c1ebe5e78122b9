"""The optax chain: Muon or AdamW for matrices, Adam for everything else."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from bitzero_jax.quant.base import CONTROLS


class OptimizerSpec(NamedTuple):
  """What the optimizer is made of; see `config.py` for units and meaning."""

  name: str
  learning_rate: float
  muon_scale: float
  schedule: str
  second_stage_at: float
  second_stage_share: float
  final_share: float
  warmup: int
  updates: int
  b1: float
  b2: float
  weight_decay: float
  decay_until: float
  clip: float


def schedule(spec: OptimizerSpec) -> optax.Schedule:
  """The learning rate by updates done: linear warm-up, then as named.

  "cosine" falls to `final_share` of the peak. "two_stage" falls along a line
  that would end there, drops to `second_stage_share` of what it has reached
  after `second_stage_at` of the updates, and falls along a line to the same
  end: at 1/2 and 2/3, towards 0, BitNet's 1.5e-3 to 8e-4, then 5e-4 to 0.

  Raises:
    ValueError: the name is neither, or "two_stage" drops before it is warm.

  Source:
    Two stages: microsoft/unilm, "The Era of 1-bit LLMs: Training Tips, Code
    and FAQ"; arXiv:2504.12285.
  """
  peak, last = spec.learning_rate, spec.learning_rate * spec.final_share
  end = max(spec.updates, spec.warmup + 1)
  if spec.schedule == "cosine":
    return optax.warmup_cosine_decay_schedule(0.0, peak, spec.warmup, end, last)
  if spec.schedule != "two_stage":
    raise ValueError(
      f"optimizer.schedule={spec.schedule!r} must be 'cosine' or 'two_stage'"
    )
  drop = round(spec.second_stage_at * spec.updates)
  if not spec.warmup < drop < end:
    raise ValueError(
      f"optimizer.second_stage_at={spec.second_stage_at} is update {drop}: it "
      f"must be after optimizer.warmup={spec.warmup} and before the end, {end}"
    )
  reached = peak + (last - peak) * (drop - spec.warmup) / (end - spec.warmup)
  second = spec.second_stage_share * reached
  return optax.join_schedules(
    [
      optax.linear_schedule(0.0, peak, spec.warmup),
      optax.linear_schedule(peak, reached, drop - spec.warmup),
      optax.linear_schedule(second, last, end - drop),
    ],
    [spec.warmup, drop],
  )


def weight_decay(spec: OptimizerSpec) -> float | optax.Schedule:
  """The decay of latent weights by updates done: off from `decay_until` on."""
  if spec.decay_until >= 1:
    return spec.weight_decay
  off = round(spec.decay_until * spec.updates)
  return optax.piecewise_constant_schedule(spec.weight_decay, {off: 0.0})


def optimizer(spec: OptimizerSpec) -> optax.GradientTransformation:
  """Builds the gradient transformation.

  Matrices (leaves named "kernel") take Muon (Jordan et al. 2024): momentum,
  orthogonalized, at `muon_scale` times the learning rate. Controls, and what
  stands under "precision", stay as they are. All else takes Adam.

  Weight decay is decoupled (AdamW): each update takes the matrix's own learning
  rate times the decay off its latent weights. It is for matrices alone:
  embeddings, norms and learned quantizer steps are never decayed, for a norm or
  a step that shrinks is a change of scale and no simpler model.

  Raises:
    ValueError: a name is not known, or the stages do not fit the updates.
  """
  adam = optax.scale_by_adam(spec.b1, spec.b2)
  muon = _stacked(contrib.scale_by_muon(weight_dimension_numbers=_matrices))
  if spec.name not in ("muon", "adamw"):
    raise ValueError(f"optimizer.name={spec.name!r} must be 'muon' or 'adamw'")
  matrix: optax.GradientTransformation = optax.chain(
    muon if spec.name == "muon" else adam,
    optax.add_decayed_weights(weight_decay(spec)),
    optax.scale(spec.muon_scale if spec.name == "muon" else 1.0),
  )
  rules: Any = {
    "matrix": matrix,
    "other": adam,
    "control": optax.set_to_zero(),
  }
  return optax.chain(
    optax.clip_by_global_norm(spec.clip),
    optax.partition(rules, _labels),
    optax.scale_by_learning_rate(schedule(spec)),
  )


def _labels(params: Any) -> Any:
  def label(path, _):
    name = getattr(path[-1], "key", None)
    if name in CONTROLS or getattr(path[0], "key", None) == "precision":
      return "control"
    return "matrix" if name == "kernel" else "other"

  return jax.tree_util.tree_map_with_path(label, params)


def _matrices(updates: Any) -> Any:
  """Leaves are stacks [n, I, O] of matrices of one shape."""
  numbers = contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
  return jax.tree.map(lambda _: numbers, updates)


def _stacked(
  inner: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Hands leaves of one shape to `inner` as one stack: fewer, larger products.

  Muon treats each matrix by itself, so stacking changes no value.
  """

  def stack(tree: Any) -> dict[str, jax.Array]:
    groups: dict[str, list[jax.Array]] = {}
    for leaf in jax.tree.leaves(tree):
      name = "x".join(map(str, leaf.shape))
      groups.setdefault(name, []).append(leaf)
    return {name: jnp.stack(leaves) for name, leaves in groups.items()}

  def unstack(groups: Any, like: Any) -> Any:
    following = {name: iter(stack) for name, stack in groups.items()}
    return jax.tree.map(
      lambda leaf: next(following["x".join(map(str, leaf.shape))]), like
    )

  def init(params: Any) -> Any:
    return inner.init(stack(params))

  def update(updates: Any, state: Any, params: Any = None) -> Any:
    del params
    done, state = inner.update(stack(updates), state)
    return unstack(done, updates), state

  return optax.GradientTransformation(init, update)
