"""Makes one verdict from the rows of two runs, and of a third where needed."""

from bitzero_jax.verify.pool import Row
from bitzero_jax.verify.verdict import (
  ERROR,
  FORBIDDEN,
  MEMORY,
  OK,
  TIMEOUT,
  UNKNOWN,
)

NONDETERMINISTIC = "Nondeterministic"
# How likely a status is an accident; limits come between errors and losses.
_DOUBT = {OK: 0, ERROR: 1, TIMEOUT: 2, MEMORY: 2, FORBIDDEN: 2, UNKNOWN: 3}


def same(a: Row, b: Row) -> bool:
  """Whether two runs agree in status, value and error."""
  return a[:3] == b[:3]


def settled(a: Row, b: Row) -> bool:
  """Whether two runs decide, so that no third is needed."""
  return a[0] == b[0]


def doubtful(a: Row, b: Row) -> int:
  """Which of two runs that differ is run again: 0 or 1, the failure."""
  return 1 if _DOUBT[b[0]] >= _DOUBT[a[0]] else 0


def decide(
  a: Row, b: Row | None = None, third: Row | None = None
) -> tuple[str, str, str]:
  """Status, value and error of a verdict.

  Args:
    a: row of the first hash seed.
    b: row of the second; None if there is but one.
    third: row of the doubtful side, run again alone; None if settled.
  """
  if b is None or same(a, b):
    return a[:3]
  if third is None:  # the same status, so only values or names may differ
    return (ERROR, "", NONDETERMINISTIC) if a[0] in (OK, ERROR) else a[:3]
  doubted, other = (b, a) if doubtful(a, b) else (a, b)
  if same(third, other):
    return other[:3]
  if same(third, doubted) and doubted[0] == ERROR:
    return ERROR, "", NONDETERMINISTIC
  return UNKNOWN, "", f"{a[0]} against {b[0]}"
