"""What llama.cpp computes from an exported model, in JAX.

Training gives each token one activation scale; ggml gives one to every 256 or
32 inputs of a product, by the block type of the weights. Nothing else differs,
so a difference beyond the rounding of float32 is a broken export.

Each operation of ggml's graph is worked out in float64 and rounded to float32
once. ggml's own sums round on the way, in an order that each CPU has for
itself, so inputs of a product differ by some 1e-7. Where that is across the
middle between two codes the code differs by one, and the row by up to a
percent: a tie, which neither side breaks better. `heard` breaks it as llama.cpp
did, and only then.

Shapes: B = rows, T = columns, I and O = input and output features, D = width,
H = head width, N = query heads, V = vocabulary.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import optimization_barrier

from bitzero_jax.export import extras
from bitzero_jax.export.gguf import EMBEDDING, Placed
from bitzero_jax.export.model import EPS, Model
from bitzero_jax.language.grammar import PAD

# Inputs of products, by the names of ggml's graph; "-" and the block's number
# follow, but for the last.
NORMS = ("attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm")
LAST = "result_norm"
# What two roundings of the same number may differ by, as a part of the largest
# of its block; a code is 8e-3 of it.
SLACK = 2e-5
_TOP = np.float32(127)

Product = Callable[[str, jax.Array, jax.Array | None], jax.Array]
Norm = Callable[[str, jax.Array], jax.Array]


def forward(
  model: Model, placed: Mapping[str, Placed], first: int = 0
) -> Callable[..., np.ndarray]:
  """The forward pass of a model as a file holds it.

  Args:
    model: what is shipped.
    placed: its tensors, from `gguf.place`.
    first: position of the first column; angles are rounded by it.

  Returns:
    (tokens int32 [B, T], heard=None) -> logits float32 [B, T, V]; a PAD column
    is read by none, and what comes out there means nothing. `heard` holds
    inputs of products by ggml's name, float32 [B, T, I], from `listener`:
    an input that agrees with them to SLACK is rounded as they are. It raises
    ValueError where `heard` has another name or another shape.
  """
  codes = {
    path: (matrix.codes, placed[path].scale)
    for path, matrix in model.matrices.items()
  }
  numbers = (codes, model.others, embedding(placed[EMBEDDING]))

  @jax.jit
  def run(numbers: Any, tokens: jax.Array, heard: Any) -> jax.Array:
    codes, scales, table = numbers

    def product(path: str, x: jax.Array, theirs: jax.Array | None) -> jax.Array:
      weight, scale = codes[path]
      rounded = round_as(x, theirs, placed[path].carrier.activations)
      # Else the last product may become one instruction with what follows.
      return optimization_barrier(_once(jnp.matmul, rounded, weight) * scale)

    def norm(path: str, x: jax.Array) -> jax.Array:
      return _to_unit_rms(x) * scales[f"{path}/scale"]

    shape = model.config.model
    x = _blocks(shape, product, norm, table[tokens], tokens, first, heard)
    x = norm("norm", x)
    grain = placed[EMBEDDING].carrier.activations
    rounded = round_as(x, heard.get(LAST), grain)
    return _once(jnp.matmul, rounded, table.T)

  def call(
    tokens: jax.Array, heard: Mapping[str, np.ndarray] | None = None
  ) -> np.ndarray:
    _check_heard(heard or {}, model.config.model, tokens.shape)
    with jax.enable_x64(True):
      return np.asarray(run(numbers, tokens, dict(heard or {})))

  return call


def _check_heard(
  heard: Mapping[str, np.ndarray], shape: Any, rows: tuple[int, ...]
) -> None:
  """What had another name would go unheard; another shape would spread."""
  widths = dict.fromkeys(NORMS, shape.width) | {"ffn_sub_norm": shape.hidden}
  for name, inputs in heard.items():
    norm, _, index = name.rpartition("-")
    known = norm in NORMS and index in map(str, range(shape.layers))
    if name != LAST and not known:
      raise ValueError(f"heard {name!r}, which is no input of a product")
    due = (*rows, widths.get(norm, shape.width))
    if inputs.shape != due:
      raise ValueError(f"heard {name} must be {due}, got shape {inputs.shape}")


def _blocks(
  shape: Any,
  product: Product,
  norm: Norm,
  x: jax.Array,
  tokens: jax.Array,
  first: int,
  heard: Mapping[str, jax.Array],
) -> jax.Array:
  """The residual stream [B, T, D] after all blocks; `shape` is config.model."""
  batch, columns = tokens.shape
  width = shape.width // shape.heads
  angles = _angles(first + np.arange(columns), width, shape.rope_theta)
  visible = jnp.tri(columns, dtype=jnp.bool_) & (tokens != PAD)[:, None]
  for index in range(shape.layers):
    at, block = f"layers_{index}/self_attn", f"layers_{index}"

    def hear(name: str, index: int = index) -> jax.Array | None:
      return heard.get(f"{name}-{index}")

    n = norm(f"{block}/input_layernorm", x)
    q, k, v = (
      product(f"{at}/{name}_proj/kernel", n, hear("attn_norm")).reshape(
        batch, columns, -1, width
      )
      for name in "qkv"
    )
    read = _attend(_rotate(q, angles), _rotate(k, angles), v, visible)
    read = norm(f"{at}/attn_sub_norm", read.reshape(x.shape))
    x = x + product(f"{at}/o_proj/kernel", read, hear("attn_sub_norm"))
    n = norm(f"{block}/post_attention_layernorm", x)
    gate, up = (
      product(f"{block}/mlp/{name}_proj/kernel", n, hear("ffn_norm"))
      for name in ("gate", "up")
    )
    inner = norm(f"{block}/mlp/ffn_sub_norm", _once(jax.nn.silu, gate) * up)
    x = x + product(
      f"{block}/mlp/down_proj/kernel", inner, hear("ffn_sub_norm")
    )
  return x


def _once(function: Callable[..., jax.Array], *given: Any) -> jax.Array:
  """A function of float32, worked out in float64, rounded at the end."""
  wide = (jnp.asarray(x, jnp.float64) for x in given)
  return function(*wide).astype(jnp.float32)


def _to_unit_rms(x: jax.Array) -> jax.Array:
  squares = jnp.square(x)
  mean = _once(lambda s: jnp.mean(s, axis=-1, keepdims=True), squares)
  # ggml rounds the root before it divides.
  root = optimization_barrier(jnp.sqrt(mean + np.float32(EPS)))
  return x * (1 / root)


def _angles(positions: np.ndarray, width: int, theta: float) -> Any:
  """Cosines and sines, float32 [T, 1, H / 2], of positions [T].

  The angles are ggml's: of each pair that of the one before, times a rate.
  """
  rate = np.float32(theta ** (-2 / width))
  angle, angles = positions.astype(np.float32), []
  for _ in range(width // 2):
    angles.append(angle.astype(np.float64))
    angle = angle * rate
  turned = np.stack(angles, axis=-1)[:, None]
  return np.cos(turned).astype(np.float32), np.sin(turned).astype(np.float32)


def _rotate(x: jax.Array, angles: Any) -> jax.Array:
  """`layers.rotate`, rounded once."""
  left, right = jnp.split(x, 2, axis=-1)
  turn = (lambda a, b, c, s: a * c - b * s, lambda a, b, c, s: b * c + a * s)
  parts = [_once(part, left, right, *angles) for part in turn]
  return jnp.concatenate(parts, axis=-1)


def _attend(
  queries: jax.Array, keys: jax.Array, values: jax.Array, visible: jax.Array
) -> jax.Array:
  """`attention.attend`, each step rounded once: [B, T, N, H]."""
  group = queries.shape[2] // keys.shape[2]
  keys, values = (jnp.repeat(x, group, axis=2) for x in (keys, values))
  scores = _once(
    lambda q, k: jnp.einsum("bqnh,bknh->bnqk", q, k), queries, keys
  )
  scale = np.float32(queries.shape[-1] ** -0.5)

  def softmax(scores: jax.Array) -> jax.Array:
    hidden = jnp.where(visible[:, None], scores * scale, -1e30)
    return jax.nn.softmax(hidden, axis=-1)

  return _once(
    lambda w, v: jnp.einsum("bnqk,bknh->bqnh", w, v),
    _once(softmax, scores),
    values,
  )


def round_as(
  x: jax.Array, theirs: jax.Array | None, activations: int
) -> jax.Array:
  """`round_inputs`, but as `theirs` are rounded where inputs agree to SLACK.

  Args:
    x: [..., I] float32; `activations` divides I where it is 32 or 256.
    theirs: the same inputs as llama.cpp had them, or None.
    activations: as in `Carrier`.
  """
  mine = round_inputs(x, activations)
  if theirs is None or activations == 0:
    return mine
  grain = 1 if activations == 16 else activations
  blocks = jnp.abs(x).reshape(*x.shape[:-1], -1, grain)
  largest = jnp.broadcast_to(blocks.max(-1, keepdims=True), blocks.shape)
  agrees = jnp.abs(x - theirs) <= SLACK * largest.reshape(x.shape)
  return jnp.where(agrees, round_inputs(theirs, activations), mine)


def round_inputs(x: jax.Array, activations: int) -> jax.Array:
  """Inputs of a product as ggml rounds them, [..., I] float32.

  Args:
    x: [..., I] float32; `activations` divides I where it is 32 or 256.
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
  up, down = optimization_barrier((_TOP / safe, safe / _TOP))
  codes = jnp.round(blocks * up)
  if activations == 256:  # Q8_K keeps the inverse of what it multiplied by
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
