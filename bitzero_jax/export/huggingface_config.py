"""What config.json of a Hugging Face checkpoint says, every field of it.

A field is read, may have one value alone, or says nothing of what is computed;
any other is refused by name.
"""

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from bitzero_jax.export import huggingface_layout as layout
from bitzero_jax.models.layers import ACTIVATIONS
from bitzero_jax.models.rope_scaling import Linear, Llama3, RopeScaling
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import activations

# Fields that say nothing of what is computed.
_SILENT = frozenset(
  "_name_or_path architectures attention_dropout auto_map bitzero bos_token_id "
  "dtype eos_token_id initializer_range max_position_embeddings pad_token_id "
  "pretraining_tp torch_dtype transformers_version use_cache".split()
)


class _Family(NamedTuple):
  """What a model_type stands for.

  Attributes:
    options: of `Transformer`, whatever the other fields.
    fixed: fields that may have one value alone.
    silent: fields that then say nothing of what is computed.
  """

  options: dict[str, Any]
  fixed: dict[str, tuple[Any, ...]]
  silent: frozenset[str] = frozenset()


_NO_BIASES = {"attention_bias": (False, None), "mlp_bias": (False, None)}
_FAMILIES = {
  "bitnet": _Family({}, _NO_BIASES),
  "llama": _Family({"sub_norms": False}, _NO_BIASES),
  "qwen2": _Family(
    {"sub_norms": False, "qkv_biases": True},
    {"use_sliding_window": (False, None)},
    frozenset({"max_window_layers", "sliding_window"}),
  ),
}
_LAYER_TYPE = "full_attention"
_FIXED_QUANT = {
  "quant_method": ("bitnet",),
  "use_rms_norm": (False, None),
  "modules_to_not_convert": (None,),
}
_SIZES = {
  "vocab_size": ("vocab", int),
  "hidden_size": ("width", int),
  "num_hidden_layers": ("layers", int),
  "num_attention_heads": ("heads", int),
  "num_key_value_heads": ("kv_heads", int),
  "intermediate_size": ("hidden", int),
  "rms_norm_eps": ("eps", float),
}
_SCALINGS: dict[str, Any] = {
  "default": None,
  "linear": Linear,
  "llama3": Llama3,
}


class Described(NamedTuple):
  """What config.json says.

  Attributes:
    model: with the activation quantizer that the checkpoint is run with.
    dense: whether there is no quantization_config: kernels are used as they
      are.
    packed: whether kernels are trits; else they are floats.
    divides: whether the product of trits is divided by `weight_scale`.
  """

  model: Transformer
  dense: bool
  packed: bool
  divides: bool


def read(folder: Path) -> Described:
  """Opens config.json of a folder.

  Raises:
    ValueError: it is broken, or a field is missing, unknown, or says what this
      project does not compute; by name, in one line.
    OSError: it cannot be read.
  """
  path = folder / layout.CONFIG_FILE
  config = read_json(path)
  try:
    return _interpret(config)
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
  """A file that holds a JSON object.

  Raises:
    ValueError: it does not.
    OSError: it cannot be read.
  """
  try:
    found = json.loads(path.read_text(encoding="utf-8"))
  # Of JSON, or of UTF-8; or it is deeper than Python goes.
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is broken: {error}") from None
  if not isinstance(found, dict):
    raise ValueError(f"{path} is broken: it holds no JSON object")
  return found


def _interpret(config: dict[str, Any]) -> Described:
  quantization = _object(config, "quantization_config")
  family = _FAMILIES[_one_of(config, "model_type", _FAMILIES)]
  _check_fixed(config, family.fixed)
  kinds = config.pop("layer_types", None)
  if kinds is not None and not (
    isinstance(kinds, list) and all(kind == _LAYER_TYPE for kind in kinds)
  ):
    raise ValueError(f"layer_types={kinds} must be {_LAYER_TYPE!r} throughout")
  options: dict[str, Any] = dict(family.options)
  for field, (name, kind) in _SIZES.items():
    options[name] = _number(config, field, kind)
  options["activation"] = _one_of(config, "hidden_act", ACTIVATIONS)
  tied = config.pop("tie_word_embeddings", False)
  if not isinstance(tied, bool):
    raise ValueError(f"tie_word_embeddings={tied!r} must be False or True")
  options["tied_head"] = tied
  options["rope_theta"], options["rope_scaling"] = _rope(config)
  _check_head(config, options["width"], options["heads"])
  _refuse_rest(config, _SILENT | family.silent)
  if quantization is None:
    return Described(Transformer(**options), True, False, False)
  packed, divides = _quantization(quantization)
  options["quantize_activations"] = activations.fake_quant
  return Described(Transformer(**options), False, packed, divides)


def _check_head(config: dict[str, Any], width: int, heads: int) -> None:
  """Heads share the width, whether the file says so or not."""
  if config.get("head_dim") is None:
    config.pop("head_dim", None)
    return
  head = _number(config, "head_dim", int)
  if head * heads != width:
    raise ValueError(
      f"head_dim={head} times num_attention_heads={heads} must be "
      f"hidden_size={width}"
    )


def _rope(config: dict[str, Any]) -> tuple[float, RopeScaling | None]:
  """Base and scaling, from the fields of either age of `transformers`."""
  held = [_object(config, name) for name in ("rope_scaling", "rope_parameters")]
  if all(held) and held[0] != held[1]:
    raise ValueError("rope_scaling and rope_parameters must be the same")
  rope = held[0] or held[1] or {}
  # An older place, and an older name.
  for field, given, old in (
    ("rope_theta", config, "rope_theta"),
    ("rope_type", rope, "type"),
  ):
    if old not in given:
      continue
    value = given.pop(old)
    if rope.setdefault(field, value) != value:
      raise ValueError(
        f"{old}={value!r} and {field}={rope[field]!r} must be the same"
      )
  rope.setdefault("rope_type", "default")
  theta = _number(rope, "rope_theta", float)
  scaling = _SCALINGS[_one_of(rope, "rope_type", _SCALINGS)]
  kinds = scaling.__annotations__ if scaling else {}
  numbers = {name: _number(rope, name, kinds[name]) for name in kinds}
  _refuse_rest(rope, frozenset())
  made = scaling and scaling(**numbers)
  if isinstance(made, Llama3) and made.high_freq_factor <= made.low_freq_factor:
    raise ValueError(
      f"high_freq_factor={made.high_freq_factor} must be above "
      f"low_freq_factor={made.low_freq_factor}"
    )
  return theta, made


def _quantization(rest: dict[str, Any]) -> tuple[bool, bool]:
  """Whether kernels are packed, and whether their scale divides."""
  if "quant_method" not in rest:
    raise ValueError("lacks quant_method")
  _check_fixed(rest, _FIXED_QUANT)
  rest.setdefault("linear_class", "bitlinear")
  rest.setdefault("quantization_mode", "offline")
  kind = _one_of(rest, "linear_class", ("bitlinear", "autobitlinear"))
  mode = _one_of(rest, "quantization_mode", ("offline", "online"))
  _refuse_rest(rest, frozenset({"rms_norm_eps"}))  # of the norm not used
  divides = kind == "bitlinear"
  # "bitlinear" has packed kernels whatever the mode.
  return divides or mode == "offline", divides


def _object(config: dict[str, Any], field: str) -> dict[str, Any] | None:
  """Takes an object out of a config, which may say null or nothing."""
  value = config.pop(field, None)
  if value is None or isinstance(value, dict):
    return value
  raise ValueError(f"{field}={value!r} must be an object")


def _one_of(
  config: dict[str, Any], field: str, allowed: Collection[str]
) -> str:
  """Takes a field out of a config, whose value must be one of those."""
  if field not in config:
    raise ValueError(f"lacks {field}")
  value = config.pop(field)
  if value not in list(allowed):  # a list compares what a dict cannot hash
    raise ValueError(f"{field}={value!r} must be one of {', '.join(allowed)}")
  return value


def _number(config: dict[str, Any], field: str, kind: type) -> Any:
  """Takes a number above 0 out of a config, int or float as `kind` says."""
  if field not in config:
    raise ValueError(f"lacks {field}")
  value = config.pop(field)
  kinds = (int,) if kind is int else (int, float)
  # JSON as Python reads it knows NaN and Infinity.
  if type(value) not in kinds or not 0 < value <= sys.float_info.max:
    name = "a whole number" if kind is int else "a finite number"
    raise ValueError(f"{field}={value!r} must be {name} above 0")
  return kind(value)


def _check_fixed(
  config: dict[str, Any], fixed: dict[str, tuple[Any, ...]]
) -> None:
  """Takes the fields of `fixed` out of a config, if their values may be."""
  for field, allowed in fixed.items():
    value = config.pop(field, allowed[0])
    if value not in allowed:
      raise ValueError(f"{field}={value!r} must be {allowed[0]!r}")


def _refuse_rest(config: dict[str, Any], silent: frozenset[str]) -> None:
  """What is left in a config must be silent."""
  unknown = sorted(set(config) - silent)
  if unknown:
    raise ValueError(f"unknown field {unknown[0]!r}")
