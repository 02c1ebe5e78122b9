"""Accuracy against bits where the planes follow the task.

Letters: n = tasks of one type, D = depths, numbers of planes in rising order.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.precision import complexity, controller
from bitzero_jax.precision.complexity import Complexity
from bitzero_jax.precision.controller import Controller, Route
from bitzero_jax.state import RIGHT, UNKNOWN

SHARES = tuple(round(0.1 * i, 1) for i in range(11))  # that go deeper


class Point(NamedTuple):
  """One way to choose planes, and what it comes to.

  Attributes:
    rule: "static", "confidence", a name in `complexity.MEASURES`, or "oracle".
    share: static: planes; confidence: share of a depth's answers, the least
      confident, that are asked again with more planes; complexity: share of
      tasks, the hardest by it, that begin with most planes. Oracle: 1.
    bits: mean stored bits a weight that a task reads, every attempt counted.
    seconds: mean of an answer, every attempt counted, where tasks of one depth
      are answered together in full batches.
    accuracy: mean over the task types, of the trained lengths.
  """

  rule: str
  share: float
  bits: float
  seconds: float
  accuracy: float


class Depths(NamedTuple):
  """What the depths of one weight set cost.

  Attributes:
    planes: int, of each, in rising order.
    seconds: of an answer at each.
  """

  planes: Sequence[int]
  seconds: Sequence[float]


def points(
  sittings: Sequence[Graded], depths: Depths, program: np.ndarray
) -> list[Point]:
  """The static points, every rule over its knob, and the oracle.

  No rule looks at the grade of the task that it decides on; "failures" and
  "gains" look at those of the others of its class. The oracle does: it
  answers with fewest planes that are right, and with fewest of all where none
  are, and pays for that alone.

  Args:
    sittings: the same exam at each depth.
    depths: what each costs.
    program: int32 [n, Lp], of each task.
  """
  last, any_order = len(depths.planes) - 1, complexity.length
  rules = [
    ("static", k, controller.always(depth), any_order)
    for depth, k in enumerate(depths.planes)
  ]
  rules += [
    ("confidence", share, controller.least_sure(share), any_order)
    for share in SHARES
  ]
  rules += [
    (name, share, controller.hardest(share, last), measure)
    for name, measure in complexity.MEASURES.items()
    for share in SHARES
  ]
  found = [_point(*rule, sittings, depths, program) for rule in rules]
  return [*found, _oracle(sittings, depths)]


def _point(
  rule: str,
  share: float,
  chosen: Controller,
  measure: Complexity,
  sittings: Sequence[Graded],
  depths: Depths,
  program: np.ndarray,
) -> Point:
  routes, accuracy = [], []
  inside = ~sittings[0].beyond
  for kind in sittings[0].probability:
    sure = np.stack([s.probability[kind][inside] for s in sittings])
    grade = np.stack([s.grade[kind][inside] for s in sittings])
    hard = measure(program[inside], grade)
    route = controller.route(
      chosen,
      hard,
      lambda depth, tasks, sure=sure: sure[depth, tasks],
      len(depths.planes),
    )
    routes.append(route)
    accuracy.append(_accuracy(grade[route.stands, np.arange(len(hard))]))
  return _summed(rule, share, routes, depths, accuracy)


def _oracle(sittings: Sequence[Graded], depths: Depths) -> Point:
  routes, accuracy = [], []
  inside = ~sittings[0].beyond
  for kind in sittings[0].probability:
    grade = np.stack([s.grade[kind][inside] for s in sittings])
    stands = np.argmax(grade == RIGHT, axis=0)  # 0 where none is
    ran = np.arange(len(depths.planes))[:, None] == stands
    routes.append(Route(ran, stands))
    accuracy.append(_accuracy(grade[stands, np.arange(grade.shape[1])]))
  return _summed("oracle", 1.0, routes, depths, accuracy)


def _summed(
  rule: str,
  share: float,
  routes: Sequence[Route],
  depths: Depths,
  accuracy: Sequence[float],
) -> Point:
  """A point of what was run for each type."""
  bits = [controller.mean_bits(route, depths.planes) for route in routes]
  seconds = [controller.mean_cost(route, depths.seconds) for route in routes]
  means = (float(np.mean(each)) for each in (bits, seconds, accuracy))
  return Point(rule, share, *means)


def _accuracy(grade: np.ndarray) -> float:
  known = grade != UNKNOWN
  return float(np.sum(grade == RIGHT) / max(known.sum(), 1))


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
  """The points as a table to print."""
  head = f"{'rule':<12}{'knob':>6}{'bits':>8}{'us':>8}{'accuracy':>10}"
  return [head] + [
    f"{p['rule']:<12}{p['share']:>6g}{p['bits']:>8.2f}"
    f"{1e6 * p['seconds']:>8.1f}{p['accuracy']:>10.3f}"
    for p in found
  ]
