"""The weights of fused decoding, from those of a `Transformer`.

Shapes: D = width, V = vocabulary, I and O = input and output features.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bitzero_jax.models.fused import Head, Layer, Weights
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant.base import Packed
from pallas_kernels.ternary_matmul import api

# What of a `Transformer` is computed here.
_FORM = {
  "activation": "relu2",
  "sub_norms": True,
  "qkv_biases": False,
  "tied_head": True,
  "rope_scaling": None,
}


def integer_head(embedding: jax.Array) -> Head:
  """Rounds each row of an embedding [V, D], float, to 8 bits."""
  wide = embedding.astype(jnp.float32)
  scale = jnp.max(jnp.abs(wide), axis=1) / 127
  scale = jnp.maximum(scale, jnp.finfo(jnp.float32).tiny)
  return Head(jnp.round(wide / scale[:, None]).astype(jnp.int8), scale)


def together(parts: list[Packed], implementation: str = api.AUTO) -> api.Weight:
  """Packed matrices of the same input, side by side as one.

  Args:
    parts: [I, O] each, of as many planes; a scale becomes one of each column.
    implementation: as for `api.prepare`.

  Raises:
    ValueError: they differ in planes or inputs.
  """
  shapes = [(len(part.planes), part.shape[0]) for part in parts]
  if len(set(shapes)) > 1:
    raise ValueError(f"(planes, inputs) must be the same, got {shapes}")
  scales = [jnp.broadcast_to(part.scale, (1, part.shape[1])) for part in parts]
  return api.prepare(
    jnp.concatenate([part.planes for part in parts], axis=1),
    jnp.concatenate(scales, axis=1),
    parts[0].shape[0],
    implementation=implementation,
    dtype="int8",
  )


def from_packed(
  tree: Mapping[str, Any],
  model: Transformer,
  *,
  implementation: str = api.AUTO,
  integers: bool = False,
) -> Weights:
  """A model from a tree of `Packed` leaves, named as `Transformer` names them.

  Its `eps` is for `fused_parts.packed`, its `rope_theta` for `fused.decode`.

  Args:
    tree: from `quant.tree.pack_tree`.
    model: whose weights they are: BitNet b1.58 2B4T's form, with the activation
      "relu2", norms inside the blocks, no biases, the embedding as the head,
      and wavelengths as they are.
    implementation: as for `api.prepare`.
    integers: an 8-bit head.

  Raises:
    ValueError: the model has another form, or matrices of the same input have
      different numbers of planes.
  """
  for name, wanted in _FORM.items():
    if getattr(model, name) != wanted:
      raise ValueError(f"{name}={getattr(model, name)!r} must be {wanted!r}")

  def block(leaf):
    attention, mlp = leaf["self_attn"], leaf["mlp"]

    def joined(part, *names):
      held = [part[f"{name}_proj"]["kernel"] for name in names]
      return together(held, implementation)

    return Layer(
      leaf["input_layernorm"]["scale"],
      joined(attention, "q", "k", "v"),
      attention["attn_sub_norm"]["scale"],
      joined(attention, "o"),
      leaf["post_attention_layernorm"]["scale"],
      joined(mlp, "gate", "up"),
      mlp["ffn_sub_norm"]["scale"],
      joined(mlp, "down"),
    )

  embedding = tree["embed_tokens"]["embedding"].astype(model.dtype)
  layers = [block(tree[f"layers_{number}"]) for number in range(model.layers)]
  head = integer_head(embedding) if integers else embedding
  return Weights(embedding, tuple(layers), tree["norm"]["scale"], head)
