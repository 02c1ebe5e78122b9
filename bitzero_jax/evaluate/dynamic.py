"""Accuracy against bits where the planes follow the task.

Letters: n = tasks of one type, D = depths, numbers of planes in rising order.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.precision import controller
from bitzero_jax.precision.controller import Controller, Route
from bitzero_jax.state import RIGHT, UNKNOWN

SHARES = tuple(round(0.1 * i, 1) for i in range(11))  # that go deeper


class Point(NamedTuple):
  """One way to choose planes, and what it comes to.

  Attributes:
    rule: "static", "confidence", "length" or "oracle".
    share: static: planes; confidence: share of a depth's answers, the least
      confident, that are asked again with more planes; length: share of tasks,
      the longest, that begin with most planes. Oracle: 1.
    bits: mean stored bits a weight that a task reads, every attempt counted.
    accuracy: mean over the task types, of the trained lengths.
  """

  rule: str
  share: float
  bits: float
  accuracy: float


def points(
  sittings: Sequence[Graded], planes: Sequence[int], length: np.ndarray
) -> list[Point]:
  """The static points, two rules over their knob, and the oracle.

  No rule looks at a grade. The oracle does: it answers with fewest planes that
  are right, and with fewest of all where none are, and pays for that alone.

  Args:
    sittings: the same exam at each depth.
    planes: of each depth.
    length: int [n], tokens of each task's program.
  """
  depths = len(planes)
  found = [
    _point("static", planes[d], sittings, planes, length, _same(d))
    for d in range(depths)
  ]
  for share in SHARES:
    found.append(
      _point("confidence", share, sittings, planes, length, _least_sure(share))
    )
  for share in SHARES:
    found.append(
      _point("length", share, sittings, planes, length, _longest(share, depths))
    )
  found.append(_oracle(sittings, planes))
  return found


Choose = Callable[[np.ndarray, np.ndarray], Controller]


def _same(depth: int) -> Choose:
  return lambda length, confidence: controller.always(depth)


def _least_sure(share: float) -> Choose:
  """Asks again what is least sure among the answers of a depth."""

  def choose(length: np.ndarray, confidence: np.ndarray) -> Controller:
    del length, confidence

    def trusts(sure: np.ndarray, depth: int) -> np.ndarray:
      del depth
      kept = np.ones(len(sure), bool)
      again = np.argsort(sure, kind="stable")[: round(share * len(sure))]
      kept[again] = False
      return kept

    return controller.by_confidence(0.0)._replace(trusts=trusts)

  return choose


def _longest(share: float, depths: int) -> Choose:
  """Begins with most planes where the program is long."""

  def choose(length: np.ndarray, confidence: np.ndarray) -> Controller:
    del confidence
    deep = np.zeros(len(length), int)
    order = np.argsort(-length, kind="stable")
    deep[order[: round(share * len(length))]] = depths - 1
    return controller.always(0)._replace(begin=lambda _: deep)

  return choose


def _point(
  rule: str,
  share: float,
  sittings: Sequence[Graded],
  planes: Sequence[int],
  length: np.ndarray,
  choose: Choose,
) -> Point:
  bits, accuracy = [], []
  inside = ~sittings[0].beyond
  for kind in sittings[0].probability:
    sure = np.stack([s.probability[kind][inside] for s in sittings])
    grade = np.stack([s.grade[kind][inside] for s in sittings])
    mine = length[inside]
    route = controller.route(
      choose(mine, sure),
      mine,
      lambda depth, tasks, sure=sure: sure[depth, tasks],
      len(planes),
    )
    bits.append(controller.mean_bits(route, planes))
    accuracy.append(_accuracy(grade[route.stands, np.arange(len(mine))]))
  return Point(rule, share, float(np.mean(bits)), float(np.mean(accuracy)))


def _oracle(sittings: Sequence[Graded], planes: Sequence[int]) -> Point:
  bits, accuracy = [], []
  inside = ~sittings[0].beyond
  for kind in sittings[0].probability:
    grade = np.stack([s.grade[kind][inside] for s in sittings])
    stands = np.argmax(grade == RIGHT, axis=0)  # 0 where none is
    ran = np.arange(len(planes))[:, None] == stands
    bits.append(controller.mean_bits(Route(ran, stands), planes))
    accuracy.append(_accuracy(grade[stands, np.arange(grade.shape[1])]))
  return Point("oracle", 1.0, float(np.mean(bits)), float(np.mean(accuracy)))


def _accuracy(grade: np.ndarray) -> float:
  known = grade != UNKNOWN
  return float(np.sum(grade == RIGHT) / max(known.sum(), 1))


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
  """The points as a table to print."""
  head = f"{'rule':<12}{'knob':>6}{'bits':>8}{'accuracy':>10}"
  return [head] + [
    f"{p['rule']:<12}{p['share']:>6g}{p['bits']:>8.2f}{p['accuracy']:>10.3f}"
    for p in found
  ]
