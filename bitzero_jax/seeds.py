"""Several seeds side by side: a leading axis S, and one host for all of them.

A record of one seed has no such axis, and nothing here changes it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.state import Answers, Candidates, Outcome, take

Check = Callable[..., Outcome]
Grade = Callable[[Answers], Any]


class Host(NamedTuple):
  """The judge's two sides, from numpy to numpy.

  Attributes:
    check: (Candidates, bounds) -> Outcome.
    grade: Answers -> int32, the grade of each row.
  """

  check: Check
  grade: Grade


def each(stage: Callable[..., Any], seeds: int) -> Callable[..., Any]:
  """A pure function of one seed, for all of them."""
  return stage if seeds == 1 else jax.vmap(stage)


def together(records: Sequence[Any]) -> Any:
  """Records of one structure, one a seed, as one."""
  if len(records) == 1:
    return records[0]
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *records)


def apart(record: Any, seeds: int) -> list[Any]:
  """What `together` put together; numpy stays numpy."""
  if seeds == 1:
    return [record]
  return [take(record, seed) for seed in range(seeds)]


def host(check: Check, grade: Grade, seeds: int) -> Host:
  """The judge for all seeds at once: their rows are one batch to the executor.

  Bounds are handed on row by row, for the seeds may stand at several levels.
  """
  if seeds == 1:
    return Host(check, grade)

  def check_all(candidates: Candidates, bounds: Any) -> Outcome:
    rows = candidates.program.shape[1]
    wide = jax.tree.map(lambda bound: np.repeat(bound, rows), bounds)
    return _unflat(check(_flat(candidates), wide), seeds)

  def grade_all(answers: Answers) -> Any:
    return _unflat(grade(_flat(answers)), seeds)

  return Host(check_all, grade_all)


def _flat(record: Any) -> Any:
  """[S, B, ...] -> [S B, ...]."""
  return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), record)


def _unflat(record: Any, seeds: int) -> Any:
  """[S B, ...] -> [S, B, ...]."""
  return jax.tree.map(
    lambda leaf: leaf.reshape(seeds, -1, *leaf.shape[1:]), record
  )
