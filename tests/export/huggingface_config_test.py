"""Every field of config.json is read, fixed, silent, or refused by name."""

import json

import pytest

from bitzero_jax.export import huggingface_config as config_lib
from bitzero_jax.models.rope_scaling import Linear, Llama3
from bitzero_jax.quant import activations

SIZES = {
  "vocab_size": 19,
  "hidden_size": 16,
  "intermediate_size": 24,
  "num_hidden_layers": 2,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "hidden_act": "silu",
  "rms_norm_eps": 1e-6,
}
LLAMA = {"model_type": "llama", "rope_theta": 10000.0, **SIZES}
QWEN = {**LLAMA, "model_type": "qwen2"}
LLAMA3 = {
  "factor": 8.0,
  "low_freq_factor": 1.0,
  "high_freq_factor": 4.0,
  "original_max_position_embeddings": 32,
}


@pytest.fixture
def read(tmp_path):
  def read(config):
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / "config.json").write_text(text)
    return config_lib.read(tmp_path)

  return read


def test_a_model_type_says_norms_and_biases(read):
  found = {
    kind: read({**LLAMA, "model_type": kind}).model
    for kind in ("bitnet", "llama", "qwen2")
  }
  forms = {k: (m.sub_norms, m.qkv_biases) for k, m in found.items()}
  assert forms == {
    "bitnet": (True, False),
    "llama": (False, False),
    "qwen2": (False, True),
  }
  model = found["llama"]
  assert (model.vocab, model.width, model.hidden) == (19, 16, 24)
  assert (model.layers, model.heads, model.kv_heads) == (2, 4, 2)
  assert (model.eps, model.rope_theta, model.activation) == (1e-6, 1e4, "silu")
  assert not model.tied_head
  assert read({**LLAMA, "tie_word_embeddings": True}).model.tied_head


@pytest.mark.parametrize("age", ["rope_scaling", "rope_parameters"])
def test_rope_is_read_in_either_age_of_the_fields(read, age):
  kind = "type" if age == "rope_scaling" else "rope_type"
  for scaling, fields in (
    (None, {kind: "default"}),
    (Linear(4.0), {kind: "linear", "factor": 4.0}),
    (Llama3(8.0, 1.0, 4.0, 32), {"rope_type": "llama3", **LLAMA3}),
  ):
    config = dict(LLAMA)
    theta = config.pop("rope_theta")
    if age == "rope_scaling":
      config |= {age: fields, "rope_theta": theta}
    else:
      config[age] = {**fields, "rope_theta": theta}
    model = read(config).model
    assert (model.rope_scaling, model.rope_theta) == (scaling, theta)


@pytest.mark.parametrize(
  ("fields", "packed", "divides"),
  [
    ({}, True, True),
    ({"linear_class": "bitlinear"}, True, True),
    ({"linear_class": "bitlinear", "quantization_mode": "online"}, True, True),
    ({"linear_class": "autobitlinear"}, True, False),
    (
      {"linear_class": "autobitlinear", "quantization_mode": "online"},
      False,
      False,
    ),
  ],
)
def test_the_class_says_what_the_scale_does(read, fields, packed, divides):
  quantization = {"quant_method": "bitnet", **fields}
  found = read({**LLAMA, "quantization_config": quantization})
  assert (found.dense, found.packed, found.divides) == (False, packed, divides)
  assert found.model.quantize_activations is activations.fake_quant


def without(field):
  return {key: value for key, value in LLAMA.items() if key != field}


def quantized(**fields):
  return {**LLAMA, "quantization_config": {"quant_method": "bitnet", **fields}}


def rope(**fields):
  return {**without("rope_theta"), "rope_parameters": fields}


@pytest.mark.parametrize(
  ("config", "said"),
  [
    ("{", "is broken: "),
    ("[1]", "is broken: it holds no JSON object"),
    (without("model_type"), "lacks model_type"),
    ({**LLAMA, "model_type": "mistral"}, "'mistral' must be one of bitnet, l"),
    (without("hidden_size"), "lacks hidden_size"),
    ({**LLAMA, "hidden_size": "16"}, "hidden_size='16' must be a whole number"),
    ({**LLAMA, "vocab_size": True}, "vocab_size=True must be a whole number"),
    ({**LLAMA, "num_hidden_layers": 0}, "layers=0 must be a whole number abov"),
    ({**LLAMA, "rms_norm_eps": None}, "rms_norm_eps=None must be a finite num"),
    ({**LLAMA, "rms_norm_eps": float("nan")}, "rms_norm_eps=nan must be a fin"),
    ({**LLAMA, "rope_theta": float("inf")}, "rope_theta=inf must be a finite"),
    ({**LLAMA, "rope_theta": 10**400}, "rope_theta=10+ must be a finite num"),
    ("[" * 100_000, "is broken: "),
    ({**LLAMA, "num_attention_heads": 3}, "heads=3 must divide width=16"),
    ({**LLAMA, "head_dim": 8}, "head_dim=8 times num_attention_heads=4 must"),
    ({**LLAMA, "head_dim": "4"}, "head_dim='4' must be a whole number"),
    ({**LLAMA, "hidden_act": "gelu"}, "hidden_act='gelu' must be one of silu"),
    ({**LLAMA, "hidden_act": ["silu"]}, r"hidden_act=\['silu'\] must be one"),
    ({**LLAMA, "attention_bias": True}, "attention_bias=True must be False"),
    ({**LLAMA, "mlp_bias": True}, "mlp_bias=True must be False"),
    ({**LLAMA, "tie_word_embeddings": 1}, "tie_word_embeddings=1 must be Fals"),
    ({**LLAMA, "sliding_window": 8}, "unknown field 'sliding_window'"),
    ({**QWEN, "use_sliding_window": True}, "use_sliding_window=True must be F"),
    ({**QWEN, "layer_types": ["sliding_attention"]}, "layer_types=.* must be"),
    ({**QWEN, "layer_types": 3}, "layer_types=3 must be 'full_attention'"),
    ({**QWEN, "layer_types": [["full_attention"]]}, "layer_types=.* must be"),
    (without("rope_theta"), "lacks rope_theta"),
    ({**LLAMA, "rope_theta": -1}, "rope_theta=-1 must be a finite number"),
    ({**LLAMA, "rope_scaling": {"factor": 2}}, "unknown field 'factor'"),
    ({**LLAMA, "rope_scaling": 2}, "rope_scaling=2 must be an object"),
    (
      {**rope(rope_theta=1e4), "rope_scaling": {"type": "default"}},
      "rope_scaling and rope_parameters must be the same",
    ),
    ({**rope(rope_theta=5.0), "rope_theta": 6.0}, "rope_theta=6.0 and rope_th"),
    (
      rope(rope_theta=1e4, rope_type="linear", type="default", factor=2),
      "type='default' and rope_type='linear'",
    ),
    (rope(rope_theta=1e4, rope_type="yarn"), "rope_type='yarn' must be one of"),
    (rope(rope_theta=1e4, rope_type="llama3"), "lacks factor"),
    (
      rope(rope_theta=1e4, rope_type="linear", factor=2, beta=1),
      "unknown field 'beta'",
    ),
    (
      rope(
        **{**LLAMA3, "high_freq_factor": 1.0},
        rope_theta=1e4,
        rope_type="llama3",
      ),
      "high_freq_factor=1.0 must be above low_freq_factor=1.0",
    ),
    (quantized(bits=2), "unknown field 'bits'"),
    (quantized(quant_method="awq"), "quant_method='awq' must be 'bitnet'"),
    (quantized(linear_class="other"), "linear_class='other' must be one of"),
    (quantized(use_rms_norm=True), "use_rms_norm=True must be False"),
    ({**LLAMA, "quantization_config": {}}, "lacks quant_method"),
    ({**LLAMA, "quantization_config": 3}, "quantization_config=3 must be an o"),
  ],
)
def test_what_is_unknown_is_refused_by_name(read, tmp_path, config, said):
  with pytest.raises(ValueError, match=said) as caught:
    read(config)
  assert str(caught.value).startswith(str(tmp_path / "config.json"))
  assert "\n" not in str(caught.value)
