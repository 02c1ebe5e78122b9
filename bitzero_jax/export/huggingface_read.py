"""Checkpoints of BitNet b1.58 2B4T's layout, from Hugging Face's files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from bitzero_jax.export import extras
from bitzero_jax.export import huggingface_layout as layout
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import absmean, activations, tree

# Fields of config.json that say nothing of what is computed.
_SILENT = frozenset(
  "_name_or_path architectures attention_dropout auto_map bitzero bos_token_id "
  "dtype eos_token_id initializer_range max_position_embeddings pad_token_id "
  "pretraining_tp torch_dtype transformers_version use_cache".split()
)
# Fields that may have one value alone.
_FIXED = {
  "model_type": ("bitnet",),
  "tie_word_embeddings": (True,),
  "attention_bias": (False, None),
  "mlp_bias": (False, None),
  "rope_scaling": (None,),
}
_FIXED_QUANT = {
  "quant_method": ("bitnet",),
  "use_rms_norm": (False, None),
  "modules_to_not_convert": (None,),
}
_SIZES = {
  "vocab_size": "vocab",
  "hidden_size": "width",
  "num_hidden_layers": "layers",
  "num_attention_heads": "heads",
  "num_key_value_heads": "kv_heads",
  "intermediate_size": "hidden",
  "hidden_act": "activation",
  "rms_norm_eps": "eps",
}


class Imported(NamedTuple):
  """A checkpoint, in this project's terms.

  Attributes:
    model: with the activation quantizer that the checkpoint is run with.
    params: parameters of `model`, float32; kernels are latent weights where
      `latent`, else what the forward pass multiplies with.
    latent: whether the kernels still have to be made ternary.
  """

  model: Transformer
  params: dict[str, Any]
  latent: bool


def weights(held: Imported) -> dict[str, Any]:
  """What the forward pass multiplies with: a tree like `params`."""
  if not held.latent:
    return held.params
  return tree.fake_quant_tree(absmean.quantizer(), held.params, {})


def read(folder: Path) -> Imported:
  """Opens config.json and the weights beside it, in one file or in shards.

  One tensor at a time is in memory beside the result. Three forms are known:
  kernels as floats that are made ternary as they run ("online"); packed
  kernels ("offline"), whose `weight_scale` is multiplied with by the class
  "autobitlinear" and divided by where another, or none, is named; and kernels
  that are used as they are, where there is no quantization_config.

  Raises:
    ValueError: a field is unknown or says what this project does not compute,
      a tensor is missing, unknown, or of the wrong shape or dtype; or a file
      was cut short; each by name, in one line. Or safetensors is missing.
    OSError: a file cannot be read.
  """
  config = _read_json(folder / layout.CONFIG_FILE)
  model, quantization = _interpret(folder, dict(config))
  offline = quantization is not None and _is_offline(folder, quantization)
  divides = quantization is not None and (
    quantization.get("linear_class", "bitlinear") == "bitlinear"
  )
  files = _files(folder)
  wanted = {layout.name_of(path) for path in layout.paths(model.layers)}
  scales = {f"{n}_scale" for n in wanted if n.endswith("_proj.weight")}
  extra = sorted(set(files) - wanted - scales)
  missing = sorted((wanted | (scales if offline else set())) - set(files))
  for problem, names in (("unknown tensor", extra), ("lacks", missing)):
    if names:
      raise ValueError(f"{folder}: {problem} {names[0]}")
  leaves = {}
  for path in layout.paths(model.layers):
    leaves[path] = _leaf(files, model, path, offline, divides)
  params = traverse_util.unflatten_dict(leaves, sep="/")
  return Imported(model, params, quantization is not None and not offline)


def _interpret(
  folder: Path, config: dict[str, Any]
) -> tuple[Transformer, dict[str, Any] | None]:
  """The model, and quantization_config; every field is looked at."""
  where = folder / layout.CONFIG_FILE
  quantization = config.pop("quantization_config", None)
  _check_fixed(where, config, _FIXED, required="model_type")
  rope = config.pop("rope_parameters", None) or {}
  theta = config.pop("rope_theta", rope.pop("rope_theta", None))
  kind = rope.pop("rope_type", "default")
  if kind != "default" or rope:
    raise ValueError(f"{where}: rope_parameters must be of rope_type 'default'")
  options: dict[str, Any] = {}
  for field, name in _SIZES.items():
    if field not in config:
      raise ValueError(f"{where}: lacks {field}")
    options[name] = config.pop(field)
  if theta is None:
    raise ValueError(f"{where}: lacks rope_theta")
  width = config.pop("head_dim", None)
  if width not in (None, options["width"] // options["heads"]):
    raise ValueError(f"{where}: head_dim={width} must be width / heads")
  unknown = sorted(set(config) - _SILENT)
  if unknown:
    raise ValueError(f"{where}: unknown field {unknown[0]!r}")
  if quantization is not None:
    options["quantize_activations"] = activations.fake_quant
  return Transformer(rope_theta=theta, **options), quantization


def _check_fixed(
  where: Path,
  config: dict[str, Any],
  fixed: dict[str, tuple[Any, ...]],
  required: str,
) -> None:
  """Takes the fields of `fixed` out of a config, if their values may be."""
  if required not in config:
    raise ValueError(f"{where}: lacks {required}")
  for field, allowed in fixed.items():
    value = config.pop(field, allowed[0])
    if value not in allowed:
      raise ValueError(f"{where}: {field}={value!r} must be {allowed[0]!r}")


def _is_offline(folder: Path, quantization: dict[str, Any]) -> bool:
  where, rest = folder / layout.CONFIG_FILE, dict(quantization)
  _check_fixed(where, rest, _FIXED_QUANT, required="quant_method")
  rest.pop("rms_norm_eps", None)  # of the norm that is not used
  chosen = {}
  for field, allowed in (
    ("linear_class", ("bitlinear", "autobitlinear")),
    ("quantization_mode", ("offline", "online")),
  ):
    chosen[field] = rest.pop(field, allowed[0])
    if chosen[field] not in allowed:
      raise ValueError(
        f"{where}: {field}={chosen[field]!r} must be one of "
        f"{', '.join(allowed)}"
      )
  if rest:
    raise ValueError(f"{where}: unknown field {sorted(rest)[0]!r}")
  return chosen != {
    "linear_class": "autobitlinear",
    "quantization_mode": "online",
  }


def _leaf(
  files: dict[str, Path],
  model: Transformer,
  path: str,
  offline: bool,
  divides: bool,
) -> np.ndarray:
  """One leaf as this project has it, float32."""
  name, kernel = layout.name_of(path), path.endswith("/kernel")
  held = _tensor(files[name], name)
  if kernel and (held.dtype == np.uint8) != offline:
    raise ValueError(
      f"{files[name]}: {name} is {held.dtype}, and must be "
      f"{'packed, uint8' if offline else 'floats'} for its quantization_config"
    )
  if kernel and offline:
    codes = layout.unpack(held).astype(np.float32)
    scale = _tensor(files[f"{name}_scale"], f"{name}_scale").astype(np.float32)
    found = codes / scale if divides else codes * scale
  else:
    found = np.asarray(held.T if kernel else held, np.float32)
  shape = _shape(model, path)
  if found.shape != shape:
    raise ValueError(
      f"{files[name]}: {name} has shape {found.shape}, not {shape}"
    )
  return found


def _shape(model: Transformer, path: str) -> tuple[int, ...]:
  """The shape that a leaf must have."""
  width, hidden = model.width, model.hidden
  keys = width // model.heads * model.kv_heads
  if path == "embed_tokens/embedding":
    return model.vocab, width
  if path.endswith("/scale"):
    return (hidden if "ffn_sub_norm" in path else width,)
  name = path.split("/")[-2]
  return {
    "q_proj": (width, width),
    "k_proj": (width, keys),
    "v_proj": (width, keys),
    "o_proj": (width, width),
    "gate_proj": (width, hidden),
    "up_proj": (width, hidden),
    "down_proj": (hidden, width),
  }[name]


def _files(folder: Path) -> dict[str, Path]:
  """Where each tensor lies."""
  index = folder / layout.INDEX_FILE
  if index.exists():
    named = _read_json(index)["weight_map"]
    return {name: folder / file for name, file in named.items()}
  path = folder / layout.WEIGHTS_FILE
  return dict.fromkeys(_names(path), path)


def _names(path: Path) -> Iterator[str]:
  with _opened(path) as file:
    yield from list(file.keys())


def _tensor(path: Path, name: str) -> np.ndarray:
  with _opened(path) as file:
    if name not in file.keys():  # noqa: SIM118, it is no dict
      raise ValueError(f"{path} lacks {name}, which its index places there")
    return np.asarray(file.get_tensor(name))


def _opened(path: Path) -> Any:
  library = extras.need("safetensors")
  with path.open("rb"):
    pass  # a missing file is said as everywhere else
  try:
    # Numpy alone knows no bfloat16.
    return library.safe_open(path, framework="flax")
  except library.SafetensorError as error:
    raise ValueError(
      f"{path} is no safetensors file, or was cut short: {error}"
    ) from None


def _read_json(path: Path) -> dict[str, Any]:
  try:
    return json.loads(path.read_text())
  except json.JSONDecodeError as error:
    raise ValueError(f"{path} is broken: {error}") from None
