"""What llama.cpp computes on the way, by the names of its graph.

Its scheduler calls back for each tensor, so a graph that differs from ours can
be told where it begins to differ.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitzero_jax.export.engine import LAST, NORMS
from bitzero_jax.export.llama import ROW, Engine
from bitzero_jax.language.grammar import PAD


class Listener(Engine):
  """An engine that also tells the inputs of its products."""

  def __init__(self, path: Path, columns: int, threads: int = 1):
    """As `Engine`."""
    self._heard: dict[str, list[np.ndarray]] = {}  # by name, of each run
    self._listens = False
    super().__init__(path, columns, threads)
    layers = range(self._lib.llama_model_n_layer(self._model))
    self._names = {LAST, *(f"{norm}-{i}" for norm in NORMS for i in layers)}

  def hear(self, row: Sequence[int]) -> tuple[np.ndarray, dict[str, Any]]:
    """Reads a row: logits as `read` gives them, and what was heard.

    Returns:
      float32 [T, V], and by name ("attn_norm-0", "result_norm") the inputs of
      the products, float32 [T, I]; all zero at PAD.

    Raises:
      ValueError: as for `read`.
      RuntimeError: this llama.cpp has no such inputs, or other ones.
    """
    self._heard = {}
    logits = self.read(row)
    real = np.asarray(row) != PAD
    # An error in a callback of C reaches nobody: it shows here.
    if real.any() and set(self._heard) != self._names:
      odd = min(set(self._heard) ^ self._names)
      raise RuntimeError(f"llama.cpp's graph has other inputs than ours: {odd}")
    heard = {}
    for name, parts in self._heard.items():
      data = np.concatenate(parts).reshape(int(real.sum()), -1)
      heard[name] = np.zeros((len(row), data.shape[1]), np.float32)
      heard[name][real] = data
    return logits, heard

  def _parameters(self, columns: int, threads: int) -> Any:
    chosen = super()._parameters(columns, threads)
    # llama-cpp-python binds none of ggml's functions.
    ggml = self._lib.llama_cpp._lib
    self._name_of = ggml["ggml_get_name"]
    self._name_of.restype = ctypes.c_char_p
    self._size_of = ggml["ggml_nbytes"]
    self._size_of.restype = ctypes.c_size_t
    self._copy = ggml["ggml_backend_tensor_get"]
    kind = self._lib.ggml_backend_sched_eval_callback
    self._callback = kind(self._listen)  # must outlive the context
    chosen.cb_eval = self._callback
    return chosen

  def _listen(self, tensor: int, asks: bool, _: Any) -> bool:
    """Asked, says whether a tensor is wanted; then is given it, and goes on."""
    pointer = ctypes.c_void_p(tensor)
    name = self._name_of(pointer).decode()
    wanted = name == LAST or name.rpartition("-")[0] in NORMS
    if asks:
      return wanted and self._listens
    if wanted and self._listens:
      size = self._size_of(pointer)
      data = np.empty(size // 4, np.float32)
      start = ctypes.c_size_t(0)
      target = ctypes.c_void_p(data.ctypes.data)
      self._copy(pointer, target, start, ctypes.c_size_t(size))
      self._heard.setdefault(name, []).append(data)
    return True

  def _decode(self, tokens: Sequence[int], sequence: int, start: int) -> None:
    self._listens = sequence == ROW
    super()._decode(tokens, sequence, start)
