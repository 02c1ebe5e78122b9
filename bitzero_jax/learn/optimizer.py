"""The optax chain: Muon or AdamW for matrices, AdamW for everything else."""

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
  orthogonalized, times `muon_scale`. Controls, and what stands under
  "precision", stay as they are: others set them. All else takes AdamW.

  Raises:
    ValueError: the name is neither "muon" nor "adamw".
  """
  adamw: optax.GradientTransformation = optax.chain(
    optax.scale_by_adam(spec.b1, spec.b2),
    optax.add_decayed_weights(spec.weight_decay),
  )
  muon: optax.GradientTransformation = optax.chain(
    _stacked(contrib.scale_by_muon(weight_dimension_numbers=_matrices)),
    optax.scale(spec.muon_scale),
    optax.add_decayed_weights(spec.weight_decay),
  )
  if spec.name not in ("muon", "adamw"):
    raise ValueError(f"optimizer.name={spec.name!r} must be 'muon' or 'adamw'")
  matrix = muon if spec.name == "muon" else adamw
  rules: Any = {
    "matrix": matrix,
    "other": adamw,
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
