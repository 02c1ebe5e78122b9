"""GGUF block types that hold integer codes exactly, and their bytes.

A block is a run of weights along the input axis. Its stored scale is always 1
here: a tensor's own scale stands beside it in float32, so nothing is rounded.

Shapes: I = input features, O = output features, N = weights in a block,
B = I / N blocks of a row.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_ONE = np.float16(1)


class Carrier(NamedTuple):
  """One block type.

  Attributes:
    name: ggml's, in lower case.
    number: ggml's enum.
    block: N.
    bytes: of a block.
    top: largest magnitude of a code; 0 where floats are kept as they are.
    activations: how many inputs share a scale when ggml multiplies with this
      type: 256 (one float32, Q8_K), 32 (one float16, Q8_0), 16 (rounded to
      float16, no scale), or 0 (float32).
    pack: codes int8 [O, B, N] -> uint8 [O, B, bytes].
  """

  name: str
  number: int
  block: int
  bytes: int
  top: int
  activations: int
  pack: Callable[[np.ndarray], np.ndarray]

  @property
  def bits(self) -> float:
    """Stored bits a weight."""
    return 8 * self.bytes / self.block


def _scales(blocks: np.ndarray) -> np.ndarray:
  """A float16 one for each block, as bytes [O, B, 2]."""
  ones = np.full((*blocks.shape[:2], 1), _ONE, "<f2")
  return ones.view(np.uint8)


def _tq1_0(codes: np.ndarray) -> np.ndarray:
  """Five trits a byte: base 3, then stretched so that 3 * byte tells a trit.

  Of 256, the first 160 stand in 32 bytes, five 32 apart in each; the next 80 in
  16 bytes, five 16 apart; the last 16 in 4 bytes, four of them 4 apart.
  """
  trits = (codes + 1).astype(np.uint16)
  shape = trits.shape[:2]

  def five(part: np.ndarray, width: int) -> np.ndarray:
    rows = part.reshape(*shape, -1, width)
    value = np.zeros((*shape, width), np.uint16)
    for i in range(5):
      value = value * 3 + (rows[..., i, :] if i < rows.shape[2] else 0)
    return ((value * 256 + 242) // 243).astype(np.uint8)

  return np.concatenate(
    [
      five(trits[..., :160], 32),
      five(trits[..., 160:240], 16),
      five(trits[..., 240:], 4),
      _scales(trits),
    ],
    axis=-1,
  )


def _tq2_0(codes: np.ndarray) -> np.ndarray:
  """Four codes + 1 a byte, 32 apart, the first in the lowest bits; twice."""
  fields = (codes + 1).astype(np.uint8).reshape(*codes.shape[:2], 2, 4, 32)
  shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
  data = np.bitwise_or.reduce(fields << shifts, axis=-2)
  return np.concatenate(
    [data.reshape(*codes.shape[:2], 64), _scales(codes)], -1
  )


def _nibbles(fields: np.ndarray) -> np.ndarray:
  """Low nibbles hold the first half of a block, high ones the second."""
  return (fields[..., :16] & 15) | ((fields[..., 16:] & 15) << 4)


def _q4_0(codes: np.ndarray) -> np.ndarray:
  """Codes + 8, after the scale."""
  fields = (codes + 8).astype(np.uint8)
  return np.concatenate([_scales(codes), _nibbles(fields)], -1)


def _q5_0(codes: np.ndarray) -> np.ndarray:
  """Codes + 16: the scale, 32 fifth bits, the rest as nibbles."""
  fields = (codes + 16).astype(np.uint8)
  fifth = np.packbits(fields >> 4, axis=-1, bitorder="little")
  return np.concatenate([_scales(codes), fifth, _nibbles(fields)], -1)


def _q8_0(codes: np.ndarray) -> np.ndarray:
  """The codes themselves, after the scale."""
  return np.concatenate([_scales(codes), codes.view(np.uint8)], -1)


def _float(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
  """Numbers as they are, least significant byte first."""
  return lambda codes: codes.astype(dtype).view(np.uint8)


CARRIERS = {
  row.name: row
  for row in (
    Carrier("tq1_0", 34, 256, 54, 1, 256, _tq1_0),
    Carrier("tq2_0", 35, 256, 66, 1, 256, _tq2_0),
    Carrier("q4_0", 2, 32, 18, 7, 32, _q4_0),
    Carrier("q5_0", 6, 32, 22, 15, 32, _q5_0),
    Carrier("q8_0", 8, 32, 34, 127, 32, _q8_0),
    Carrier("f16", 1, 1, 2, 2048, 16, _float("<f2")),
    Carrier("f32", 0, 1, 4, 0, 0, _float("<f4")),
  )
}
# Tried in this order; TQ1_0 is smaller than TQ2_0, but slower everywhere.
_EXACT = ("tq2_0", "q4_0", "q5_0", "q8_0")


def holds(carrier: Carrier, codes: np.ndarray) -> bool:
  """Whether a carrier holds every code of a matrix [I, O] exactly."""
  if codes.shape[0] % carrier.block:
    return False
  if carrier.top == 0:
    return True
  return codes.dtype == np.int8 and int(np.abs(codes).max()) <= carrier.top


def smallest(codes: np.ndarray) -> Carrier | None:
  """The smallest carrier that holds a matrix [I, O], or None."""
  if codes.dtype != np.int8:
    return CARRIERS["f32"]
  exact = (CARRIERS[name] for name in _EXACT)
  return next((c for c in exact if holds(c, codes)), None)


def pack(carrier: Carrier, codes: np.ndarray) -> np.ndarray:
  """Codes [I, O], as `holds` allows -> the tensor's bytes, uint8 [O, bytes]."""
  rows = np.ascontiguousarray(codes.T)
  blocks = rows.reshape(rows.shape[0], -1, carrier.block)
  return carrier.pack(blocks).reshape(rows.shape[0], -1)
