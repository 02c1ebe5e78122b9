"""Our own packed checkpoint: one safetensors file that runs as it lies.

A kernel is PATH.planes, uint8 [P, O, R], laid out by `ternary_matmul.layout`,
and PATH.scale, float32 [] or [1, O]. Every other leaf is PATH, float32. The
file's metadata holds two texts: `bitzero`, a manifest in JSON, and `sha256` of
that text. The manifest is {"format", "round", "config", "tensors"}, and of each
tensor it says shape, bytes and SHA-256; of a kernel also the quantizer.

Any reader of safetensors opens it. What it gives is what was trained, bit for
bit; what it lacks are the latent weights, so training cannot go on from it.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bitzero_jax import config as config_lib
from bitzero_jax.export import extras, whole_file
from bitzero_jax.export.model import Matrix, Model, transformer
from bitzero_jax.models import leaves
from bitzero_jax.quant import table
from bitzero_jax.quant.base import Packed, Quantizer, QuantSpec

FORMAT = 1
_WITH_PLANES = ("digits", "adaptive", "allocated", "nested")


def write(model: Model, path: Path) -> dict[str, Any]:
  """Writes the file, whole or not at all, and returns its manifest.

  Raises:
    ValueError: it cannot be written there, or safetensors is not installed.
  """
  whole_file.check(path)
  numpy_files = extras.need("safetensors.numpy")
  arrays: dict[str, np.ndarray] = {}
  rows: dict[str, dict[str, Any]] = {}
  for name, matrix in model.matrices.items():
    packed = _quantizer(matrix.spec).pack(*_device(matrix))
    parts = {
      f"{name}.planes": np.asarray(packed.planes),
      f"{name}.scale": np.asarray(packed.scale),
    }
    arrays |= parts
    rows[name] = {
      "shape": list(matrix.codes.shape),
      "planes": matrix.spec.planes,
      "stored_bits": matrix.spec.stored_bits,
      "quantizer": dataclasses.asdict(matrix.spec),
      **_measure(list(parts.values())),
    }
  for name, leaf in model.others.items():
    # safetensors writes memory as it lies, whatever its order.
    arrays[name] = np.ascontiguousarray(leaf)
    rows[name] = {"shape": list(leaf.shape), **_measure([leaf])}
  manifest = {
    "format": FORMAT,
    "round": model.round,
    "config": model.config.to_dict(),
    "tensors": rows,
  }
  text = json.dumps(manifest, sort_keys=True)
  metadata = {"bitzero": text, "sha256": _digest(text.encode())}
  with whole_file.replacing(path) as unfinished:
    # Not `save_file`, which lets nobody else read the file.
    unfinished.write_bytes(numpy_files.save(arrays, metadata))
  return json.loads(text)


def read(path: Path) -> Model:
  """Opens such a file and checks all of it.

  Raises:
    ValueError: it is not such a file, was cut short, is of another format, or
      its bytes are not those that were written; or safetensors is not
      installed. One line.
    OSError: it cannot be read.
  """
  safetensors = extras.need("safetensors")
  with path.open("rb"):
    pass  # a missing file is said as everywhere else
  try:
    with safetensors.safe_open(path, framework="numpy") as file:
      manifest = _manifest(path, file.metadata() or {})
      held = set(file.keys())
      arrays = {name: file.get_tensor(name) for name in held}
  except safetensors.SafetensorError as error:
    raise ValueError(
      f"--model={path} is no packed model, or was cut short: {error}"
    ) from None
  try:
    config = _config(manifest)
  except ValueError as error:
    raise ValueError(f"--model={path}: {error}") from None
  matrices, others = {}, {}
  for name, row in manifest["tensors"].items():
    kernel = "quantizer" in row
    names = [f"{name}.planes", f"{name}.scale"] if kernel else [name]
    if not held.issuperset(names):
      raise ValueError(f"--model={path} lacks the tensor {name}")
    parts = [arrays[n] for n in names]
    if _measure(parts) != {k: row[k] for k in ("bytes", "sha256")}:
      raise ValueError(f"--model={path}: checksum mismatch in {name}")
    _check_form(path, name, row, parts)
    if not kernel:
      others[name] = parts[0]
      continue
    packed = Packed(*parts, shape=tuple(row["shape"]))
    try:
      spec = _spec(row["quantizer"])
      codes, scale = jax.device_get(_quantizer(spec).unpack(packed))
    except ValueError as error:  # of its quantizer or its shape
      raise ValueError(f"--model={path}: {name}: {error}") from None
    matrices[name] = Matrix(np.asarray(codes), np.asarray(scale), spec)
  return Model(config, manifest["round"], matrices, others)


def _check_form(
  path: Path, name: str, row: dict[str, Any], parts: list[np.ndarray]
) -> None:
  """Raises ValueError where dtypes or the shape are not the manifest's."""
  wanted = ["uint8", "float32"][2 - len(parts) :]
  found = [part.dtype.name for part in parts]
  if found != wanted:
    raise ValueError(
      f"--model={path}: {name} is {' and '.join(found)}, not "
      f"{' and '.join(wanted)}"
    )
  shape = list(parts[0].shape)
  if len(parts) == 1 and shape != row["shape"]:
    raise ValueError(
      f"--model={path}: {name} has shape {shape}, not {row['shape']}"
    )
  if len(parts) == 2 and parts[1].shape not in ((), (1, row["shape"][1])):
    raise ValueError(
      f"--model={path}: the scale of {name} has shape {parts[1].shape}, not () "
      f"or {(1, row['shape'][1])}"
    )


def _manifest(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
  text = metadata.get("bitzero")
  if text is None:
    raise ValueError(f"--model={path} is safetensors, but no packed model")
  if metadata.get("sha256") != _digest(text.encode()):
    raise ValueError(f"--model={path}: checksum mismatch in its manifest")
  try:
    manifest = json.loads(text)
  except json.JSONDecodeError as error:
    raise ValueError(f"--model={path}: broken manifest: {error}") from None
  found = manifest.get("format") if isinstance(manifest, dict) else None
  if found != FORMAT:
    raise ValueError(f"--model={path} has format {found}, not {FORMAT}")
  for name, kind in (("round", int), ("config", dict), ("tensors", dict)):
    if not isinstance(manifest.get(name), kind):
      raise ValueError(f"--model={path}: broken manifest: {name}")
  for name, row in manifest["tensors"].items():
    if not _is_row(row):
      raise ValueError(f"--model={path}: broken manifest: {name}")
  return manifest


def _is_row(row: Any) -> bool:
  """Whether this is what a manifest says of a tensor."""
  if not (isinstance(row, dict) and {"bytes", "sha256"} <= row.keys()):
    return False
  if not isinstance(row.get("quantizer", {}), dict):
    return False
  shape = row.get("shape")
  return isinstance(shape, list) and all(type(n) is int for n in shape)


def _config(manifest: dict[str, Any]) -> Any:
  """The run's config, whose model has just these tensors."""
  config, _ = config_lib.of_a_run(manifest["config"])
  rows = manifest["tensors"].items()
  found = {name: tuple(row["shape"]) for name, row in rows}
  leaves.check(transformer(config), found)
  return config


def _spec(fields: dict[str, Any]) -> QuantSpec:
  known = [field.name for field in dataclasses.fields(QuantSpec)]
  if sorted(fields) != sorted(known):
    raise ValueError(f"its quantizer must say {', '.join(known)}")
  spec = QuantSpec(**fields)
  if _quantizer(spec).spec != spec:
    raise ValueError(f"its quantizer is none of this version: {fields}")
  return spec


def _quantizer(spec: QuantSpec) -> Quantizer:
  planes = {"planes": spec.planes} if spec.name in _WITH_PLANES else {}
  return table.make(spec.name, **planes)


def _device(matrix: Matrix) -> tuple[jax.Array, jax.Array]:
  return jax.numpy.asarray(matrix.codes), jax.numpy.asarray(matrix.scale)


def _measure(parts: list[np.ndarray]) -> dict[str, Any]:
  data = [np.ascontiguousarray(part).tobytes() for part in parts]
  return {"bytes": sum(map(len, data)), "sha256": _digest(*data)}


def _digest(*data: bytes) -> str:
  digest = hashlib.sha256()
  for piece in data:
    digest.update(piece)
  return digest.hexdigest()
