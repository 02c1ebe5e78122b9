"""What llama.cpp computes on the way, by the names of its graph.

Its scheduler calls back for each tensor, so a graph that differs from ours can
be told where it begins to differ.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitzero_jax.export.llama import ROW, Engine
from bitzero_jax.language.grammar import PAD

# Inputs of products; the block's index follows, but for the last.
NORMS = ("attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm")
LAST = "result_norm"


class Listener(Engine):
  """An engine that also tells the inputs of its products."""

  def __init__(self, path: Path, columns: int, threads: int = 1):
    """As `Engine`."""
    self._heard: dict[str, list[np.ndarray]] = {}
    self._listens = False
    super().__init__(path, columns, threads)

  def hear(self, row: Sequence[int]) -> tuple[np.ndarray, dict[str, Any]]:
    """Reads a row: logits as `read` gives them, and what was heard.

    Returns:
      float32 [T, V], and by name ("attn_norm-0", "result_norm") the inputs of
      the products, float32 [T, I]; all zero at PAD.
    """
    self._heard = {}
    logits = self.read(row)
    real = np.asarray(row) != PAD
    heard = {}
    for name, parts in self._heard.items():
      data = np.concatenate(parts).reshape(int(real.sum()), -1)
      heard[name] = np.zeros((len(row), data.shape[1]), np.float32)
      heard[name][real] = data
    return logits, heard

  def _parameters(self, columns: int, threads: int) -> Any:
    chosen = super()._parameters(columns, threads)
    kind = self._lib.ggml_backend_sched_eval_callback
    self._callback = kind(self._listen)  # must outlive the context
    chosen.cb_eval = self._callback
    return chosen

  def _listen(self, tensor: int, asks: bool, _: Any) -> bool:
    """Asked, says whether a tensor is wanted; then is given it."""
    ggml = self._lib.llama_cpp._lib  # llama-cpp-python binds none of it
    pointer = ctypes.c_void_p(tensor)
    name_of = ggml["ggml_get_name"]
    name_of.restype = ctypes.c_char_p
    name = name_of(pointer).decode()
    wanted = name == LAST or name.rpartition("-")[0] in NORMS
    if asks or not (wanted and self._listens):
      return wanted or not asks
    size_of = ggml["ggml_nbytes"]
    size_of.restype = ctypes.c_size_t
    size = size_of(pointer)
    data = np.empty(size // 4, np.float32)
    ggml["ggml_backend_tensor_get"](
      pointer,
      ctypes.c_void_p(data.ctypes.data),
      ctypes.c_size_t(0),
      ctypes.c_size_t(size),
    )
    self._heard.setdefault(name, []).append(data)
    return True

  def _decode(self, tokens: Sequence[int], sequence: int, start: int) -> None:
    self._listens = sequence == ROW
    super()._decode(tokens, sequence, start)
