"""Levels of the language: how long, how wide, and which rows may be used.

A level is data, not code: the automaton takes its tables as an argument, and
every level has tables of the same shape, so a curriculum can widen the
language inside a compiled round.
"""

from typing import NamedTuple

import numpy as np

from bitzero_jax.language import grammar as g
from bitzero_jax.state import Array


class Level(NamedTuple):
  """Limits of one level of micro-Python.

  Attributes:
    program: longest program, in tokens.
    items: longest list, in items.
    low, high: smallest and largest int inside a value, both included.
    literal: largest int literal that a program may hold (smallest is 0).
    rows: levels whose productions are allowed.
  """

  program: int
  items: int
  low: int
  high: int
  literal: int
  rows: tuple[str, ...]


LEVELS = {
  "small": Level(8, 5, 0, 20, 9, ("small",)),
  "medium": Level(12, 7, -20, 50, 9, ("small",)),  # longer
  "large": Level(16, 10, -99, 99, 20, ("small", "full")),  # every production
  "full": Level(20, 10, -99, 99, 20, ("small", "full")),
}


class Tables(NamedTuple):
  """The automaton's tables. N = nonterminals, V = tokens, R = 3 pushed items.

  Attributes:
    allowed: bool [N, V], tokens that may expand a nonterminal.
    pushed: int32 [N, V, R], nonterminals that the token leaves to expand, the
      next one first, 0 where there is none.
    need: int32 [N, V], fewest tokens that complete those.
    minimum: int32 [N], fewest tokens that complete a nonterminal.
    log_prior: float32 [N, V], log-probability in the grammar's prior; a large
      negative number where not allowed.
    program, items: int32 [], the level's limits.
  """

  allowed: Array
  pushed: Array
  need: Array
  minimum: Array
  log_prior: Array
  program: Array
  items: Array


NEVER = -1e9
_FEWER = 0.05  # literals as the whole body of a map, to literals elsewhere
_SCOPED = {"int": "int_v", "bool": "bool_v"}


def build(level: Level, weights: str = "hand") -> Tables:
  """Builds the tables of a level.

  Args:
    level: the limits.
    weights: "hand" for the weights of the table, "uniform" for every allowed
      token equally likely (no prior knowledge).

  Returns:
    Numpy tables, all of a shape that does not depend on the level.

  Raises:
    ValueError: `weights` is neither word.
  """
  if weights not in ("hand", "uniform"):
    raise ValueError(f"weights={weights!r} must be 'hand' or 'uniform'")
  size = (len(g.NONTERMINALS), g.VOCABULARY)
  weight = np.zeros(size)
  pushed = np.zeros((*size, 3), np.int32)

  def add(result, token, arguments, w):
    row = g.NONTERMINAL_OF[result]
    weight[row, token] = w
    for i, argument in enumerate(arguments):
      pushed[row, token, i] = g.NONTERMINAL_OF[argument]

  for row in g.PRODUCTIONS:
    if row.level not in level.rows:
      continue
    token = g.TOKEN_OF[row.name]
    add(row.result, token, row.arguments, row.weight)
    if row.result in _SCOPED:
      inner = tuple(_SCOPED.get(a, a) for a in row.arguments)
      add(_SCOPED[row.result], token, inner, row.weight)
  each = g.LITERAL_WEIGHT / (level.literal + 1)
  for value in range(level.literal + 1):
    add("int", g.int_token(value), (), each)
    add("int_v", g.int_token(value), (), each)
  _add_values(level, add)
  _alias("body", (("int_v", 1.0),), ("v",), weight, pushed)
  _alias("program", (("list", 0.85), ("int", 0.15)), ("x",), weight, pushed)

  allowed = weight > 0
  minimum = _minimum(allowed, pushed)
  need = minimum[pushed].sum(-1)
  if weights == "uniform":
    weight = allowed.astype(float)
  total = np.maximum(weight.sum(1, keepdims=True), 1e-30)
  with np.errstate(divide="ignore"):
    log_prior = np.where(allowed, np.log(weight / total), NEVER)
  return Tables(
    allowed=allowed,
    pushed=pushed,
    need=need.astype(np.int32),
    minimum=minimum.astype(np.int32),
    log_prior=log_prior.astype(np.float32),
    program=np.int32(level.program),
    items=np.int32(level.items),
  )


def _alias(name, shares, without, weight, pushed) -> None:
  """A nonterminal with the rows of others, less some, and fewer literals.

  A program that is `x` or a literal, or a map to plain `v`, does no work.
  """
  row = g.NONTERMINAL_OF[name]
  for other, share in shares:
    source = g.NONTERMINAL_OF[other]
    taken = weight[source].copy()
    taken[[g.TOKEN_OF[token] for token in without]] = 0
    taken[g.FIRST_INT : g.FIRST_PRODUCTION] *= _FEWER if name == "body" else 0
    weight[row] += share * taken / taken.sum()
    pushed[row] += np.where(taken[:, None] > 0, pushed[source], 0)


def _add_values(level: Level, add) -> None:
  """Values: mostly three or four small ints; few empty lists."""
  add("argument", g.LIST_OPEN, ("first",), 1.0)
  add("value", g.LIST_OPEN, ("first",), 1.0)
  values = np.arange(level.low, level.high + 1)
  digit = (values >= 0) & (values <= 9)
  share = np.where(digit, 0.7 / digit.sum(), 0.3 / max(1, (~digit).sum()))
  for result, close in (("first", 0.04), ("items", 0.18)):
    add(result, g.LIST_CLOSE, (), close)
    for value, w in zip(values, share, strict=True):
      add(result, g.int_token(int(value)), ("items",), (1 - close) * w)
  for value, w in zip(values, share, strict=True):
    add("value", g.int_token(int(value)), (), w)


def _minimum(allowed: np.ndarray, pushed: np.ndarray) -> np.ndarray:
  """Fewest tokens that complete each nonterminal (0 for "none")."""
  many = 1 << 20
  minimum = np.full(len(allowed), many)
  minimum[0] = 0
  for _ in range(len(allowed)):
    cost = np.where(allowed, 1 + minimum[pushed].sum(-1), many)
    minimum[1:] = cost.min(1)[1:]
  return minimum
