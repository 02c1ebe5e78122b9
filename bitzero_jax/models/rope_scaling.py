"""How rotary embedding is stretched for rows longer than it was trained on.

A scaling is a value that is called with the rates: radians a token of each pair
of channels, float32 [H / 2], in and out. H = head width.
"""

from typing import NamedTuple

import numpy as np


class Linear(NamedTuple):
  """Every position counts 1 / factor of a token (arXiv:2306.15595)."""

  factor: float

  def __call__(self, rates: np.ndarray) -> np.ndarray:
    """Scaled rates."""
    return rates / np.float32(self.factor)


class Llama3(NamedTuple):
  """As `Linear` for slow pairs, nothing for fast ones, a blend between.

  A pair is told by its turns over the rows of the first training.

  Attributes:
    factor: of the slow pairs, which turn at most `low_freq_factor` times.
    low_freq_factor, high_freq_factor: turns; from the second on, nothing.
    original_max_position_embeddings: tokens of those rows.

  Source: Llama 3.1's own code. Named as in Hugging Face's files.
  """

  factor: float
  low_freq_factor: float
  high_freq_factor: float
  original_max_position_embeddings: int

  def __call__(self, rates: np.ndarray) -> np.ndarray:
    """Scaled rates."""
    wide = rates.astype(np.float64)
    turns = self.original_max_position_embeddings * wide / (2 * np.pi)
    low, high = self.low_freq_factor, self.high_freq_factor
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (wide * ((1 - kept) / self.factor + kept)).astype(np.float32)


RopeScaling = Linear | Llama3
