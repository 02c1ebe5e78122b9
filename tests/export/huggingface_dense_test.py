"""Llama's and Qwen2's dense checkpoints: read, run, and made ternary."""

import gc
import json
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bitzero_jax.export import huggingface_layout as layout
from bitzero_jax.export import huggingface_read
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import absmean, activations, tree

SIZES = {
  "vocab_size": 264,
  "hidden_size": 64,
  "intermediate_size": 96,
  "num_hidden_layers": 2,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
}
LLAMA3 = {
  "rope_type": "llama3",
  "rope_theta": 500000.0,
  "factor": 8.0,
  "low_freq_factor": 1.0,
  "high_freq_factor": 4.0,
  "original_max_position_embeddings": 16,
}
ROPES = {
  "default": {"rope_type": "default", "rope_theta": 1e6},
  "linear": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
  "llama3": LLAMA3,
}


def relative(got, wanted):
  difference = np.sqrt(np.mean(np.square(got - wanted)))
  return difference / np.sqrt(np.mean(np.square(wanted)))


def draw(columns=24):
  rng = np.random.default_rng(0)
  return rng.integers(1, 264, (12, columns)).astype(np.int32)


def run(held, tokens):
  @jax.jit
  def logits(weights, tokens):
    valid = jnp.ones(tokens.shape, jnp.bool_)
    return held.model.apply({"params": weights}, tokens, valid=valid)

  weights = huggingface_read.weights(held)
  return np.asarray(logits(weights, jnp.asarray(tokens)))


def theirs(kind, rope, tied):
  """A tiny random model of `transformers`, no leaf of which is plain."""
  torch = pytest.importorskip("torch", reason="needs torch and transformers")
  transformers = pytest.importorskip("transformers")
  torch.manual_seed(0)
  config = getattr(transformers, f"{kind}Config")(
    **SIZES,
    rope_parameters=ROPES[rope],
    tie_word_embeddings=tied,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
  )
  model = getattr(transformers, f"{kind}ForCausalLM")(config).float()
  for name, leaf in model.named_parameters():
    if "norm" in name:
      leaf.data.uniform_(0.5, 1.5)
    elif "bias" in name:
      leaf.data.normal_(0, 0.5)
    elif "_proj" in name:
      leaf.data.normal_(0, leaf.shape[1] ** -0.5)
  return model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_their_models_have_their_logits_here(tmp_path, kind, rope, tied):
  import torch

  model = theirs(kind, rope, tied)
  model.save_pretrained(tmp_path, max_shard_size="50KB")
  assert (tmp_path / layout.INDEX_FILE).exists()
  tokens = draw()
  with torch.no_grad():
    wanted = model(torch.tensor(tokens, dtype=torch.long)).logits.numpy()
  held = huggingface_read.read(tmp_path)
  assert not held.latent
  assert relative(run(held, tokens), wanted) < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_their_ternary_models_have_their_logits_here(tmp_path, kind):
  """As Falcon-E is: no norm before the output matrices, BitLinear."""
  import torch
  import torch._dynamo
  import transformers

  pytest.importorskip("accelerate")
  torch._dynamo.config.disable = True  # compiling takes minutes
  theirs(kind, "default", True).save_pretrained(tmp_path)
  path = tmp_path / layout.CONFIG_FILE
  config = json.loads(path.read_text())
  config["quantization_config"] = {
    "quant_method": "bitnet",
    "linear_class": "autobitlinear",
    "quantization_mode": "online",
  }
  path.write_text(json.dumps(config))
  model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path, dtype=torch.float32
  )
  tokens = draw(8)
  with torch.no_grad():
    wanted = model(torch.tensor(tokens, dtype=torch.long)).logits.numpy()
  held = huggingface_read.read(tmp_path)
  assert held.latent
  each = [
    relative(g, w) for g, w in zip(run(held, tokens), wanted, strict=True)
  ]
  # A row in which a rounding of float32 tips an activation code is off by more.
  assert np.median(each) < 1e-5
  assert max(each) < 3e-2


def write(folder, model, kind, params, shards=1, dtype=jnp.float32):
  """A folder as `transformers` would write it, by this test's own names."""
  from safetensors.flax import save_file

  tensors = {
    "model.embed_tokens.weight": params["embed_tokens"]["embedding"],
    "model.norm.weight": params["norm"]["scale"],
  }
  if "lm_head" in params:
    tensors["lm_head.weight"] = params["lm_head"]["embedding"]
  for index in range(model.layers):
    at, layer = f"model.layers.{index}", params[f"layers_{index}"]
    for name in ("input_layernorm", "post_attention_layernorm"):
      tensors[f"{at}.{name}.weight"] = layer[name]["scale"]
    for room, names in (("self_attn", "qkvo"), ("mlp", ("gate", "up", "down"))):
      for name in names:
        kernel = layer[room][f"{name}_proj"]["kernel"]
        tensors[f"{at}.{room}.{name}_proj.weight"] = kernel.T
        if f"{name}_bias" in layer[room]:
          bias = layer[room][f"{name}_bias"]
          tensors[f"{at}.{room}.{name}_proj.bias"] = bias
  # safetensors writes memory as it lies, whatever its order.
  tensors = {
    name: jnp.asarray(np.ascontiguousarray(leaf), dtype)
    for name, leaf in tensors.items()
  }
  files = {}
  for number in range(shards):
    file = f"model-{number}.safetensors" if shards > 1 else layout.WEIGHTS_FILE
    part = dict(list(tensors.items())[number::shards])
    save_file(part, folder / file)
    files |= dict.fromkeys(part, file)
  if shards > 1:
    text = json.dumps({"metadata": {}, "weight_map": files})
    (folder / layout.INDEX_FILE).write_text(text)
  config = {
    "model_type": kind,
    "vocab_size": model.vocab,
    "hidden_size": model.width,
    "intermediate_size": model.hidden,
    "num_hidden_layers": model.layers,
    "num_attention_heads": model.heads,
    "num_key_value_heads": model.kv_heads,
    "hidden_act": "silu",
    "rms_norm_eps": model.eps,
    "rope_theta": model.rope_theta,
    "tie_word_embeddings": model.tied_head,
  }
  (folder / layout.CONFIG_FILE).write_text(json.dumps(config))


def dense(kind, width=16, hidden=24, tied=False):
  """A model of ours in their form, and random parameters."""
  qwen = kind == "qwen2"
  model = Transformer(
    19, width, 2, 4, 2, hidden, sub_norms=False, qkv_biases=qwen, tied_head=tied
  )
  tokens = jnp.ones((1, 2), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), tokens)["params"]
  rng = np.random.default_rng(0)

  def leaf(path, shape):
    del path
    return rng.normal(0, shape.shape[0] ** -0.5, shape.shape).astype(np.float32)

  return model, jax.tree_util.tree_map_with_path(leaf, shapes)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("shards", [1, 5])
def test_every_leaf_is_read(tmp_path, kind, shards, tied):
  model, params = dense(kind, tied=tied)
  write(tmp_path, model, kind, params, shards)
  held = huggingface_read.read(tmp_path)
  assert held.model == model
  jax.tree.map(np.testing.assert_array_equal, held.params, params)


def test_half_precision_is_widened(tmp_path):
  model, params = dense("qwen2")
  write(tmp_path, model, "qwen2", params, dtype=jnp.bfloat16)
  held = huggingface_read.read(tmp_path)
  wanted = jax.tree.map(
    lambda x: np.asarray(x.astype(jnp.bfloat16), np.float32), params
  )
  jax.tree.map(np.testing.assert_array_equal, held.params, wanted)


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
  model, params = dense("llama", 256, 1024)
  write(tmp_path, model, "llama", params, 4, jnp.bfloat16)
  leaves = jax.tree.leaves(params)
  size = sum(leaf.nbytes for leaf in leaves)
  largest = max(leaf.nbytes for leaf in leaves)
  del params, leaves
  huggingface_read.read(tmp_path)  # imports are not what is measured
  gc.collect()
  tracemalloc.start()
  try:
    held = huggingface_read.read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert sum(leaf.nbytes for leaf in jax.tree.leaves(held.params)) == size
  assert size > 5 * largest  # else this shows nothing
  assert size <= peak < size + 2 * largest


@pytest.mark.parametrize(
  ("leaf", "change", "said"),
  [
    ("model.norm.weight", lambda x: x.astype(np.int32), "norm.weight is I32"),
    ("model.norm.weight", lambda x: x[:-1], r"has shape \(15,\), not \(16,\)"),
    (
      "model.layers.1.self_attn.k_proj.weight",
      lambda x: np.ascontiguousarray(x.T),
      r"k_proj.weight has shape \(16, 8\), not \(8, 16\)",
    ),
    ("model.layers.0.self_attn.q_proj.bias", None, "lacks model.layers.0.self"),
    ("lm_head.weight", None, "lacks lm_head.weight"),
    ("model.norm.bias", lambda _: np.ones(3), "unknown tensor model.norm.bias"),
  ],
)
def test_another_tensor_is_refused_by_name(tmp_path, leaf, change, said):
  from safetensors.numpy import load_file, save_file

  model, params = dense("qwen2")
  write(tmp_path, model, "qwen2", params)
  path = tmp_path / layout.WEIGHTS_FILE
  tensors = load_file(path)
  held = tensors.pop(leaf, None)
  if change is not None:
    tensors[leaf] = change(held)
  save_file(tensors, path)
  with pytest.raises(ValueError, match=said):
    huggingface_read.read(tmp_path)


@pytest.mark.parametrize(
  ("index", "said"),
  [
    ("{}", "is broken: it lacks weight_map"),
    ('{"weight_map": {"a": "../a"}}', "'../a' must be the name of a file"),
    ('{"weight_map": {"a": 3}}', "3 must be the name of a file"),
    ("{", "is broken: "),
  ],
)
def test_a_broken_index_is_refused(tmp_path, index, said):
  model, params = dense("llama")
  write(tmp_path, model, "llama", params)
  (tmp_path / layout.WEIGHTS_FILE).unlink()
  (tmp_path / layout.INDEX_FILE).write_text(index)
  with pytest.raises(ValueError, match=said):
    huggingface_read.read(tmp_path)


def test_weights_that_are_there_twice_are_refused(tmp_path):
  model, params = dense("llama")
  write(tmp_path, model, "llama", params, 2)
  write(tmp_path, model, "llama", params)
  with pytest.raises(ValueError, match="only one can be meant"):
    huggingface_read.read(tmp_path)


def test_a_shard_that_is_cut_short_or_missing_is_refused(tmp_path):
  model, params = dense("llama")
  write(tmp_path, model, "llama", params, 3)
  path = tmp_path / "model-1.safetensors"
  path.write_bytes(path.read_bytes()[:-10])
  with pytest.raises(ValueError, match="safetensors is no safetensors"):
    huggingface_read.read(tmp_path)
  path.unlink()
  with pytest.raises(FileNotFoundError):
    huggingface_read.read(tmp_path)


@pytest.mark.slow
def test_a_ternary_model_learns_from_a_dense_start(tmp_path):
  """Straight through absmean and int8; every leaf moves, the loss halves."""
  model, params = dense("qwen2", 32, 64, tied=True)
  write(tmp_path, model, "qwen2", params)
  held = huggingface_read.read(tmp_path)
  student = held.model.clone(quantize_activations=activations.fake_quant)
  tokens = jnp.asarray(np.arange(16)[:, None] * np.arange(1, 7) % 18 + 1)
  optimizer = optax.adam(1e-2)

  def loss(params):
    weights = tree.fake_quant_tree(absmean.quantizer(), params, {})
    logits = student.apply({"params": weights}, tokens)
    return optax.softmax_cross_entropy_with_integer_labels(
      logits[:, :-1], tokens[:, 1:]
    ).mean()

  @jax.jit
  def update(params, state):
    value, gradient = jax.value_and_grad(loss)(params)
    change, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, change), state, value

  now, state = held.params, optimizer.init(held.params)
  values = []
  for _ in range(100):
    now, state, value = update(now, state)
    values.append(float(value))
  assert values[-1] < values[0] / 2
  moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), now, held.params)
  assert all(jax.tree.leaves(moved))
