"""A model as a folder that `transformers` loads: ternary packed, or floats."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from bitzero_jax.export import extras
from bitzero_jax.export import huggingface_layout as layout
from bitzero_jax.export.model import EPS, Matrix, Model, transformer
from bitzero_jax.language import grammar
from bitzero_jax.models import leaves


def check(folder: Path) -> None:
  """Asks, before any work, whether the folder can be made.

  Raises:
    ValueError: there is something, or it would lie in none that can be written.
  """
  if folder.exists():
    raise ValueError(f"--out={folder} exists: give a new folder's name")
  if not os.access(folder.parent, os.W_OK | os.X_OK):
    raise ValueError(f"--out={folder}: {folder.parent} cannot be written")


def write(model: Model, folder: Path, context: int) -> int:
  """Writes config.json and model.safetensors, both or nothing.

  Args:
    model: of one plane in every kernel, or of none, as floats.
    folder: must not exist.
    context: columns of the longest row that the model was made for.

  Returns:
    Bytes of the weights.

  Raises:
    ValueError: this layout does not hold the model, the folder cannot be made,
      or safetensors is not installed.
  """
  check(folder)
  _check(model)
  library = extras.need("safetensors.numpy")
  tensors: dict[str, np.ndarray] = {}
  for path, matrix in model.matrices.items():
    name = layout.name_of(path)
    if is_dense(model):
      tensors[name] = np.ascontiguousarray((matrix.codes * matrix.scale).T)
      continue
    tensors[name] = layout.pack(matrix.codes)
    # "autobitlinear" multiplies by it; other classes would divide.
    tensors[f"{name}_scale"] = matrix.scale.reshape(1)
  for path, leaf in model.others.items():
    tensors[layout.name_of(path)] = np.ascontiguousarray(leaf)
  data = library.save(tensors, {"format": "pt"})
  unfinished = folder.with_name(f"{folder.name}.unfinished")
  shutil.rmtree(unfinished, ignore_errors=True)
  try:
    unfinished.mkdir()
    text = json.dumps(_config(model, context), indent=2)
    (unfinished / layout.CONFIG_FILE).write_text(text + "\n")
    (unfinished / layout.WEIGHTS_FILE).write_bytes(data)
    os.rename(unfinished, folder)
  finally:
    shutil.rmtree(unfinished, ignore_errors=True)
  return len(data)


def is_dense(model: Model) -> bool:
  """Whether kernels are written as floats: the run rounds nothing."""
  quant = model.config.quant
  return (quant.weights, quant.activations) == ("identity", "none")


def _check(model: Model) -> None:
  if not is_dense(model):
    for path, matrix in model.matrices.items():
      _check_kernel(model.config, path, matrix)
    if model.config.quant.activations != "int8":
      raise ValueError(
        f"quant.activations={model.config.quant.activations!r} must be 'int8' "
        "for Hugging Face's BitNet, which rounds them"
      )
  known = leaves.shapes(transformer(model.config))
  for path in (*model.matrices, *model.others):
    if path not in known:
      raise ValueError(f"{path}: Hugging Face's BitNet has no place for it")


def _check_kernel(config: Any, path: str, matrix: Matrix) -> None:
  if matrix.spec.planes != 1 or matrix.scale.size != 1:
    raise ValueError(
      f"{path} has {matrix.spec.planes or 'no'} ternary planes: Hugging Face's "
      "BitNet holds one, with one scale; set quant.weights='absmean', or "
      "quant.planes=1, and no precision.budget, planes or depths above it; "
      "or keep floats: quant.weights='identity', quant.activations='none'"
    )
  if matrix.codes.shape[1] % 4:
    raise ValueError(
      f"{path} has {matrix.codes.shape[1]} outputs; Hugging Face's BitNet "
      f"packs multiples of 4: change model.width={config.model.width} or "
      f"model.hidden={config.model.hidden}"
    )


def _config(model: Model, context: int) -> dict[str, Any]:
  c = model.config.model
  quantization = {
    "quant_method": "bitnet",
    "linear_class": "autobitlinear",
    "quantization_mode": "offline",
  }
  held = {} if is_dense(model) else {"quantization_config": quantization}
  return {
    "architectures": ["BitNetForCausalLM"],
    "model_type": "bitnet",
    "vocab_size": grammar.VOCABULARY,
    "hidden_size": c.width,
    "intermediate_size": c.hidden,
    "num_hidden_layers": c.layers,
    "num_attention_heads": c.heads,
    "num_key_value_heads": c.kv_heads,
    "hidden_act": c.activation,
    "max_position_embeddings": context,
    "rms_norm_eps": EPS,
    "rope_theta": c.rope_theta,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "bos_token_id": grammar.PAD,
    "eos_token_id": grammar.PAD,
    "pad_token_id": grammar.PAD,
    "dtype": "float32",
    "bitzero": {"round": model.round, "config": model.config.to_dict()},
    **held,
  }
