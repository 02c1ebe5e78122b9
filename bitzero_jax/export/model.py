"""A model as it ships: integer codes and their scales, nothing latent.

Shapes: I = input features, O = output features. Paths are keys of the parameter
tree joined by "/".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from bitzero_jax.language import grammar
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import base, tree
from bitzero_jax.quant.base import Quantizer, QuantSpec

EPS = Transformer.eps  # inside every norm


class Matrix(NamedTuple):
  """One quantized kernel: its value is codes * scale.

  Attributes:
    codes: int8 [I, O]; float32 where the quantizer keeps floats.
    scale: float32 [] or [1, O].
    spec: of the quantizer that packs and unpacks the codes.
  """

  codes: np.ndarray
  scale: np.ndarray
  spec: QuantSpec


class Model(NamedTuple):
  """What is shipped.

  Attributes:
    config: the run's frozen config.
    round: of the checkpoint.
    matrices: the kernels, by path.
    others: every other leaf, float32, by path.
  """

  config: Any
  round: int
  matrices: dict[str, Matrix]
  others: dict[str, np.ndarray]


def transformer(config: Any) -> Transformer:
  """What has the leaves of a run's model; it quantizes no activations."""
  c = config.model
  return Transformer(
    grammar.VOCABULARY, c.width, c.layers, c.heads, c.kv_heads, c.hidden
  )


def of_params(
  config: Any,
  number: int,
  params: Mapping[str, Any],
  quantizer: Quantizer,
  choice: tree.Choice,
) -> Model:
  """Quantizes the latent parameters of a run, once and for all.

  Args:
    config: the run's frozen config.
    number: the checkpoint's round.
    params: {"model": ..., "quant": ...}, all kernels [I, O].
    quantizer: that the run trained with; says the codes.
    choice: for each kernel the one that packs its codes, with as many planes
      as the kernel has.
  """
  rows = tree.kernels(params["model"], params["quant"])

  @jax.jit  # one program to compile, not one for each kernel
  def code(rows: Any) -> dict[str, base.Coded]:
    return {path: quantizer.quantize(*row) for path, row in rows.items()}

  coded = jax.device_get(code(rows))
  matrices = {
    path: Matrix(
      np.asarray(codes),
      np.asarray(scale),
      (choice if isinstance(choice, Quantizer) else choice(path)).spec,
    )
    for path, (codes, scale) in coded.items()
  }
  leaves = traverse_util.flatten_dict(dict(params["model"]), sep="/")
  others = {
    path: np.asarray(leaf)
    for path, leaf in leaves.items()
    if path not in matrices
  }
  return Model(config, number, matrices, others)


def weights(model: Model) -> dict[str, Any]:
  """What the forward pass multiplies with, bit for bit as in training.

  Returns:
    The parameter tree of `Transformer`, float32.
  """

  @jax.jit
  def restore(coded: Any) -> dict[str, jax.Array]:
    return {
      path: base.dequantize(codes, scale, jnp.float32)
      for path, (codes, scale) in coded.items()
    }

  coded = {path: (m.codes, m.scale) for path, m in model.matrices.items()}
  leaves = restore(coded) | jax.tree.map(jnp.asarray, model.others)
  return traverse_util.unflatten_dict(leaves, sep="/")
