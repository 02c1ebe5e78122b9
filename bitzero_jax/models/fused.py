"""One token through the decoder in as few kernels as it takes.

`Transformer.decode` is one instruction after the other; with packed weights
most of its time is then launches. Here a layer is nine: norm and rounding, qkv
in one product, attention, norm and rounding, the output matrix with the
residual stream added, norm and rounding, gate and up in one product, the gate
with norm and rounding, the last matrix with the residual stream added.

Shapes: B = rows, D = width, F = hidden, N and KV = query and key/value heads,
H = head width, S = slots, V = vocabulary.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.models import fused_parts
from bitzero_jax.models.fused_parts import Parts
from bitzero_jax.models.layers import rotary_angles
from bitzero_jax.models.transformer import PAD
from pallas_kernels.ternary_matmul import norm_quantize


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


def empty(
  layers: int,
  batch: int,
  slots: int,
  kv: int,
  width: int,
  dtype: jax.typing.DTypeLike,
) -> State:
  """A state that holds nothing.

  Args:
    layers: of the model.
    batch: B.
    slots: S, columns that it has place for.
    kv: KV.
    width: H.
    dtype: of keys and values, that of the residual stream.
  """
  shape = (batch, slots, kv, width)
  return State(
    tuple(jnp.zeros(shape, dtype) for _ in range(layers)),
    tuple(jnp.zeros(shape, dtype) for _ in range(layers)),
    jnp.zeros((batch, slots), jnp.int8),
    jnp.zeros((), jnp.int32),
  )


def decode(
  parts: Parts,
  weights: Weights,
  token: jax.Array,
  state: State,
  *,
  theta: float,
) -> tuple[jax.Array, State]:
  """Reads one more token in every row.

  Args:
    parts: how.
    weights: the model; the embedding's dtype is that of the residual stream.
    token: [B], int32. A PAD is stored as not seen: nothing ever reads it, and
      its own logits mean nothing.
    state: with a slot left, which is not checked, since `column` is traced.
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
    x = parts.product(parts.settle(read, layer.read), layer.o, x)
    both = parts.product(parts.norm(x, layer.middle), layer.gate_up, None)
    x = parts.product(parts.gate(both, layer.inner), layer.down, x)
  seen = state.seen.at[:, state.column].set((token != PAD).astype(jnp.int8))
  state = State(tuple(keys), tuple(values), seen, state.column + 1)
  return _logits(parts, weights, x), state


def _logits(parts: Parts, weights: Weights, x: jax.Array) -> jax.Array:
  """The head on the residual stream [B, D]: [B, V], float32."""
  head = weights.head
  across = (((1,), (1,)), ((), ()))
  if isinstance(head, Head):
    codes, scale = norm_quantize.base(x, weights.last, eps=parts.eps)
    total = jax.lax.dot_general(
      codes, head.codes, across, preferred_element_type=jnp.int32
    )
    return total.astype(jnp.float32) * scale * head.scale
  given = fused_parts.floats(eps=parts.eps).norm(x, weights.last)
  return jax.lax.dot_general(
    given, head, across, preferred_element_type=jnp.float32
  )
