"""Checkpoints from Hugging Face's files: BitNet's, and dense ones to start.

BitNet b1.58 2B4T's layout is read as it is run there. Llama's and Qwen2's are
read as latent weights in full precision: the start of ternary fine-tuning.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from bitzero_jax.export import extras, huggingface_config
from bitzero_jax.export import huggingface_layout as layout
from bitzero_jax.export.huggingface_config import Described, read_json
from bitzero_jax.models import leaves
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import absmean, tree

_FLOATS, _PACKED = ("F32", "BF16", "F16"), ("U8",)


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

  One tensor at a time is in memory beside the result. Three forms are known, of
  each of BitNet, Llama and Qwen2: kernels as floats that are made ternary as
  they run ("online"); packed kernels ("offline"), whose `weight_scale` is
  multiplied with by the class "autobitlinear" and divided by where another, or
  none, is named; and kernels that are used as they are, where there is no
  quantization_config.

  Raises:
    ValueError: a field is unknown or says what this project does not compute,
      a tensor is missing, unknown, of the wrong shape or dtype, or holds what
      cannot be; the weights are there twice; or a file was cut short; each by
      name, in one line. Or safetensors is missing.
    OSError: a file cannot be read.
  """
  described = huggingface_config.read(folder)
  shapes = leaves.shapes(described.model)
  files = _files(folder)
  names = {layout.name_of(path) for path in shapes}
  scales = {f"{n}_scale" for n in names if n.endswith("_proj.weight")}
  wanted = names | scales if described.packed else names
  for problem, found in (
    ("unknown tensor", set(files) - wanted),
    ("lacks", wanted - set(files)),
  ):
    if found:
      raise ValueError(f"{folder}: {problem} {min(found)}")
  held = {
    path: _leaf(files, described, path, shape) for path, shape in shapes.items()
  }
  params = traverse_util.unflatten_dict(held, sep="/")
  latent = not described.dense and not described.packed
  return Imported(described.model, params, latent)


def _leaf(
  files: dict[str, Path],
  described: Described,
  path: str,
  shape: tuple[int, ...],
) -> np.ndarray:
  """One leaf as this project has it, float32: of `shape`, a kernel [I, O]."""
  name, kernel = layout.name_of(path), path.endswith("/kernel")
  stored = shape[::-1] if kernel else shape
  if not (kernel and described.packed):
    held = _tensor(files[name], name, stored, _FLOATS)
    return np.asarray(held.T if kernel else held, np.float32)
  outputs, inputs = stored
  if outputs % 4:
    raise ValueError(
      f"{files[name]}: {name} has {outputs} outputs, and packed ones are "
      "multiples of 4"
    )
  held = _tensor(files[name], name, (outputs // 4, inputs), _PACKED)
  codes = layout.unpack(held)
  if codes.max() > 1:  # two bits have room for a fourth
    raise ValueError(f"{files[name]}: {name} holds codes that are no trits")
  name = f"{name}_scale"
  scale = _tensor(files[name], name, (1,), _FLOATS).astype(np.float32)
  if not np.isfinite(scale[0]) or (described.divides and scale[0] == 0):
    raise ValueError(
      f"{files[name]}: {name}={scale[0]} must be finite"
      + (", and not 0" if described.divides else "")
    )
  return codes / scale if described.divides else codes * scale


def _files(folder: Path) -> dict[str, Path]:
  """Where each tensor lies."""
  index, path = folder / layout.INDEX_FILE, folder / layout.WEIGHTS_FILE
  if not index.exists():
    with _opened(path) as file:
      return dict.fromkeys(file.keys(), path)
  if path.exists():
    raise ValueError(
      f"{folder} holds {path.name} and {index.name}: only one can be meant"
    )
  named = read_json(index).get("weight_map")
  if not isinstance(named, dict):
    raise ValueError(f"{index} is broken: it lacks weight_map")
  for file in named.values():
    if not isinstance(file, str) or Path(file).name != file:
      raise ValueError(
        f"{index}: {file!r} must be the name of a file beside it"
      )
  return {name: folder / file for name, file in named.items()}


def _tensor(
  path: Path, name: str, shape: tuple[int, ...], dtypes: tuple[str, ...]
) -> np.ndarray:
  """One tensor, which must have that shape and one of those dtypes."""
  with _opened(path) as file:
    if name not in file.keys():  # noqa: SIM118, it is no dict
      raise ValueError(f"{path} lacks {name}, which its index places there")
    found = file.get_slice(name)
    if found.get_dtype() not in dtypes:
      raise ValueError(
        f"{path}: {name} is {found.get_dtype()}, and must be "
        f"{' or '.join(dtypes)} by its {layout.CONFIG_FILE}"
      )
    if tuple(found.get_shape()) != shape:
      raise ValueError(
        f"{path}: {name} has shape {tuple(found.get_shape())}, not {shape} "
        f"as its {layout.CONFIG_FILE} says"
      )
    return np.asarray(file.get_tensor(name))


def _opened(path: Path) -> Any:
  """A safetensors file, for `with`."""
  library = extras.need("safetensors")
  with path.open("rb"):
    pass  # a missing file is said as everywhere else
  try:
    return library.safe_open(path, framework="numpy")
  except library.SafetensorError as error:
    raise ValueError(
      f"{path} is no safetensors file, or was cut short: {error}"
    ) from None
