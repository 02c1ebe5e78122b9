"""An exported model in llama.cpp, as llama-cpp-python brings it.

BitZero's rows have fixed slots, so their positions have gaps where a slot is
not full, and llama.cpp takes positions without gaps alone. So before a gap the
keys that were read are turned back by its width, which is what rotary embedding
makes of a distance: llama.cpp's own context shift does it. The positions that
it keeps beside the keys are then put back.
"""

import contextlib
import ctypes
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitzero_jax.export import extras, vocabulary
from bitzero_jax.language.grammar import PAD

ROW, _OTHER = 0, 1  # sequences: the row that is read, and a throw-away
_FLOAT32 = 0  # ggml's number of it


@functools.cache
def _silence(lib: Any) -> Any:
  """Keeps llama.cpp from writing; the callback must outlive every engine."""
  quiet = lib.llama_log_callback(lambda level, text, data: None)
  lib.llama_log_set(quiet, ctypes.c_void_p(0))
  return quiet


class Engine:
  """One model, one row at a time. Close it, or use it in `with`."""

  def __init__(self, path: Path, columns: int, threads: int = 1):
    """Opens a GGUF file.

    Args:
      path: of the file.
      columns: of the longest row.
      threads: of the CPU.

    Raises:
      ValueError: llama.cpp opens no such file or has no room for the columns,
        or llama-cpp-python is missing.
      OSError: it cannot be read.
    """
    with path.open("rb"):
      pass  # a missing file is said as everywhere else
    self._lib: Any = extras.need("llama_cpp")
    lib = self._lib
    _silence(lib)
    lib.llama_backend_init()
    self._room = columns
    self._model = lib.llama_model_load_from_file(
      str(path).encode(), lib.llama_model_default_params()
    )
    if not self._model:
      raise ValueError(f"--model={path}: llama.cpp does not open it")
    self._context = lib.llama_init_from_model(
      self._model, self._parameters(columns, threads)
    )
    if not self._context:
      lib.llama_model_free(self._model)
      raise ValueError(
        f"--model={path}: llama.cpp has no room for {columns} columns"
      )
    self._vocabulary = lib.llama_model_get_vocab(self._model)
    self._memory = lib.llama_get_memory(self._context)
    self._batch = lib.llama_batch_init(columns, 0, 1)
    self._next = 0  # position of the next column of the row

  def _parameters(self, columns: int, threads: int) -> Any:
    chosen = self._lib.llama_context_default_params()
    chosen.n_ctx = 2 * columns
    chosen.n_batch = chosen.n_ubatch = columns
    chosen.n_seq_max, chosen.kv_unified = 2, True
    chosen.n_threads = chosen.n_threads_batch = threads
    # Keys and values as in training: float16, the default, costs a percent.
    chosen.type_k = chosen.type_v = _FLOAT32
    chosen.flash_attn_type = self._lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return chosen

  def __enter__(self) -> "Engine":
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def close(self) -> None:
    """Frees all of it."""
    self._lib.llama_batch_free(self._batch)
    self._lib.llama_free(self._context)
    self._lib.llama_model_free(self._model)

  def read(self, row: Sequence[int]) -> np.ndarray:
    """Forgets what it read and reads a row, its padding being gaps.

    Args:
      row: int [T], PAD anywhere.

    Returns:
      Logits at every column, float32 [T, V]; zero at PAD.

    Raises:
      ValueError: it has more columns than the engine was opened for.
    """
    if len(row) > self._room:  # llama.cpp would write past its batch
      raise ValueError(
        f"a row of {len(row)} columns is longer than columns={self._room}"
      )
    self._lib.llama_memory_clear(self._memory, True)
    self._next = self._room  # a shift back never leaves the positions
    found = np.zeros((len(row), self._width()), np.float32)
    gap = 0
    for is_pad, run in itertools.groupby(enumerate(row), lambda c: c[1] == PAD):
      columns, tokens = zip(*run, strict=True)
      if is_pad:
        gap = len(tokens) if columns[0] else 0  # in front there is none
        continue
      if gap:
        self._turn_back(gap)
        gap = 0
      self._decode(tokens, ROW, self._next)
      self._next += len(tokens)
      for place, column in enumerate(columns):
        found[column] = self._logits(place)
    return found

  def extend(self, token: int) -> np.ndarray:
    """Reads one more token: logits after it, float32 [V]."""
    self._decode([token], ROW, self._next)
    self._next += 1
    return self._logits(0)

  def answers(
    self,
    row: Sequence[int],
    gbnf: str,
    length: int,
    seeds: Sequence[int] | None = None,
  ) -> list[list[int]]:
    """Writes answers to a prompt under a grammar, by llama.cpp's samplers.

    Args:
      row: int [P], PAD anywhere but in the last column.
      gbnf: the grammar of an answer, which `vocabulary.END` ends.
      length: most tokens of an answer; what is longer is cut.
      seeds: one answer at temperature 1 for each; None for the greedy one.

    Returns:
      Tokens of each answer, END not among them.

    Raises:
      ValueError: llama.cpp does not read the grammar.
    """
    self.read(row)
    start, written = self._next, []
    with self._sampler(gbnf) as grammar:
      for seed in [None] if seeds is None else seeds:
        # The prompt's last token again: its logits are those to sample from.
        self._forget_from(start - 1)
        self.extend(row[-1])
        written.append(self._write(grammar, length, seed))
    return written

  def _write(self, grammar: Any, length: int, seed: int | None) -> list[int]:
    lib = self._lib
    chain = lib.llama_sampler_chain_init(
      lib.llama_sampler_chain_default_params()
    )
    lib.llama_sampler_chain_add(chain, lib.llama_sampler_clone(grammar))
    last = (
      lib.llama_sampler_init_greedy()
      if seed is None
      else lib.llama_sampler_init_dist(seed)
    )
    lib.llama_sampler_chain_add(chain, last)
    tokens: list[int] = []
    try:
      while len(tokens) < length:
        token = lib.llama_sampler_sample(chain, self._context, -1)
        if token == vocabulary.END:
          break
        tokens.append(token)
        if len(tokens) < length:
          self.extend(token)
    finally:
      lib.llama_sampler_free(chain)
    return tokens

  @contextlib.contextmanager
  def _sampler(self, gbnf: str) -> Iterator[Any]:
    found = self._lib.llama_sampler_init_grammar(
      self._vocabulary, gbnf.encode(), b"root"
    )
    if not found:
      raise ValueError("llama.cpp does not read this grammar")
    try:
      yield found
    finally:
      self._lib.llama_sampler_free(found)

  def _forget_from(self, position: int) -> None:
    self._next = position
    self._lib.llama_memory_seq_rm(self._memory, ROW, position, -1)

  def _width(self) -> int:
    return self._lib.llama_vocab_n_tokens(self._vocabulary)

  def _logits(self, place: int) -> np.ndarray:
    pointer = self._lib.llama_get_logits_ith(self._context, place)
    return np.ctypeslib.as_array(pointer, (self._width(),)).copy()

  def _decode(self, tokens: Sequence[int], sequence: int, start: int) -> None:
    batch = self._batch
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
      batch.token[i] = token
      batch.pos[i] = start + i
      batch.n_seq_id[i] = 1
      batch.seq_id[i][0] = sequence
      batch.logits[i] = True
    status = self._lib.llama_decode(self._context, batch)
    if status:
      raise RuntimeError(f"llama.cpp refused {len(tokens)} tokens: {status}")

  def _turn_back(self, width: int) -> None:
    """Turns the keys of the row back; their positions stay."""
    lib, memory = self._lib, self._memory
    lib.llama_memory_seq_add(memory, ROW, 0, -1, -width)
    self._decode([vocabulary.END], _OTHER, 0)  # a pending shift is done first
    lib.llama_memory_seq_rm(memory, _OTHER, -1, -1)
    lib.llama_memory_seq_add(memory, ROW, 0, -1, width)
    # That shift stays pending, and is dropped with what it was pending for.
    size = lib.llama_state_seq_get_size(self._context, ROW)
    state = (ctypes.c_uint8 * size)()
    lib.llama_state_seq_get_data(self._context, state, size, ROW)
    lib.llama_memory_seq_rm(memory, ROW, -1, -1)
    lib.llama_state_seq_set_data(self._context, state, size, ROW)
