"""The optax chain: Muon or AdamW for matrices, AdamW for everything else."""

from typing import Any, NamedTuple

import jax
import optax
from optax import contrib


class OptimizerSpec(NamedTuple):
  """What the optimizer is made of; see `config.py` for units and meaning."""

  name: str
  learning_rate: float
  muon_scale: float
  final_share: float
  warmup: int
  updates: int
  b1: float
  b2: float
  weight_decay: float
  clip: float


def schedule(spec: OptimizerSpec) -> optax.Schedule:
  """Linear warm-up, then a cosine to `final_share` of the peak."""
  return optax.warmup_cosine_decay_schedule(
    0.0,
    spec.learning_rate,
    spec.warmup,
    max(spec.updates, spec.warmup + 1),
    spec.learning_rate * spec.final_share,
  )


def optimizer(spec: OptimizerSpec) -> optax.GradientTransformation:
  """Builds the gradient transformation.

  Matrices (leaves named "kernel") take Muon (Jordan et al. 2024): momentum,
  orthogonalized, times `muon_scale`. All else takes AdamW.

  Raises:
    ValueError: the name is neither "muon" nor "adamw".
  """
  adamw = optax.chain(
    optax.scale_by_adam(spec.b1, spec.b2),
    optax.add_decayed_weights(spec.weight_decay),
  )
  muon = optax.chain(
    contrib.scale_by_muon(weight_dimension_numbers=_matrices),
    optax.scale(spec.muon_scale),
    optax.add_decayed_weights(spec.weight_decay),
  )
  if spec.name not in ("muon", "adamw"):
    raise ValueError(f"optimizer.name={spec.name!r} must be 'muon' or 'adamw'")
  rules = {"matrix": muon if spec.name == "muon" else adamw, "other": adamw}
  return optax.chain(
    optax.clip_by_global_norm(spec.clip),
    optax.partition(rules, _labels),
    optax.scale_by_learning_rate(schedule(spec)),
  )


def _labels(params: Any) -> Any:
  def label(path, _):
    name = getattr(path[-1], "key", None)
    return "matrix" if name == "kernel" else "other"

  return jax.tree_util.tree_map_with_path(label, params)


def _matrices(updates: Any) -> Any:
  return jax.tree.map(lambda _: contrib.MuonDimensionNumbers(), updates)
