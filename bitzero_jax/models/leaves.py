"""The leaves of a transformer's parameters, without making them."""

from bitzero_jax.models.transformer import Transformer

Shapes = dict[str, tuple[int, ...]]


def shapes(model: Transformer) -> Shapes:
  """Shape of every leaf, by its keys joined by "/"; a kernel is [I, O]."""
  width, hidden = model.width, model.hidden
  keys = width // model.heads * model.kv_heads
  layer: Shapes = {
    "input_layernorm/scale": (width,),
    "self_attn/q_proj/kernel": (width, width),
    "self_attn/k_proj/kernel": (width, keys),
    "self_attn/v_proj/kernel": (width, keys),
    "self_attn/o_proj/kernel": (width, width),
    "post_attention_layernorm/scale": (width,),
    "mlp/gate_proj/kernel": (width, hidden),
    "mlp/up_proj/kernel": (width, hidden),
    "mlp/down_proj/kernel": (hidden, width),
  }
  if model.sub_norms:
    layer["self_attn/attn_sub_norm/scale"] = (width,)
    layer["mlp/ffn_sub_norm/scale"] = (hidden,)
  if model.qkv_biases:
    layer["self_attn/q_bias"] = (width,)
    layer["self_attn/k_bias"] = layer["self_attn/v_bias"] = (keys,)
  found: Shapes = {
    "embed_tokens/embedding": (model.vocab, width),
    "norm/scale": (width,),
  }
  if not model.tied_head:
    found["lm_head/embedding"] = (model.vocab, width)
  for index in range(model.layers):
    found |= {f"layers_{index}/{leaf}": shape for leaf, shape in layer.items()}
  return found


def check(model: Transformer, found: Shapes) -> None:
  """Asks whether leaves are those of a model.

  Raises:
    ValueError: one is missing, unknown, or of another shape; by name.
  """
  wanted = shapes(model)
  for problem, paths in (
    ("lacks", wanted.keys() - found.keys()),
    ("has the unknown tensor", found.keys() - wanted.keys()),
  ):
    if paths:
      raise ValueError(f"{problem} {min(paths)}, by its config")
  for path, shape in wanted.items():
    if found[path] != shape:
      raise ValueError(
        f"{path} has shape {found[path]}, not {shape} as by its config"
      )
