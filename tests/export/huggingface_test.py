"""Models of `transformers` itself run here, and ours run there.

Their own numbers come from AutoBitLinear and BitLinear: the bare class
quantizes nothing.
"""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax.export import huggingface_layout as layout
from bitzero_jax.export import huggingface_read, huggingface_write
from bitzero_jax.export import model as model_lib

FORMS = {
  "bare": None,
  "online": {
    "quant_method": "bitnet",
    "linear_class": "autobitlinear",
    "quantization_mode": "online",
  },
  "multiplied": {
    "quant_method": "bitnet",
    "linear_class": "autobitlinear",
    "quantization_mode": "offline",
  },
  "divided": {"quant_method": "bitnet"},
}


def relative(got, wanted):
  difference = np.sqrt(np.mean(np.square(got - wanted)))
  return difference / np.sqrt(np.mean(np.square(wanted)))


def edit(folder, change):
  path = folder / layout.CONFIG_FILE
  config = json.loads(path.read_text())
  change(config)
  path.write_text(json.dumps(config))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
  """Folders of one tiny random model, in every form, by activation."""
  torch = pytest.importorskip("torch", reason="needs torch and transformers")
  transformers = pytest.importorskip("transformers")
  pytest.importorskip("accelerate")
  _compile_nothing()
  made = {}
  for activation in ("silu", "relu2"):
    torch.manual_seed(0)
    config = transformers.BitNetConfig(
      vocab_size=264,
      hidden_size=64,
      intermediate_size=96,
      num_hidden_layers=2,
      num_attention_heads=4,
      num_key_value_heads=2,
      hidden_act=activation,
      tie_word_embeddings=True,
      bos_token_id=1,
      eos_token_id=2,
      pad_token_id=0,
      max_position_embeddings=64,
    )
    model = transformers.BitNetForCausalLM(config).float()
    for name, leaf in model.named_parameters():
      if "norm" in name:
        leaf.data.uniform_(0.5, 1.5)
    for form, quantization in FORMS.items():
      folder = tmp_path_factory.mktemp(f"{activation}-{form}")
      model.save_pretrained(folder)
      if quantization:
        edit(folder, lambda c, q=quantization: c.update(quantization_config=q))
      if form in ("multiplied", "divided"):
        pack(folder, form == "divided")
      made[activation, form] = folder
  return made


def _compile_nothing():
  """Their classes are wrapped in torch.compile, which takes minutes."""
  import torch._dynamo

  torch._dynamo.config.disable = True


def pack(folder, divided):
  """Packs a folder's kernels, by this test's own reading of the format."""
  from safetensors.numpy import load_file, save_file

  path = folder / layout.WEIGHTS_FILE
  tensors = load_file(path)
  for name in list(tensors):
    if not name.endswith("_proj.weight"):
      continue
    weight = tensors[name]
    scale = np.float32(np.mean(np.abs(weight)))
    trits = np.clip(np.round(weight / scale), -1, 1)
    quarter = len(trits) // 4
    data = np.zeros((quarter, trits.shape[1]), np.uint8)
    for row, trit in enumerate(trits):
      data[row % quarter] |= (trit + 1).astype(np.uint8) << 2 * (row // quarter)
    tensors[name] = data
    tensors[f"{name}_scale"] = np.array([1 / scale if divided else scale])
  save_file(tensors, path, {"format": "pt"})


def run_theirs(folder, tokens):
  import torch
  import transformers

  model = transformers.AutoModelForCausalLM.from_pretrained(
    folder, dtype=torch.float32
  )
  with torch.no_grad():
    return model(torch.tensor(tokens, dtype=torch.long)).logits.numpy()


def run_here(folder, tokens):
  held = huggingface_read.read(folder)

  @jax.jit
  def run(weights, tokens):
    valid = jnp.ones(tokens.shape, jnp.bool_)
    return held.model.apply({"params": weights}, tokens, valid=valid)

  return np.asarray(run(huggingface_read.weights(held), jnp.asarray(tokens)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["silu", "relu2"])
def test_their_models_have_their_logits_here(theirs, activation, form):
  folder = theirs[activation, form]
  tokens = np.random.default_rng(0).integers(1, 264, (12, 8)).astype(np.int32)
  wanted, got = run_theirs(folder, tokens), run_here(folder, tokens)
  each = [relative(g, w) for g, w in zip(got, wanted, strict=True)]
  # A row in which a rounding of float32 tips an activation code is off by more.
  assert np.median(each) < 1e-5
  assert max(each) < 3e-2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("weights", ["absmean", "digits"])
def test_our_models_have_our_logits_there(
  small_config, shipped_model, tmp_path, weights
):
  pytest.importorskip("transformers", reason="needs torch and transformers")
  _compile_nothing()
  config = small_config(width=64, hidden=96)
  model = shipped_model(config)
  if weights == "digits":  # of one plane, but the scale is no absmean
    model = model._replace(
      matrices={
        path: m._replace(scale=m.scale * np.float32(1.3))
        for path, m in model.matrices.items()
      }
    )
  folder = tmp_path / "theirs"
  huggingface_write.write(model, folder, 64)
  tokens = np.random.default_rng(0).integers(1, 249, (12, 8)).astype(np.int32)
  network = build.build_shipped_network(config)
  wanted = np.asarray(
    jax.jit(lambda w: network.logits(w, jnp.asarray(tokens), 8))(
      model_lib.weights(model)
    )
  )
  got = run_theirs(folder, tokens)
  each = [relative(g, w) for g, w in zip(got, wanted, strict=True)]
  assert np.median(each) < 1e-5
  assert max(each) < 3e-2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
def test_our_dense_models_have_our_logits_there(
  small_config, shipped_model, tmp_path
):
  pytest.importorskip("transformers", reason="needs torch and transformers")
  config = small_config(quant__weights="identity", quant__activations="none")
  model = shipped_model(config)
  folder = tmp_path / "theirs"
  huggingface_write.write(model, folder, 64)
  tokens = np.random.default_rng(0).integers(1, 249, (12, 8)).astype(np.int32)
  network = build.build_shipped_network(config)
  wanted = np.asarray(
    jax.jit(lambda w: network.logits(w, jnp.asarray(tokens), 8))(
      model_lib.weights(model)
    )
  )
  assert relative(run_theirs(folder, tokens), wanted) < 1e-5


def test_packing_is_strided_along_the_outputs():
  codes = np.random.default_rng(0).integers(-1, 2, (5, 8)).astype(np.int8)
  data = layout.pack(codes)
  assert data.shape == (2, 5)
  for row in range(8):
    field = data[row % 2] >> 2 * (row // 2) & 3
    np.testing.assert_array_equal(field.astype(np.int8) - 1, codes[:, row])
  np.testing.assert_array_equal(layout.unpack(data), codes)


@pytest.fixture(scope="module")
def ours(tmp_path_factory, small_config, shipped_model):
  model = shipped_model(small_config())
  folder = tmp_path_factory.mktemp("ours") / "model"
  huggingface_write.write(model, folder, 64)
  return model, folder


def same_weights(held, model):
  jax.tree.map(
    np.testing.assert_array_equal,
    huggingface_read.weights(held),
    jax.device_get(model_lib.weights(model)),
  )


def test_what_was_written_is_read_again_to_the_bit(ours):
  model, folder = ours
  held = huggingface_read.read(folder)
  assert not held.latent
  same_weights(held, model)
  shape = model.config.model
  assert (held.model.width, held.model.hidden) == (shape.width, shape.hidden)
  assert held.model.rope_theta == shape.rope_theta


def test_dense_models_are_written_as_floats(
  small_config, shipped_model, tmp_path
):
  config = small_config(quant__weights="identity", quant__activations="none")
  model = shipped_model(config)
  huggingface_write.write(model, tmp_path / "dense", 64)
  text = (tmp_path / "dense" / layout.CONFIG_FILE).read_text()
  assert "quantization_config" not in json.loads(text)
  held = huggingface_read.read(tmp_path / "dense")
  assert not held.latent
  same_weights(held, model)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shards_are_read_one_tensor_after_the_other(ours, tmp_path, dtype):
  from safetensors.flax import load_file, save_file

  model, folder = ours
  tensors = load_file(folder / layout.WEIGHTS_FILE)
  weight_map = {}
  for number, (name, leaf) in enumerate(tensors.items()):
    file = f"model-{number:05}.safetensors"
    if dtype == "bfloat16" and leaf.ndim == 1 and "scale" not in name:
      leaf = leaf.astype(jnp.bfloat16)
    save_file({name: leaf}, tmp_path / file)
    weight_map[name] = file
  index = {"weight_map": weight_map}
  (tmp_path / layout.INDEX_FILE).write_text(json.dumps(index))
  shutil.copy(folder / layout.CONFIG_FILE, tmp_path)
  held = huggingface_read.read(tmp_path)
  if dtype == "float32":
    same_weights(held, model)
  else:
    norm = np.asarray(held.params["norm"]["scale"])
    wanted = jnp.asarray(model.others["norm/scale"]).astype(jnp.bfloat16)
    np.testing.assert_array_equal(norm, wanted.astype(jnp.float32))


def set_to(**fields):
  return lambda config: config.update(fields)


def set_online(config):
  config["quantization_config"]["quantization_mode"] = "online"


@pytest.mark.parametrize(
  ("change", "said"),
  [
    (set_to(model_type="gpt2"), "model_type='gpt2' must be one of bitnet, ll"),
    (set_to(tie_word_embeddings=False), "lacks lm_head.weight"),
    (set_online, r"unknown tensor model\.layers\.0.*_scale"),
    (set_to(intermediate_size=128), "gate_proj.weight has shape"),
    (set_to(num_hidden_layers=3), "lacks model.layers.2"),
    (set_to(num_hidden_layers=1), "unknown tensor model.layers.1"),
  ],
)
def test_what_is_unknown_is_refused_by_name(ours, tmp_path, change, said):
  folder = tmp_path / "changed"
  shutil.copytree(ours[1], folder)
  edit(folder, change)
  with pytest.raises(ValueError, match=said):
    huggingface_read.weights(huggingface_read.read(folder))


@pytest.mark.parametrize(
  ("kind", "suffix", "value", "said"),
  [
    ("bitlinear", "", 255, "q_proj.weight holds codes that are no trits"),
    ("bitlinear", "_scale", 0.0, "_scale=0.0 must be finite, and not 0"),
    ("bitlinear", "_scale", np.nan, "_scale=nan must be finite, and not 0"),
    ("autobitlinear", "_scale", np.inf, "_scale=inf must be finite$"),
  ],
)
def test_kernels_that_cannot_be_are_refused(
  ours, tmp_path, kind, suffix, value, said
):
  from safetensors.numpy import load_file, save_file

  folder = tmp_path / "changed"
  shutil.copytree(ours[1], folder)
  edit(folder, lambda c: c["quantization_config"].update(linear_class=kind))
  tensors = load_file(folder / layout.WEIGHTS_FILE)
  leaf = f"model.layers.1.self_attn.q_proj.weight{suffix}"
  tensors[leaf] = np.full_like(tensors[leaf], value)
  save_file(tensors, folder / layout.WEIGHTS_FILE)
  with pytest.raises(ValueError, match=said):
    huggingface_read.read(folder)


def test_a_file_that_was_cut_short_is_refused(ours, tmp_path):
  folder = tmp_path / "short"
  shutil.copytree(ours[1], folder)
  path = folder / layout.WEIGHTS_FILE
  path.write_bytes(path.read_bytes()[:-100])
  with pytest.raises(ValueError, match="cut short"):
    huggingface_read.read(folder)
  path.unlink()
  with pytest.raises(FileNotFoundError):
    huggingface_read.read(folder)
  (folder / layout.CONFIG_FILE).write_text("{")
  with pytest.raises(ValueError, match=r"config\.json is broken"):
    huggingface_read.read(folder)


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"quant__weights": "int8"}, "has no ternary planes"),
    ({"quant__activations": "none"}, "quant.activations='none' must be 'int8'"),
    ({"hidden": 30}, "has 30 outputs"),
  ],
)
def test_what_their_layout_does_not_hold_is_refused(
  small_config, shipped_model, tmp_path, changes, said
):
  model = shipped_model(small_config(**changes))
  with pytest.raises(ValueError, match=said):
    huggingface_write.write(model, tmp_path / "x", 64)
  assert list(tmp_path.iterdir()) == []


def test_planes_beyond_one_are_refused(small_config, mixed_model, tmp_path):
  model = mixed_model(small_config())
  with pytest.raises(ValueError, match="has 2 ternary planes"):
    huggingface_write.write(model, tmp_path / "x", 64)
  with pytest.raises(ValueError, match="exists"):
    huggingface_write.write(model, tmp_path, 64)
