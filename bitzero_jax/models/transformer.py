"""The BitNet decoder: tokens in, logits out, with or without a cache.

Four switches make it Llama's or Qwen2's, whose checkpoints are a start for
ternary weights.

Weights are used as they come: whoever wants ternary weights hands `apply` a
parameter tree whose "kernel" leaves are already quantized. Activations are
quantized inside, by `quantize_activations`.

Shapes: B = rows, T = columns, Q = the last columns of T whose output is wanted,
P = prompt columns, S = slots of the cache, D = width, V = vocabulary.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from bitzero_jax.models import axes
from bitzero_jax.models import cache as cache_lib
from bitzero_jax.models.attention import Attention
from bitzero_jax.models.layers import (
  ACTIVATIONS,
  ActivationQuantizer,
  GatedMLP,
  Place,
  RMSNorm,
  as_it_is,
  rotary_angles,
)
from bitzero_jax.models.rope_scaling import RopeScaling

PAD = 0
# What of a block the backward pass keeps; "none" is of no rematerialization.
REMAT: dict[str, Any] = {
  "none": None,
  "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  "full": jax.checkpoint_policies.nothing_saveable,
}


def identity(x: jax.Array) -> jax.Array:
  """The activation quantizer that changes nothing."""
  return x


class Block(nn.Module):
  """Attention, then feed-forward, each added to the residual stream."""

  width: int
  heads: int
  kv_heads: int
  hidden: int
  activation: str
  eps: float
  out_gain: float
  quantize: ActivationQuantizer
  place: Place
  sub_norms: bool
  qkv_biases: bool

  def setup(self):
    self.input_layernorm = RMSNorm(self.eps)
    self.self_attn = Attention(
      width=self.width,
      heads=self.heads,
      kv_heads=self.kv_heads,
      eps=self.eps,
      out_gain=self.out_gain,
      quantize=self.quantize,
      place=self.place,
      sub_norms=self.sub_norms,
      qkv_biases=self.qkv_biases,
    )
    self.post_attention_layernorm = RMSNorm(self.eps)
    self.mlp = GatedMLP(
      width=self.width,
      hidden=self.hidden,
      activation=self.activation,
      eps=self.eps,
      out_gain=self.out_gain,
      quantize=self.quantize,
      place=self.place,
      sub_norms=self.sub_norms,
    )

  def __call__(self, x, angles, visible, cache, layer):
    """As `Attention.__call__`, where x [B, T, D] is the residual stream."""
    normed = self.input_layernorm(x)
    read, cache = self.self_attn(normed, angles, visible, cache, layer)
    x = x[:, x.shape[1] - visible.shape[1] :] + read
    return x + self.mlp(self.post_attention_layernorm(x)), cache


class Transformer(nn.Module):
  """Decoder-only transformer with BitNet b1.58's placement of norms (SubLN).

  Attributes:
    vocab: V; token ids are 0 ... V - 1, and 0 is PAD.
    width: D.
    layers: number of blocks, at least 1.
    heads: query heads; divides width, and width / heads is even.
    kv_heads: key/value heads; divides heads.
    hidden: inner width of the feed-forward layer.
    activation: gate of the feed-forward layer, "silu" or "relu2".
    rope_theta: base of the rotary wavelengths, above 0.
    eps: added to the mean square inside every norm, above 0.
    dtype: float32 or bfloat16, of activations and cache. Parameters, softmax
      and logits are always float32.
    zero_init_head: start the last norm's scale at zero, so that an untrained
      model gives zero logits: under a mask its policy is then the prior alone.
    quantize_activations: applied to the input of every kernel, [..., I] to the
      same shape and dtype. Not applied to the input of the head.
    place: lays arrays out over the devices of a mesh, by the names of their
      axes: rows are "batch", heads "heads", hidden features "mlp".
    scan: run all blocks but the last as one loop, so that a deep model compiles
      like a shallow one. Parameters are the same either way.
    remat: what the backward pass works out again: "none", "dots" (all but the
      products with kernels) or "full" (each block from its input).
    sub_norms: a norm before each block's two output matrices; Llama has none.
    qkv_biases: added to queries, keys and values, as in Qwen2.
    tied_head: the head is the embedding; else it is "lm_head/embedding" [V, D].
    rope_scaling: of the rotary wavelengths, None for none.

  Raises:
    ValueError: attributes that do not fit together; raised at construction.

  Source: BitNet b1.58 2B4T, arXiv:2504.12285. Parameters are named as in its
  Hugging Face checkpoint.
  """

  vocab: int
  width: int
  layers: int
  heads: int
  kv_heads: int
  hidden: int
  activation: str = "silu"
  rope_theta: float = 10000.0
  eps: float = 1e-5
  dtype: jax.typing.DTypeLike = jnp.float32
  zero_init_head: bool = True
  quantize_activations: ActivationQuantizer = identity
  place: Place = as_it_is
  scan: bool = False
  remat: str = "none"
  sub_norms: bool = True
  qkv_biases: bool = False
  tied_head: bool = True
  rope_scaling: RopeScaling | None = None

  def __post_init__(self):
    _check(self)
    super().__post_init__()

  def setup(self):
    # Rows of length 1: the head multiplies them with vectors of length sqrt(D),
    # so logits have unit variance once the last scale has grown to 1.
    def table() -> nn.Embed:
      return nn.Embed(
        self.vocab,
        self.width,
        dtype=jnp.float32,
        embedding_init=nn.initializers.normal(self.width**-0.5),
      )

    self.embed_tokens = table()
    if not self.tied_head:
      self.lm_head = table()
    self.blocks = [
      self._block(name=f"layers_{index}") for index in range(self.layers)
    ]
    initializers = nn.initializers
    first = initializers.zeros if self.zero_init_head else initializers.ones
    self.norm = RMSNorm(self.eps, first)

  def _block(self, **options) -> Block:
    rematerialized = nn.remat(
      Block, static_argnums=(5,), policy=REMAT[self.remat]
    )
    make = Block if self.remat == "none" else rematerialized
    return make(
      width=self.width,
      heads=self.heads,
      kv_heads=self.kv_heads,
      hidden=self.hidden,
      activation=self.activation,
      eps=self.eps,
      # Two branches a block add up to unit size at the start.
      out_gain=(2 * self.layers) ** -0.5,
      quantize=self.quantize_activations,
      place=self.place,
      sub_norms=self.sub_norms,
      qkv_biases=self.qkv_biases,
      **options,
    )

  def __call__(
    self,
    tokens: jax.Array,
    positions: jax.Array | None = None,
    valid: jax.Array | None = None,
    *,
    last: int | None = None,
  ) -> jax.Array:
    """Returns the logits [B, Q, V] float32. Arguments as in `trunk`."""
    return self.head(self.trunk(tokens, positions, valid, last=last))

  def trunk(
    self,
    tokens: jax.Array,
    positions: jax.Array | None = None,
    valid: jax.Array | None = None,
    *,
    last: int | None = None,
  ) -> jax.Array:
    """All of the model but the head.

    A column reads the valid columns up to itself. PAD may stand anywhere in a
    row; what comes out at a PAD column is finite and means nothing.

    Args:
      tokens: [B, T] int32.
      positions: [B, T] int32, default: the column, padding counted.
      valid: [B, T] bool, columns that may be read, default: tokens != PAD.
      last: Q, only the last Q columns are wanted, default all T. The last
        block then skips the others.

    Returns:
      [B, Q, D] in `dtype`, after the final norm.

    Raises:
      ValueError: tokens is not a matrix, or last is not in 1 ... T.
    """
    _check_matrix(tokens)
    columns = tokens.shape[1]
    if last is not None and not 1 <= last <= columns:
      raise ValueError(f"last={last} must be in 1 ... {columns}, the columns")
    valid = tokens != PAD if valid is None else valid
    if positions is None:
      column = jnp.arange(columns, dtype=jnp.int32)
      positions = jnp.broadcast_to(column, tokens.shape)
    causal = jnp.tri(columns, dtype=jnp.bool_)
    visible = causal & valid[:, None]
    return self._blocks(tokens, positions, visible, last, None)[0]

  def head(self, hidden: jax.Array) -> jax.Array:
    """Maps [..., D], from `trunk`, to logits [..., V] float32."""
    table = self.embed_tokens if self.tied_head else self.lm_head
    if hidden.size == self.width and hidden.dtype == jnp.float32:
      # One row would be a matrix-vector product, as in `attend`.
      twice = table.attend(jnp.repeat(hidden.reshape(1, -1), 2, axis=0))
      return twice[0].reshape(*hidden.shape[:-1], self.vocab)
    return table.attend(hidden.astype(jnp.float32))

  def prefill(
    self, tokens: jax.Array, slots: int
  ) -> tuple[jax.Array, cache_lib.Cache]:
    """Reads prompts that all end in the last column into a new cache.

    Args:
      tokens: [B, P] int32, PAD anywhere but in the last column.
      slots: S, columns of the cache, at least P. Decoding gives the same bits
        as a full forward over exactly S columns.

    Returns:
      Logits after the last prompt token, [B, V] float32, and the cache.

    Raises:
      ValueError: tokens is not a matrix, or does not fit into the slots.
    """
    _check_matrix(tokens)
    batch, columns = tokens.shape
    if columns > slots:
      raise ValueError(f"slots={slots} must hold the {columns} prompt columns")
    cache = cache_lib.empty(
      self.layers,
      batch,
      slots,
      self.kv_heads,
      self.width // self.heads,
      self.dtype,
    )
    return self._extend(tokens, cache)

  def decode(
    self, token: jax.Array, cache: cache_lib.Cache
  ) -> tuple[jax.Array, cache_lib.Cache]:
    """Reads one more token in every row; fit for `lax.scan`.

    Args:
      token: [B] int32. A PAD is stored as not valid: nothing ever reads it.
      cache: with a slot left. That is not checked, since `column` is traced:
        past the end, the last slot is overwritten.

    Returns:
      Logits after that token, [B, V] float32, and the cache, one column on.
    """
    return self._extend(token[:, None], cache)

  def _extend(self, tokens, cache):
    columns, slots = tokens.shape[1], cache.valid.shape[1]
    valid = tokens != PAD
    cache = cache_lib.claim(cache, valid)
    column = cache.column + jnp.arange(columns, dtype=jnp.int32)
    causal = jnp.arange(slots, dtype=jnp.int32) <= column[:, None]
    visible = causal & cache.valid[:, None]
    positions = jnp.broadcast_to(column, tokens.shape)
    x, cache = self._blocks(tokens, positions, visible, 1, cache)
    return self.head(x)[:, 0], cache_lib.advance(cache, columns)

  def _blocks(
    self, tokens, positions, visible, last, cache
  ) -> tuple[jax.Array, Any]:
    x = self.embed_tokens(tokens).astype(self.dtype)
    x = self.place(x, "batch", None, None)
    head_width = self.width // self.heads
    angles = rotary_angles(
      positions, head_width, self.rope_theta, self.rope_scaling
    )
    first = 0
    if self.scan and self.layers > 2 and not self.is_initializing():
      first = self.layers - 1
      x, cache = self._scanned(first, x, angles, visible, cache)
    for index, block in enumerate(self.blocks[first:], first):
      if last is not None and index == self.layers - 1:
        visible = visible[:, visible.shape[1] - last :]
      x, cache = block(x, angles, visible, cache, index)
      x = self.place(x, "batch", None, None)
    return self.norm(x), cache

  def _scanned(self, count, x, angles, visible, cache) -> tuple[jax.Array, Any]:
    """The first `count` blocks, of which one is compiled."""
    held = self.variables["params"]
    layers = [held[f"layers_{index}"] for index in range(count)]
    stacked = jax.tree_util.tree_map_with_path(self._stack, *layers)
    block = self.clone(remat="none", parent=None)._block(parent=None)

    def step(carry, layer):
      params, index = layer
      x, cache = block.apply(
        {"params": params}, carry[0], angles, visible, carry[1], index
      )
      return (self.place(x, "batch", None, None), cache), None

    if self.remat != "none":
      # A loop keeps what it is told to: nothing can be merged across its turns.
      step = jax.checkpoint(step, prevent_cse=False, policy=REMAT[self.remat])
    return jax.lax.scan(step, (x, cache), (stacked, jnp.arange(count)))[0]

  def _stack(self, path, *leaves) -> jax.Array:
    """One leaf of all layers, spread as each is: else a TPU may gather all."""
    keys = [str(getattr(k, "key", getattr(k, "name", ""))) for k in path]
    if keys[-1] in ("codes", "value"):  # of `product.Integers`
      keys.pop()
    names = axes.of_parameter(keys) if leaves[0].ndim == 2 else ()
    names = names or (None,) * leaves[0].ndim
    return self.place(jnp.stack(leaves), None, *names)


def _check_matrix(tokens: jax.Array) -> None:
  if tokens.ndim != 2:
    raise ValueError(f"tokens must be [rows, columns], got {tokens.shape}")


def _check(model: Transformer) -> None:
  """Raises ValueError where the attributes of `model` do not fit together."""
  for name in ("vocab", "width", "layers", "heads", "kv_heads", "hidden"):
    if getattr(model, name) < 1:
      raise ValueError(f"{name}={getattr(model, name)} must be at least 1")
  for name in ("rope_theta", "eps"):
    if getattr(model, name) <= 0:
      raise ValueError(f"{name}={getattr(model, name)} must be above 0")
  width, heads, kv_heads = model.width, model.heads, model.kv_heads
  if width % heads:
    raise ValueError(f"heads={heads} must divide width={width}")
  if heads % kv_heads:
    raise ValueError(f"kv_heads={kv_heads} must divide heads={heads}")
  if width // heads % 2:
    raise ValueError(
      f"width={width} / heads={heads} must be even, got {width // heads}"
    )
  if model.activation not in ACTIVATIONS:
    allowed = ", ".join(ACTIVATIONS)
    raise ValueError(f"activation={model.activation!r} must be in: {allowed}")
  if model.remat not in REMAT:
    raise ValueError(f"remat={model.remat!r} must be in: {', '.join(REMAT)}")
  if jnp.dtype(model.dtype) not in (jnp.float32, jnp.bfloat16):
    raise ValueError(f"dtype={model.dtype} must be float32 or bfloat16")
