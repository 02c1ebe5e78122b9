"""How quantized weights fare in training: flips, zeros, dead outputs, scales.

Letters: I = input features, O = output features, L = layers of a stack, N =
matrices of a model that have codes, each layer of a stack counted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.quant import base
from bitzero_jax.quant.base import Quantizer
from bitzero_jax.quant.tree import (
  ONE_DEVICE,
  Choice,
  Layout,
  Tree,
  kernels,
  together,
)


class _Counts(NamedTuple):
  """Of one matrix: int32 [], but `scale` and `drift` float32 []."""

  weights: jax.Array
  flips: jax.Array
  zeros: jax.Array
  clipped: jax.Array
  outputs: jax.Array
  dead: jax.Array
  scale: jax.Array
  drift: jax.Array


def measure(
  quantizer: Choice,
  before: Tree,
  after: Tree,
  quant_params_before: Tree,
  quant_params_after: Tree,
  layout: Layout = ONE_DEVICE,
) -> dict[str, jax.Array]:
  """Measures a model's codes, and what became of them since an earlier state.

  `ternary/...`, float32 [], over all matrices together:

  - `flip_rate`: share of codes that differ between the two states. 0 early in
    training: steps too small to move a latent weight over a threshold. High to
    the end: weights that swing about one.
  - `zero_share`: share of codes that are 0. Gaussian weights under absmean have
    0.31.
  - `clipped_share`: share of weights that the quantizer passes no gradient to,
    because they lie beyond the largest code of a learned step. Always 0 where
    the gradient is the identity. Near 1: the step has shrunk to its floor.
  - `dead_outputs`: share of output features whose codes are all 0, so that
    they say nothing whatever comes in.
  - `scale_drift`: mean over matrices of |ln(scale after / scale before)|.

  `ternary/kernels/...`, float32 [N], of each matrix by itself: all of these but
  the drift, and `scale`, the quantizer's (its mean over O where columns have
  their own). Matrices are sorted by path; a stack [L, I, O] gives L values.

  A quantizer without codes (`identity`) has none of this: its matrices are left
  out, and a model of them alone gives an empty dict.

  Args:
    quantizer: one for all kernels, or a function of the path.
    before: nested dict of arrays.
    after: nested dict with the same kernels.
    quant_params_before: learned numbers that belong to `before`.
    quant_params_after: learned numbers that belong to `after`.
    layout: of the kernels.

  Raises:
    ValueError: there is no kernel, or the two trees have different ones.
  """
  old = kernels(before, quant_params_before)
  new = kernels(after, quant_params_after)
  if not old or _shapes(old) != _shapes(new):
    raise ValueError(
      "both trees must hold the same kernels, and at least one: got "
      f"{_shapes(old)} and {_shapes(new)}"
    )
  rows = {path: (*old[path], *new[path]) for path in old}
  found = together(quantizer, _counting, rows, layout)
  coded = [found[path] for path in sorted(found) if found[path] is not None]
  if not coded:
    return {}
  counts = jax.tree.map(
    lambda *values: jnp.concatenate([jnp.atleast_1d(v) for v in values]), *coded
  )
  shares = {
    "flip_rate": (counts.flips, counts.weights),
    "zero_share": (counts.zeros, counts.weights),
    "clipped_share": (counts.clipped, counts.weights),
    "dead_outputs": (counts.dead, counts.outputs),
  }
  metrics = {"ternary/scale_drift": jnp.mean(counts.drift)}
  for name, (part, whole) in shares.items():
    metrics[f"ternary/{name}"] = _share(part.sum(), whole.sum())
    metrics[f"ternary/kernels/{name}"] = _share(part, whole)
  return metrics | {"ternary/kernels/scale": counts.scale}


def _share(part: jax.Array, whole: jax.Array) -> jax.Array:
  return part.astype(jnp.float32) / whole.astype(jnp.float32)


def _counting(chosen: Quantizer) -> Callable[..., _Counts | None]:
  """The function of one matrix; it gives None where there are no codes."""

  def count(old, old_learned, new, new_learned):
    codes, scale = chosen.quantize(new, new_learned)
    if not jnp.issubdtype(codes.dtype, jnp.integer):
      return None
    earlier, earlier_scale = chosen.quantize(old, old_learned)
    slope = jax.grad(lambda w: jnp.sum(chosen.fake_quant(w, new_learned)))(new)
    zero = codes == 0
    now, then = jnp.mean(scale), jnp.mean(earlier_scale)
    ratio = jnp.maximum(now, base.EPS) / jnp.maximum(then, base.EPS)
    return _Counts(
      weights=jnp.int32(codes.size),
      flips=jnp.sum(codes != earlier),
      zeros=jnp.sum(zero),
      clipped=jnp.sum(slope == 0),
      outputs=jnp.int32(codes.shape[1]),
      dead=jnp.sum(jnp.all(zero, axis=0)),
      scale=now,
      drift=jnp.abs(jnp.log(ratio)),
    )

  return count


def _shapes(
  found: dict[str, tuple[jax.Array, Any]],
) -> dict[str, tuple[int, ...]]:
  return {path: leaf.shape for path, (leaf, _) in found.items()}
