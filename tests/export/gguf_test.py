"""A GGUF file holds the weights of training to the bit, or is not written."""

import json

import gguf as library
import numpy as np
import pytest

from bitzero_jax.export import gguf
from bitzero_jax.export import model as model_lib
from bitzero_jax.language import grammar

TYPES = ("auto", "tq1_0", "q8_0", "f16", "f32")


def write(model, path, **options):
  placed = gguf.place(model, **options)
  gguf.write(model, placed, path, context=99)
  return library.GGUFReader(path)


def values(reader):
  """Every tensor as floats, kernels [O, I] times their scale."""
  held = {tensor.name: tensor for tensor in reader.tensors}
  found = {}
  for name, tensor in held.items():
    if name.endswith(".scale"):
      continue
    shape = [int(n) for n in reversed(tensor.shape)]
    value = library.quants.dequantize(tensor.data, tensor.tensor_type)
    value = np.asarray(value, np.float32).reshape(shape)
    name = name.removesuffix(".weight")
    scale = held.get(f"{name}.scale")
    found[name] = value if scale is None else value * np.float32(scale.data[0])
  return found


def kinds(reader):
  return {t.name: t.tensor_type.name for t in reader.tensors}


@pytest.mark.parametrize("wanted", TYPES)
@pytest.mark.parametrize("width", [32, 256])
def test_every_weight_is_that_of_training(
  small_config, mixed_model, tmp_path, width, wanted
):
  model = mixed_model(small_config(width=width, hidden=2 * width))
  reader = write(model, tmp_path / "x.gguf", wanted=wanted, embedding="f32")
  found = values(reader)
  weights = model_lib.weights(model)
  layer = weights["layers_1"]
  for name, leaf in {
    "token_embd": weights["embed_tokens"]["embedding"],
    "output_norm": weights["norm"]["scale"],
    "blk.1.attn_norm": layer["input_layernorm"]["scale"],
    "blk.1.attn_q": layer["self_attn"]["q_proj"]["kernel"],
    "blk.1.attn_k": layer["self_attn"]["k_proj"]["kernel"],
    "blk.1.attn_v": layer["self_attn"]["v_proj"]["kernel"],
    "blk.1.attn_sub_norm": layer["self_attn"]["attn_sub_norm"]["scale"],
    "blk.1.attn_output": layer["self_attn"]["o_proj"]["kernel"],
    "blk.1.ffn_norm": layer["post_attention_layernorm"]["scale"],
    "blk.1.ffn_gate": layer["mlp"]["gate_proj"]["kernel"],
    "blk.1.ffn_up": layer["mlp"]["up_proj"]["kernel"],
    "blk.1.ffn_sub_norm": layer["mlp"]["ffn_sub_norm"]["scale"],
    "blk.1.ffn_down": layer["mlp"]["down_proj"]["kernel"],
  }.items():
    value = np.asarray(leaf)
    turned = value.T if value.ndim == 2 and name != "token_embd" else value
    np.testing.assert_array_equal(found[name], turned, err_msg=name)
  assert len(found) == len(model.matrices) + len(model.others)


def test_precision_is_mixed_by_tensor(small_config, mixed_model, tmp_path):
  model = mixed_model(small_config(width=256, hidden=256))
  found = kinds(write(model, tmp_path / "x.gguf"))
  carried = {1: "TQ2_0", 2: "Q4_0", 3: "Q5_0", 4: "Q8_0", 5: "Q8_0"}
  placed = gguf.place(model)
  for path, matrix in model.matrices.items():
    assert found[f"{placed[path].name}.weight"] == carried[matrix.spec.planes]
  assert found["token_embd.weight"] == "Q8_0"
  wanted = kinds(write(model, tmp_path / "y.gguf", wanted="tq1_0"))
  changed = {n for n in found if found[n] != wanted[n]}
  assert changed == {n for n, kind in found.items() if kind == "TQ2_0"}
  assert {wanted[n] for n in changed} == {"TQ1_0"}


def test_short_rows_go_to_the_smallest_exact_type_and_it_is_said(
  small_config, shipped_model, tmp_path
):
  model = shipped_model(small_config(width=96, hidden=160))
  found = kinds(write(model, tmp_path / "x.gguf"))
  kernels = [found[n.replace("scale", "weight")] for n in found if "scale" in n]
  assert set(kernels) == {"Q4_0"}
  said = "\n".join(gguf.remarks(model, gguf.place(model)))
  assert "inputs of 96 and 160 are no multiple of 256" in said
  assert "14 kernels as Q4_0, 4.5 bits a weight, planes 1" in said


def test_the_embedding_is_rounded_as_asked(
  small_config, shipped_model, tmp_path
):
  model = shipped_model(small_config())
  table = model.others[gguf.EMBEDDING]
  for kind, error in (("f32", 0.0), ("f16", 2**-11), ("q8_0", 1 / 120)):
    reader = write(model, tmp_path / "x.gguf", embedding=kind)
    found = values(reader)["token_embd"]
    worst = np.abs(found - table).max() / np.abs(table).max()
    assert worst <= error
    assert kinds(reader)["token_embd.weight"] == kind.upper()


def test_metadata_says_what_it_is(small_config, shipped_model, tmp_path):
  config = small_config()
  path = tmp_path / "x.gguf"
  fields = write(shipped_model(config), path).fields
  c = config.model
  for name, value in {
    "general.architecture": "bitnet",
    "general.name": "BitZero default",
    "bitnet.context_length": 99,
    "bitnet.embedding_length": c.width,
    "bitnet.feed_forward_length": c.hidden,
    "bitnet.block_count": c.layers,
    "bitnet.attention.head_count": c.heads,
    "bitnet.attention.head_count_kv": c.kv_heads,
    "bitnet.rope.freq_base": c.rope_theta,
    "bitnet.rope.dimension_count": c.width // c.heads,
    "bitnet.vocab_size": grammar.VOCABULARY,
    "tokenizer.ggml.eos_token_id": grammar.PAD,
    "bitzero.round": 7,
  }.items():
    assert fields[name].contents() == value, name
  assert np.isclose(
    fields["bitnet.attention.layer_norm_rms_epsilon"].contents(), 1e-5
  )
  assert json.loads(fields["bitzero.config"].contents()) == json.loads(
    json.dumps(config.to_dict())
  )
  assert gguf.read_config(path) == (config, 7)
  assert len(fields["tokenizer.ggml.tokens"].contents()) == grammar.VOCABULARY


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"model__activation": "relu2"}, "model.activation='relu2' must be 'silu'"),
    ({"quant__weights": "int8"}, "quant.weights='int8' has a scale for each"),
    ({"width": 48}, "model.width=48 must be a multiple of 32 for GGUF"),
    ({"hidden": 40}, "model.hidden=40 must be a multiple of 32 for GGUF"),
  ],
)
def test_what_llama_would_not_compute_is_refused(
  small_config, shipped_model, changes, said
):
  with pytest.raises(ValueError, match=said):
    gguf.place(shipped_model(small_config(**changes)))


def test_any_size_is_held_as_floats(small_config, shipped_model, tmp_path):
  model = shipped_model(small_config(width=48, hidden=40))
  with pytest.raises(ValueError, match="multiple of 32 for --embedding=q8_0"):
    gguf.place(model, "f16")
  reader = write(model, tmp_path / "x.gguf", wanted="f16", embedding="f16")
  assert set(kinds(reader).values()) == {"F16", "F32"}


@pytest.mark.parametrize("leaf", ["lm_head/kernel", "layers_0/self_attn/bias"])
def test_a_tensor_without_a_place_is_refused(small_config, shipped_model, leaf):
  model = shipped_model(small_config())
  others = model.others | {leaf: np.zeros(3, np.float32)}
  with pytest.raises(ValueError, match=f"{leaf}: stock llama.cpp has no place"):
    gguf.place(model._replace(others=others))


def test_what_is_no_such_file_is_refused(small_config, shipped_model, tmp_path):
  whole, short = tmp_path / "x.gguf", tmp_path / "short.gguf"
  write(shipped_model(small_config()), whole)
  for kept in (0, 10, 3000):
    short.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(ValueError, match="no GGUF file, or was cut short"):
      gguf.read_config(short)
  rng, data = np.random.default_rng(0), whole.read_bytes()
  for place in rng.integers(4, len(data), 40):  # beyond the first four bytes
    changed = bytearray(data)
    changed[place] ^= 1 << int(rng.integers(8))
    short.write_bytes(changed)
    with pytest.raises(ValueError, match=r"checksum mismatch|no GGUF|was not"):
      gguf.read_config(short)
  changed = bytearray(data)
  changed[-40] ^= 1  # a weight
  short.write_bytes(changed)
  with pytest.raises(ValueError, match="checksum mismatch"):
    gguf.read_config(short)
  other = library.GGUFWriter(tmp_path / "other.gguf", "bitnet")
  other.write_header_to_file()
  other.write_kv_data_to_file()
  other.write_tensors_to_file()
  other.close()
  with pytest.raises(ValueError, match="was not exported by BitZero"):
    gguf.read_config(tmp_path / "other.gguf")
