"""How many planes a task gets: from what it looks like, then from confidence.

A task is answered at one number of planes from its first token to its last. If
the answer is not trusted, the whole of it is written again with more planes,
and both attempts are paid for.

Letters: n = tasks, D = depths, numbers of planes in rising order.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bitzero_jax.precision.ledger import BITS


class Controller(NamedTuple):
  """A bundle of pure functions.

  Attributes:
    begin: complexity float [n] -> int [n], the depth, 0 to D - 1, that a task
      is first answered at.
    trusts: (confidence float [n], depth int) -> bool [n], whether an answer of
      that depth stands. That of the last depth stands anyway.
  """

  begin: Callable[[np.ndarray], np.ndarray]
  trusts: Callable[[np.ndarray, int], np.ndarray]


class Route(NamedTuple):
  """What a controller did.

  Attributes:
    ran: bool [D, n], the depths that a task was answered at.
    stands: int [n], the depth whose answer stands.
  """

  ran: np.ndarray
  stands: np.ndarray


def always(depth: int) -> Controller:
  """Every task at one depth: a static point."""
  return Controller(
    begin=lambda complexity: np.full(len(complexity), depth),
    trusts=lambda confidence, _: np.ones(len(confidence), bool),
  )


def by_confidence(threshold: float) -> Controller:
  """Begins with fewest planes, and goes on until confidence is high enough."""
  return by_complexity((), threshold)


def by_complexity(cuts: Sequence[float], threshold: float) -> Controller:
  """Begins one depth deeper at each cut of complexity, then by confidence.

  Args:
    cuts: at most D - 1, in rising order.
    threshold: least confidence that is trusted; 0 trusts every answer.
  """
  return Controller(
    begin=lambda complexity: np.searchsorted(cuts, complexity, side="right"),
    trusts=lambda confidence, _: confidence >= threshold,
  )


def least_sure(share: float) -> Controller:
  """Begins with fewest planes; of a depth's answers a share is asked again.

  Who is least sure is seen in the batch, with no threshold to be chosen.
  """

  def trusts(confidence: np.ndarray, depth: int) -> np.ndarray:
    del depth
    kept = np.ones(len(confidence), bool)
    again = round(share * len(confidence))
    kept[np.argsort(confidence, kind="stable")[:again]] = False
    return kept

  return always(0)._replace(trusts=trusts)


def hardest(share: float, depth: int) -> Controller:
  """A share of the batch, the most complex, at one depth; the rest at first."""

  def begin(complexity: np.ndarray) -> np.ndarray:
    first = np.zeros(len(complexity), int)
    deep = round(share * len(complexity))
    first[np.argsort(-complexity, kind="stable")[:deep]] = depth
    return first

  return always(0)._replace(begin=begin)


def route(
  controller: Controller,
  complexity: np.ndarray,
  ask: Callable[[int, np.ndarray], np.ndarray],
  depths: int,
) -> Route:
  """Answers every task, grouped by depth: one batch for each.

  Args:
    controller: decides.
    complexity: float [n].
    ask: (depth, int [m], the tasks) -> float [m], confidence of the answers
      that it now has.
    depths: D.
  """
  count = len(complexity)
  ran = np.zeros((depths, count), bool)
  stands = np.full(count, depths - 1)
  depth_of = np.minimum(controller.begin(complexity), depths - 1)
  for depth in range(depths):
    mine = np.flatnonzero(depth_of == depth)
    if not len(mine):
      continue
    ran[depth, mine] = True
    good = controller.trusts(ask(depth, mine), depth)
    stands[mine[good]] = depth
    depth_of[mine[~good]] = depth + 1
  return Route(ran, stands)


def mean_bits(found: Route, planes: Sequence[int]) -> float:
  """Stored bits a weight that a task reads on average, every attempt counted.

  Args:
    found: what was run.
    planes: of each depth.
  """
  return mean_cost(found, BITS[np.array(planes) - 1])


def mean_cost(found: Route, costs: Sequence[float] | np.ndarray) -> float:
  """What a task costs on average, every attempt counted.

  Args:
    found: what was run.
    costs: of an answer at each depth, such as its seconds.
  """
  return float(costs @ found.ran.sum(axis=1) / found.ran.shape[1])
