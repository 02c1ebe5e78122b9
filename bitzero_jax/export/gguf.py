"""GGUF files for stock llama.cpp, arch `bitnet`, precision mixed by tensor.

A kernel is its integer codes in the smallest block type that holds them
exactly, and its scale in a float32 tensor NAME.scale, which llama.cpp
multiplies onto the product. So the weights are those of training, bit for bit;
only the embedding, which is the head too, is rounded.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax import config as config_lib
from bitzero_jax.export import carriers, extras, vocabulary, whole_file
from bitzero_jax.export.carriers import CARRIERS, Carrier
from bitzero_jax.export.model import EPS, Matrix, Model
from bitzero_jax.language import grammar

ARCHITECTURE = "bitnet"
AUTO = "auto"
TYPES = (AUTO, *CARRIERS)
EMBEDDINGS = ("q8_0", "f16", "f32")
CONFIG_KEY, ROUND_KEY = "bitzero.config", "bitzero.round"
DIGEST_KEY = "bitzero.sha256"  # of the file, these 64 letters being "0"

_NO_DIGEST = b"0" * 64

EMBEDDING = "embed_tokens/embedding"
_NAMES = {
  EMBEDDING: "token_embd",
  "norm/scale": "output_norm",
  "input_layernorm/scale": "attn_norm",
  "self_attn/q_proj/kernel": "attn_q",
  "self_attn/k_proj/kernel": "attn_k",
  "self_attn/v_proj/kernel": "attn_v",
  "self_attn/attn_sub_norm/scale": "attn_sub_norm",
  "self_attn/o_proj/kernel": "attn_output",
  "post_attention_layernorm/scale": "ffn_norm",
  "mlp/gate_proj/kernel": "ffn_gate",
  "mlp/up_proj/kernel": "ffn_up",
  "mlp/ffn_sub_norm/scale": "ffn_sub_norm",
  "mlp/down_proj/kernel": "ffn_down",
}


class Placed(NamedTuple):
  """A tensor as the file holds it.

  Attributes:
    name: without ".weight".
    carrier: its block type.
    data: uint8 [rows, bytes], or float32 [D] of a norm.
    scale: float32 [1] of a kernel, None of another tensor.
    planes: ternary planes of a kernel, 0 where there are none.
    shape: of the leaf, (I, O) of a kernel.
  """

  name: str
  carrier: Carrier
  data: np.ndarray
  scale: np.ndarray | None
  planes: int
  shape: tuple[int, ...]


def place(
  model: Model, wanted: str = AUTO, embedding: str = "q8_0"
) -> dict[str, Placed]:
  """Decides how every tensor is held, and packs it. Writes nothing.

  Args:
    model: what is shipped.
    wanted: "auto" for the smallest exact type of each kernel; or a type, for
      every kernel that it holds exactly, the others then being as with "auto".
    embedding: type of the embedding.

  Returns:
    By path of the leaf.

  Raises:
    ValueError: stock llama.cpp would not compute this model, or nothing holds
      a kernel exactly; the message names what to change. Or gguf is missing.
  """
  _check(model)
  placed = {}
  for path, matrix in model.matrices.items():
    carrier = _choose(path, matrix, wanted)
    placed[path] = Placed(
      _rename(path),
      carrier,
      carriers.pack(carrier, matrix.codes),
      matrix.scale.reshape(1).astype(np.float32),
      matrix.spec.planes,
      matrix.codes.shape,
    )
  for path, leaf in model.others.items():
    data, carrier = leaf, CARRIERS["f32"]
    if path == EMBEDDING:
      carrier = CARRIERS[embedding]
      data = _rounded(leaf, carrier)
    placed[path] = Placed(_rename(path), carrier, data, None, 0, leaf.shape)
  return placed


def write(
  model: Model, placed: dict[str, Placed], path: Path, context: int
) -> None:
  """Writes the file, whole or not at all.

  Args:
    model: what is shipped.
    placed: from `place`.
    path: of the file.
    context: columns of the longest row that the model was made for.

  Raises:
    ValueError: it cannot be written there, or gguf is not installed.
  """
  whole_file.check(path)
  library = extras.need("gguf")
  with whole_file.replacing(path) as unfinished:
    writer = library.GGUFWriter(str(unfinished), ARCHITECTURE)
    _describe(writer, model, placed, context)
    _add_tokenizer(writer, library)
    for tensor in placed.values():
      kind = library.GGMLQuantizationType(tensor.carrier.number)
      name = f"{tensor.name}.weight"
      writer.add_tensor(name, tensor.data, raw_dtype=kind)
      if tensor.scale is not None:
        writer.add_tensor(f"{tensor.name}.scale", tensor.scale)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    digest, _, place = _digest(unfinished)
    with unfinished.open("r+b") as file:
      file.seek(place)
      file.write(digest)


def remarks(model: Model, placed: dict[str, Placed]) -> Iterator[str]:
  """What is said aloud: types by tensor, and where the engine differs."""
  kinds: dict[str, list[Placed]] = {}
  for tensor in placed.values():
    if tensor.scale is not None:
      kinds.setdefault(tensor.carrier.name, []).append(tensor)
  for name, same in kinds.items():
    carrier = CARRIERS[name]
    size = sum(tensor.data.nbytes for tensor in same)
    planes = sorted({tensor.planes for tensor in same})
    yield (
      f"{len(same)} kernels as {name.upper()}, {carrier.bits:g} bits a weight, "
      f"planes {', '.join(map(str, planes))}: {size:,} bytes"
    )
  head = placed[EMBEDDING]
  yield (
    f"embedding, which is the head too, as {head.carrier.name.upper()}: "
    f"{head.data.nbytes:,} bytes"
  )
  short = sorted({t.shape[0] for t in _too_short(placed)})
  if short:
    yield (
      f"inputs of {' and '.join(map(str, short))} are no multiple of 256, so "
      "one plane is held by Q4_0, 4.5 bits a weight and not 2.0625, as exactly"
    )
  if model.config.quant.activations == "none":
    yield (
      "quant.activations='none': llama.cpp rounds activations to 8 bits all "
      "the same, except with F32"
    )
  if model.config.model.dtype != "float32":
    yield f"model.dtype={model.config.model.dtype!r}: llama.cpp runs float32"


def _too_short(placed: dict[str, Placed]) -> list[Placed]:
  return [
    t
    for t in placed.values()
    if t.planes == 1 and t.carrier.name == "q4_0" and t.shape[0] % 256
  ]


def _check(model: Model) -> None:
  """Raises ValueError where llama.cpp would compute something else."""
  activation = model.config.model.activation
  if activation != "silu":
    raise ValueError(
      f"model.activation={activation!r} must be 'silu' for GGUF: stock "
      "llama.cpp runs SiLU in this architecture, whatever the file says"
    )
  for path in (*model.matrices, *model.others):
    if _rename(path) == "":
      raise ValueError(
        f"{path}: stock llama.cpp has no place for it in this architecture, "
        "whose head is the embedding and which has no biases"
      )
  for path, matrix in model.matrices.items():
    if matrix.scale.size != 1:
      raise ValueError(
        f"quant.weights={model.config.quant.weights!r} has a scale for each "
        f"column of {path}; GGUF takes one a tensor: absmean, digits, binary, "
        "or precision.budget, planes or depths"
      )


def _choose(path: str, matrix: Matrix, wanted: str) -> Carrier:
  if wanted != AUTO and carriers.holds(CARRIERS[wanted], matrix.codes):
    return CARRIERS[wanted]
  found = carriers.smallest(matrix.codes)
  if found is None:
    key = "hidden" if "down_proj" in path else "width"
    raise ValueError(
      f"model.{key}={matrix.codes.shape[0]} must be a multiple of 32 for "
      f"GGUF: no block type holds {path}; --type=f16 holds any size"
    )
  return found


def _rename(path: str) -> str:
  """The name in the file, or "" where there is none."""
  layer = re.fullmatch(r"layers_(\d+)/(.+)", path)
  if layer is None:
    return _NAMES.get(path, "")
  inner = _NAMES.get(layer[2], "")
  return inner and f"blk.{layer[1]}.{inner}"


def _rounded(leaf: np.ndarray, carrier: Carrier) -> np.ndarray:
  """An embedding [V, D] in its type, rounded as ggml rounds."""
  if leaf.shape[1] % carrier.block:
    raise ValueError(
      f"model.width={leaf.shape[1]} must be a multiple of {carrier.block} for "
      f"--embedding={carrier.name}; f16 holds any size"
    )
  if carrier.top and carrier.block > 1:
    library = extras.need("gguf")
    kind = library.GGMLQuantizationType(carrier.number)
    return library.quants.quantize(leaf, kind)
  return carriers.pack(carrier, leaf.T)


def _describe(
  writer: Any, model: Model, placed: dict[str, Placed], context: int
) -> None:
  c = model.config.model
  kinds = sorted({t.carrier.name for t in placed.values() if t.planes})
  writer.add_name(f"BitZero {model.config.name}")
  writer.add_description(
    "A small reasoner on ternary weights, trained from nothing by verified "
    f"self-play on micro-Python: round {model.round}; kernels as "
    f"{', '.join(kinds) or 'floats'}. Positions count columns: see the project"
  )
  writer.add_quantization_version(2)
  writer.add_context_length(context)
  writer.add_embedding_length(c.width)
  writer.add_feed_forward_length(c.hidden)
  writer.add_block_count(c.layers)
  writer.add_head_count(c.heads)
  writer.add_head_count_kv(c.kv_heads)
  writer.add_layer_norm_rms_eps(EPS)
  writer.add_rope_freq_base(c.rope_theta)
  writer.add_rope_dimension_count(c.width // c.heads)
  writer.add_vocab_size(grammar.VOCABULARY)
  writer.add_uint32(ROUND_KEY, model.round)
  writer.add_string(DIGEST_KEY, _NO_DIGEST.decode())
  writer.add_string(CONFIG_KEY, json.dumps(model.config.to_dict()))


def _add_tokenizer(writer: Any, library: Any) -> None:
  words = vocabulary.words()
  kinds = library.TokenType
  # Of llama.cpp's tokenizers the one that survives text it has no words for.
  writer.add_tokenizer_model("t5")
  writer.add_token_list(words)
  writer.add_token_scores([0.0] * len(words))
  writer.add_token_types(
    [
      kinds.CONTROL if vocabulary.is_control(token) else kinds.USER_DEFINED
      for token in range(len(words))
    ]
  )
  for add in (
    writer.add_bos_token_id,
    writer.add_eos_token_id,
    writer.add_pad_token_id,
    writer.add_unk_token_id,
  ):
    add(vocabulary.END)
  writer.add_add_bos_token(False)
  writer.add_add_eos_token(False)
  writer.add_add_space_prefix(False)


def read_config(path: Path) -> tuple[Any, int]:
  """The config that such a file was made from, and the checkpoint's round.

  Raises:
    ValueError: it is no GGUF file, was cut short, is not of this project, or
      its bytes are not those that were written.
    OSError: it cannot be read.
  """
  library = extras.need("gguf")
  with path.open("rb"):
    pass  # a missing file is said as everywhere else
  try:
    fields = library.GGUFReader(path).fields
  except (ValueError, IndexError, KeyError, OverflowError) as error:
    raise ValueError(
      f"--model={path} is no GGUF file, or was cut short: {error}"
    ) from None
  if not {CONFIG_KEY, ROUND_KEY, DIGEST_KEY} <= fields.keys():
    raise ValueError(f"--model={path} was not exported by BitZero")
  digest, said, _ = _digest(path)
  if said != digest:
    raise ValueError(f"--model={path}: checksum mismatch")
  config = json.loads(fields[CONFIG_KEY].contents())
  return config_lib.of_a_run(config)[0], int(fields[ROUND_KEY].contents())


def _digest(path: Path) -> tuple[bytes, bytes, int]:
  """A file's SHA-256, what it says that this is, and where it says so."""
  data = path.read_bytes()
  # After the key: the type of the value, 4 bytes, and its length, 8.
  place = data.index(DIGEST_KEY.encode()) + len(DIGEST_KEY) + 12
  end = place + len(_NO_DIGEST)
  digest = hashlib.sha256(data[:place] + _NO_DIGEST + data[end:])
  return digest.hexdigest().encode(), data[place:end], place
