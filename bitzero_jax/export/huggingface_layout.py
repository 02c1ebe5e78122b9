"""The files of BitNet b1.58 2B4T on Hugging Face: names, and packed weights.

Llama and Qwen2 name theirs in the same way, with fewer norms, and biases.

Shapes: I = input features, O = output features, R = O / 4. A kernel [I, O] is
stored as [O, I].
"""

import re

import numpy as np

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILE = "config.json"

_TOP = {
  "embed_tokens/embedding": "model.embed_tokens.weight",
  "norm/scale": "model.norm.weight",
  "lm_head/embedding": "lm_head.weight",
}


def name_of(path: str) -> str:
  """The tensor that holds the leaf at a path."""
  if path in _TOP:
    return _TOP[path]
  path = re.sub(r"^layers_(\d+)/", r"layers/\1/", path)
  bias = re.fullmatch(r"(.+/[qkv])_bias", path)
  if bias:
    return f"model.{bias[1].replace('/', '.')}_proj.bias"
  return f"model.{path.rpartition('/')[0].replace('/', '.')}.weight"


def pack(codes: np.ndarray) -> np.ndarray:
  """Trits int8 [I, O] -> uint8 [R, I].

  Bits 0-1, 2-3, 4-5 and 6-7 of a byte are rows r, r + R, r + 2R and r + 3R of
  [O, I], each as the code t + 1.
  """
  fields = (codes.T + 1).astype(np.uint8).reshape(4, -1, codes.shape[0])
  shifts = np.array([0, 2, 4, 6], np.uint8)[:, None, None]
  return np.ascontiguousarray(np.bitwise_or.reduce(fields << shifts, axis=0))


def unpack(data: np.ndarray) -> np.ndarray:
  """The inverse of `pack`: uint8 [R, I] -> int8 [I, O], 2 where it is none."""
  shifts = np.array([0, 2, 4, 6], np.uint8)[:, None, None]
  fields = (data[None] >> shifts) & 3
  return (fields.reshape(-1, data.shape[1]).astype(np.int8) - 1).T
