"""One token through the decoder in as few kernels as it takes.

`Transformer.decode` is one instruction after the other; with packed weights
most of its time is then launches. Here a layer is nine: norm and rounding, qkv
in one product, attention, norm and rounding, the output matrix with the
residual stream added, norm and rounding, gate and up in one product, the gate
with norm and rounding, the last matrix with the residual stream added.

Shapes: B = rows, D = width, F = hidden, N and KV = query and key/value heads,
H = head width, S = slots, V = vocabulary.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.models.layers import rotary_angles
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant.base import Packed
from pallas_kernels import decode_attention
from pallas_kernels.ternary_matmul import api, norm_quantize

_OVERFULL = 132  # programs: a multiprocessor of an H100 each


class Layer(NamedTuple):
  """Weights of a block: packed (`api.Weight`), or floats [I, O].

  Attributes:
    before, read, middle: [D], gains of the norms in front of qkv, o, gate_up.
    inner: [F], gain of the norm in front of down.
    qkv: D -> (N + 2 KV) H.
    o: D -> D.
    gate_up: D -> 2 F, the gate first.
    down: F -> D.
  """

  before: jax.Array
  qkv: Any
  read: jax.Array
  o: Any
  middle: jax.Array
  gate_up: Any
  inner: jax.Array
  down: Any


class Head(NamedTuple):
  """The embedding as integers: codes int8 [V, D], scale float32 [V]."""

  codes: jax.Array
  scale: jax.Array


class Weights(NamedTuple):
  """A model.

  Attributes:
    embedding: [V, D].
    layers: all blocks.
    last: [D], gain of the last norm.
    head: what logits are multiplied with, the embedding or its integers.
  """

  embedding: jax.Array
  layers: tuple[Layer, ...]
  last: jax.Array
  head: jax.Array | Head


class State(NamedTuple):
  """What decoding carries.

  Attributes:
    keys, values: of each layer [B, S, KV, H].
    seen: [B, S], int8, 1 for earlier slots that may be read.
    column: [], int32, where the next token is written.
  """

  keys: tuple[jax.Array, ...]
  values: tuple[jax.Array, ...]
  seen: jax.Array
  column: jax.Array


class Parts(NamedTuple):
  """How it is computed.

  Attributes:
    norm: (x [B, D], gain) -> what `product` takes.
    gate: (x [B, 2 F], gain) -> the same, of the squared-ReLU gate.
    product: (given, weight, residual [B, O] or None) -> [B, O].
    attend: as `decode_attention.base`.
  """

  norm: Callable[[jax.Array, jax.Array], Any]
  gate: Callable[[jax.Array, jax.Array], Any]
  product: Callable[[Any, Any, jax.Array | None], jax.Array]
  attend: Callable[..., tuple[jax.Array, jax.Array, jax.Array]]


def floats(eps: float = 1e-5) -> Parts:
  """XLA's products of floats, activations not rounded: what to compare with."""

  def norm(x, gain):
    wide = x.astype(jnp.float32)
    power = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
    return (wide * jax.lax.rsqrt(power + eps)).astype(x.dtype) * gain.astype(
      x.dtype
    )

  def gate(x, gain):
    left, right = jnp.split(x, 2, axis=-1)
    return norm(jnp.square(jax.nn.relu(left)) * right, gain)

  def product(given, weight, residual):
    out = given @ weight
    return out if residual is None else out + residual

  return Parts(norm, gate, product, decode_attention.base)


def packed(
  dtype: Any,
  *,
  kernels: bool,
  implementation: str | None = None,
  interpret: bool = False,
  eps: float = 1e-5,
) -> Parts:
  """8-bit activations times packed weights.

  Args:
    dtype: of the residual stream.
    kernels: Triton's for norm and attention, as for an NVIDIA GPU; else plain
      XLA.
    implementation: of the products, None for the one that the weights were
      prepared for.
    interpret: run kernels on the CPU; for tests.
    eps: added to the mean square.
  """

  def product(given, weight, residual):
    codes, scale = given
    return api.ternary_matmul(
      codes,
      weight,
      x_scale=scale,
      out_dtype=dtype,
      residual=residual,
      implementation=implementation,
      interpret=interpret,
    )

  if not kernels:
    return Parts(
      lambda x, gain: norm_quantize.base(x, gain, eps=eps),
      lambda x, gain: norm_quantize.gated_base(x, gain, eps=eps),
      product,
      decode_attention.base,
    )

  def norm(x, gain):
    return norm_quantize.triton(x, gain, eps=eps, interpret=interpret)

  def gate(x, gain):
    return norm_quantize.triton(
      x, gain, eps=eps, gated=True, warps=8, interpret=interpret
    )

  def attend(qkv, keys, *rest):
    few = len(qkv) * keys.shape[2] < _OVERFULL
    block = min(64, keys.shape[1])
    return decode_attention.triton(
      qkv,
      keys,
      *rest,
      share=1 if few else None,
      block=block,
      interpret=interpret,
    )

  return Parts(norm, gate, product, attend)


def decode(
  parts: Parts,
  weights: Weights,
  token: jax.Array,
  state: State,
  *,
  theta: float = 10000.0,
) -> tuple[jax.Array, State]:
  """Reads one more token in every row.

  Args:
    parts: how.
    weights: the model; the embedding's dtype is that of the residual stream.
    token: [B], int32.
    state: with a slot left, which is not checked.
    theta: base of the rotary wavelengths.

  Returns:
    Logits [B, V], float32, and the state, one column on.
  """
  batch = len(token)
  width = state.keys[0].shape[3]
  place = jnp.broadcast_to(state.column, (batch, 1))
  cos, sin = (a[:, 0, 0] for a in rotary_angles(place, width, theta))
  x = weights.embedding[token]
  keys, values = [], []
  for number, layer in enumerate(weights.layers):
    qkv = parts.product(parts.norm(x, layer.before), layer.qkv, None)
    read, key, value = parts.attend(
      qkv.reshape(batch, -1, width),
      state.keys[number],
      state.values[number],
      state.seen,
      state.column,
      cos,
      sin,
    )
    keys.append(key)
    values.append(value)
    given = parts.norm(read.reshape(batch, -1), layer.read)
    x = parts.product(given, layer.o, x)
    both = parts.product(parts.norm(x, layer.middle), layer.gate_up, None)
    x = parts.product(parts.gate(both, layer.inner), layer.down, x)
  seen = state.seen.at[:, state.column].set(1)
  state = State(tuple(keys), tuple(values), seen, state.column + 1)
  return _logits(parts, weights, x), state


def _logits(parts: Parts, weights: Weights, x: jax.Array) -> jax.Array:
  head = weights.head
  across = (((1,), (1,)), ((), ()))
  if isinstance(head, Head):
    codes, scale = norm_quantize.base(x, weights.last)
    total = jax.lax.dot_general(
      codes, head.codes, across, preferred_element_type=jnp.int32
    )
    return total.astype(jnp.float32) * scale * head.scale
  given = floats().norm(x, weights.last)
  return jax.lax.dot_general(
    given, head, across, preferred_element_type=jnp.float32
  )


def integer_head(embedding: jax.Array) -> Head:
  """Rounds each row of an embedding [V, D] to 8 bits."""
  wide = embedding.astype(jnp.float32)
  scale = jnp.max(jnp.abs(wide), axis=1) / 127
  scale = jnp.maximum(scale, jnp.finfo(jnp.float32).tiny)
  return Head(jnp.round(wide / scale[:, None]).astype(jnp.int8), scale)


def together(parts: list[Packed], implementation: str = api.AUTO) -> api.Weight:
  """Packed matrices of the same input, side by side as one.

  Args:
    parts: of as many planes each; a scale becomes one of each column.
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
  )


def from_packed(
  tree: Mapping[str, Any],
  model: Transformer,
  *,
  implementation: str = api.AUTO,
  integers: bool = False,
) -> Weights:
  """A model from a tree of `Packed` leaves, named as `Transformer` names them.

  Args:
    tree: from `quant.pack_tree`.
    model: whose weights they are; its activation is "relu2".
    implementation: as for `api.prepare`.
    integers: an 8-bit head.

  Raises:
    ValueError: another activation.
  """
  if model.activation != "relu2":
    raise ValueError(f"activation={model.activation!r} must be 'relu2'")

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


def empty(
  layers: int, batch: int, slots: int, kv: int, width: int, dtype: Any
) -> State:
  """A state of `slots` columns that holds nothing."""
  shape = (batch, slots, kv, width)
  return State(
    tuple(jnp.zeros(shape, dtype) for _ in range(layers)),
    tuple(jnp.zeros(shape, dtype) for _ in range(layers)),
    jnp.zeros((batch, slots), jnp.int8),
    jnp.zeros((), jnp.int32),
  )
