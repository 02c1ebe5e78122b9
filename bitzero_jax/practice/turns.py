"""Whose question is written for next."""

from collections.abc import Iterator, Sequence

import numpy as np


class Turns:
  """Everyone has a turn before anyone has the next."""

  def __init__(self):
    self._owed: Iterator[int] = iter(())

  def take(
    self, left: Sequence[int], count: int, random: np.random.Generator
  ) -> list[int]:
    """The next `count` of those that are left, not empty, in random order."""
    still, owners = set(left), []
    while len(owners) < count:
      number = next(self._owed, None)
      if number is None:
        self._owed = iter(random.permutation(left).tolist())
      elif number in still:
        owners.append(number)
    return owners
