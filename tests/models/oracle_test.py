"""The model against a forward pass written plainly in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models.sizes import size
from bitzero_jax.models.transformer import Transformer


def rms_norm(x, scale, eps=1e-5):
  return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * scale


def rope(x, theta):
  """Turns [T, H], the vector at each position, by its position."""
  half = x.shape[1] // 2
  out = np.empty_like(x)
  for t in range(x.shape[0]):
    for i in range(half):
      angle = t * theta ** (-2 * i / x.shape[1])
      c, s = np.cos(angle), np.sin(angle)
      out[t, i] = c * x[t, i] - s * x[t, i + half]
      out[t, i + half] = s * x[t, i] + c * x[t, i + half]
  return out


def gate(x, activation):
  return x / (1 + np.exp(-x)) if activation == "silu" else np.maximum(x, 0) ** 2


def attention(x, p, heads, kv_heads, theta):
  q, k, v = (x @ p[f"{n}_proj"]["kernel"] for n in "qkv")
  size = q.shape[1] // heads
  outs = []
  for h in range(heads):
    g = h // (heads // kv_heads)
    qh = rope(q[:, h * size : (h + 1) * size], theta)
    kh = rope(k[:, g * size : (g + 1) * size], theta)
    rows = []
    for t in range(x.shape[0]):
      weight = np.exp(kh[: t + 1] @ qh[t] / np.sqrt(size))
      rows.append(weight @ v[: t + 1, g * size : (g + 1) * size] / weight.sum())
    outs.append(np.stack(rows))
  mixed = np.concatenate(outs, axis=1)
  return rms_norm(mixed, p["attn_sub_norm"]["scale"]) @ p["o_proj"]["kernel"]


def forward(params, tokens, *, layers, heads, kv_heads, activation, theta):
  """Float64 logits [T, V] of one row of tokens [T] without PAD."""
  x = params["embed_tokens"]["embedding"][tokens]
  for i in range(layers):
    p = params[f"layers_{i}"]
    n = rms_norm(x, p["input_layernorm"]["scale"])
    x = x + attention(n, p["self_attn"], heads, kv_heads, theta)
    n = rms_norm(x, p["post_attention_layernorm"]["scale"])
    m = p["mlp"]
    inner = gate(n @ m["gate_proj"]["kernel"], activation)
    inner = inner * (n @ m["up_proj"]["kernel"])
    inner = rms_norm(inner, m["ffn_sub_norm"]["scale"])
    x = x + inner @ m["down_proj"]["kernel"]
  x = rms_norm(x, params["norm"]["scale"])
  return x @ params["embed_tokens"]["embedding"].T


@pytest.mark.parametrize("activation", ["silu", "relu2"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_it_is_the_plain_forward_pass(activation, kv_heads):
  options = {**size("tiny"), "kv_heads": kv_heads, "activation": activation}
  model = Transformer(vocab=19, rope_theta=500.0, **options)
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, 19, (2, 9)).astype(np.int32)
  start = jax.jit(model.init)(jax.random.key(0), tokens)["params"]
  # Norms start at one, the last at zero: moved, so that a wrong one shows.
  wide = jax.tree.map(
    lambda x: rng.uniform(0.5, 1.5, x.shape) if x.ndim == 1 else x, start
  )
  params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), wide)
  got = jax.jit(lambda p: model.apply({"params": p}, tokens))(params)
  wide = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  for row, logits in zip(tokens, got, strict=True):
    expected = forward(
      wide,
      row,
      layers=model.layers,
      heads=model.heads,
      kv_heads=kv_heads,
      activation=activation,
      theta=500.0,
    )
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
