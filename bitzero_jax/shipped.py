"""From a run, or from a packed file, to a file that runs elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bitzero_jax import build, restored
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import exam
from bitzero_jax.export import (
  gguf,
  huggingface_write,
  packed,
  vocabulary,
  whole_file,
)
from bitzero_jax.export import model as model_lib
from bitzero_jax.export.model import Model
from bitzero_jax.language import levels
from bitzero_jax.runtime import bucket


def check(format: str, out: Path, kind: str | None, head: str | None) -> None:
  """Refuses what is wrong with a command before anything is opened.

  Raises:
    ValueError: the file cannot be written there, or an option has a value that
      is not allowed or belongs to another format.
  """
  if format == "huggingface":
    huggingface_write.check(out)
  else:
    whole_file.check(out)
  for name, value, allowed in (
    ("type", kind, gguf.TYPES),
    ("embedding", head, gguf.EMBEDDINGS),
  ):
    if value is not None and format != "gguf":
      raise ValueError(f"--{name}={value} needs --format=gguf")
    if value is not None and value not in allowed:
      raise ValueError(f"--{name}={value} must be one of {', '.join(allowed)}")


def open_model(
  workdir: str | os.PathLike[str] | None, which: str, file: str | None
) -> Model:
  """What is to be shipped, from one of two places.

  Args:
    workdir: a run's folder, or None.
    which: its "last" or its "best" checkpoint.
    file: a packed file, or None.

  Raises:
    ValueError: there is no such model; or its precision still moves, so that
      no file of its bits holds what the run computes.
  """
  if file is not None:
    return packed.read(Path(file))
  assert workdir is not None
  config, params, number = restored.restore(bucket.locate(workdir), which)
  if not config_lib.settled(config, number * config.learn.updates):
    raise ValueError(
      f"--workdir={workdir}: at round {number} of {config.rounds} precision "
      "still moves (precision.ramp_weights, ramp_activations, planes_at or "
      "freeze), so no file holds these weights: train on first"
    )
  quantizer = build.build_quantizer(config)
  choice = build.build_choice(config, params)
  return model_lib.of_params(config, number, params, quantizer, choice)


def write_packed(model: Model, path: Path, *_: None) -> Iterator[str]:
  """Writes a packed file and says what is in it.

  Raises:
    ValueError: as for `packed.write`.
  """
  manifest = packed.write(model, path)
  rows = manifest["tensors"].values()
  kernels = [row for row in rows if "quantizer" in row]
  planes = sorted({row["planes"] for row in kernels})
  yield (
    f"{path}: {path.stat().st_size:,} bytes, {len(kernels)} kernels "
    f"({_names(kernels)}; planes {', '.join(map(str, planes))}: "
    f"{sum(row['bytes'] for row in kernels):,} bytes), "
    f"{len(rows) - len(kernels)} float32 tensors"
  )


def write_gguf(
  model: Model, path: Path, kind: str | None, head: str | None
) -> Iterator[str]:
  """Writes a GGUF file and says what is in it.

  Args:
    model: from `open_model`.
    path: of the file.
    kind: as `gguf.place` takes it, None for "auto".
    head: type of the embedding, None for "q8_0".

  Raises:
    ValueError: as for `gguf.place` and `gguf.write`.
  """
  placed = gguf.place(model, kind or gguf.AUTO, head or gguf.EMBEDDINGS[0])
  gguf.write(model, placed, path, longest_row(model.config))
  yield f"{path}: {path.stat().st_size:,} bytes"
  for line in gguf.remarks(model, placed):
    yield f"  {line}"


def write_gbnf(model: Model, path: Path, *_: None) -> Iterator[str]:
  """Writes the grammar of the model's programs, for llama.cpp's sampler.

  Raises:
    ValueError: it cannot be written there.
  """
  level = levels.LEVELS[model.config.language.levels[-1]]
  with whole_file.replacing(path) as unfinished:
    unfinished.write_text(vocabulary.gbnf(level, "program"))
  yield f"{path}: the grammar of programs"


def write_huggingface(model: Model, folder: Path, *_: None) -> Iterator[str]:
  """Writes a folder that `transformers` loads and says how large it is.

  Raises:
    ValueError: as for `huggingface_write.write`.
  """
  size = huggingface_write.write(model, folder, longest_row(model.config))
  dense = huggingface_write.is_dense(model)
  form = "as floats" if dense else "packed, one plane each"
  yield f"{folder}: {size:,} bytes of weights, kernels {form}"
  if model.config.model.dtype != "float32":
    yield f"  model.dtype={model.config.model.dtype!r}: the folder says float32"


def longest_row(config: Any) -> int:
  """Columns of the longest row, those of the exam's longer programs too."""
  sizes = build.build_language(config).sizes
  sizes = sizes._replace(program=sizes.program + exam.LONGER)
  return max(map(sum, (sizes.answer_value, sizes.answer_program)))


def _names(kernels: list[dict]) -> str:
  return ", ".join(sorted({row["quantizer"]["name"] for row in kernels}))
