"""What llama.cpp computes from an exported model, in JAX.

Training gives each token one activation scale; ggml gives one to every 256 or
32 inputs of a product, by the block type of the weights. Nothing else differs,
so this forward pass and llama.cpp agree to the rounding of float32, and a
difference beyond it is a broken export.

Shapes: B = rows, T = columns, I and O = input and output features, D = width,
H = head width, V = vocabulary.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.export import extras
from bitzero_jax.export.gguf import EMBEDDING, Placed
from bitzero_jax.export.model import EPS, Model
from bitzero_jax.language.grammar import PAD
from bitzero_jax.models import layers
from bitzero_jax.models.attention import attend

_TOP = np.float32(127)

Product = Callable[[str, jax.Array], jax.Array]


def forward(
  model: Model, placed: Mapping[str, Placed]
) -> Callable[[jax.Array], jax.Array]:
  """The forward pass of a model as a file holds it.

  Args:
    model: what is shipped.
    placed: its tensors, from `gguf.place`.

  Returns:
    tokens int32 [B, T] -> logits float32 [B, T, V]; a PAD column is read by
    none, and what comes out there means nothing. Jitted.
  """
  codes = {
    path: (jnp.asarray(m.codes, jnp.float32), jnp.asarray(placed[path].scale))
    for path, m in model.matrices.items()
  }
  scales = jax.tree.map(jnp.asarray, model.others)
  table = jnp.asarray(embedding(placed[EMBEDDING]))
  numbers = (codes, scales, table)

  @jax.jit
  def run(numbers: Any, tokens: jax.Array) -> jax.Array:
    codes, scales, table = numbers

    def product(path: str, x: jax.Array) -> jax.Array:
      weight, scale = codes[path]
      rounded = round_inputs(x, placed[path].carrier.activations)
      return layers.project(rounded, weight) * scale

    def norm(path: str, x: jax.Array) -> jax.Array:
      unit: jax.Array = layers.to_unit_rms(x, EPS, True)
      return unit * scales[f"{path}/scale"]

    x = _blocks(model.config.model, product, norm, table[tokens], tokens)
    x = norm("norm", x)
    x = round_inputs(x, placed[EMBEDDING].carrier.activations)
    return layers.project(x, table.T)

  return lambda tokens: run(numbers, tokens)


def _blocks(
  shape: Any, product: Product, norm: Product, x: jax.Array, tokens: jax.Array
) -> jax.Array:
  """The residual stream [B, T, D] after all blocks; `shape` is config.model."""
  batch, columns = tokens.shape
  column = jnp.arange(columns, dtype=jnp.int32)
  positions = jnp.broadcast_to(column, tokens.shape)
  width = shape.width // shape.heads
  cos, sin = layers.rotary_angles(positions, width, shape.rope_theta)
  visible = jnp.tri(columns, dtype=jnp.bool_) & (tokens != PAD)[:, None]
  for index in range(shape.layers):
    at, block = f"layers_{index}/self_attn", f"layers_{index}"
    n = norm(f"{block}/input_layernorm", x)
    q, k, v = (
      product(f"{at}/{name}_proj/kernel", n).reshape(batch, columns, -1, width)
      for name in "qkv"
    )
    q, k = layers.rotate(q, cos, sin), layers.rotate(k, cos, sin)
    read = attend(q, k, v, visible).reshape(x.shape)
    read = norm(f"{at}/attn_sub_norm", read)
    x = x + product(f"{at}/o_proj/kernel", read)
    n = norm(f"{block}/post_attention_layernorm", x)
    gate = jax.nn.silu(product(f"{block}/mlp/gate_proj/kernel", n))
    inner = gate * product(f"{block}/mlp/up_proj/kernel", n)
    inner = norm(f"{block}/mlp/ffn_sub_norm", inner)
    x = x + product(f"{block}/mlp/down_proj/kernel", inner)
  return x


def round_inputs(x: jax.Array, activations: int) -> jax.Array:
  """Inputs of a product as ggml rounds them, [..., I] float32.

  Args:
    x: [..., I] float32.
    activations: as in `Carrier`.
  """
  if activations == 0:
    return x
  if activations == 16:
    return x.astype(jnp.float16).astype(jnp.float32)
  blocks = x.reshape(*x.shape[:-1], -1, activations)
  largest = jnp.max(jnp.abs(blocks), axis=-1, keepdims=True)
  safe = jnp.where(largest > 0, largest, 1.0)
  # A quotient by a constant must not become a product with its inverse.
  up, down = jax.lax.optimization_barrier((_TOP / safe, safe / _TOP))
  codes = jnp.round(blocks * up)
  if activations == 256:
    step = 1 / up
  else:
    step = down.astype(jnp.float16).astype(jnp.float32)
  return (codes * step).reshape(x.shape)


def embedding(held: Placed) -> np.ndarray:
  """An embedding as llama.cpp reads it back: float32 [V, D]."""
  library = extras.need("gguf")
  kind = library.GGMLQuantizationType(held.carrier.number)
  table = library.quants.dequantize(held.data, kind)
  return np.asarray(table, np.float32).reshape(held.shape)
