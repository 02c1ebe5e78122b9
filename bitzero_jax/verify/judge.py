"""Host side of the bridge: token arrays in, executor verdicts out, as arrays.

Fixed shapes, numpy only, never raises: whatever goes wrong becomes "unknown",
and the first failure is kept for the loop to report.
"""

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bitzero_jax.language import grammar as g
from bitzero_jax.language import render
from bitzero_jax.language.probes import PROBE_TEXTS, behaviour
from bitzero_jax.state import (
  ABDUCTION,
  DEDUCTION,
  REASON,
  RIGHT,
  UNKNOWN,
  WRONG,
  Answers,
  Array,
  Candidates,
  Outcome,
)
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job, Verdict

_REASON_OF = {
  "ok": "accepted",
  "error": "invalid",
  "timeout": "timeout",
  "memory": "memory",
  "forbidden": "forbidden",
  "unknown": "unknown",
}


_REMEMBERED = 1 << 18  # programs' behaviours, about 200 bytes each


class Bounds(NamedTuple):
  """Limits of a value in the language's level: int32 [], or [B] row by row.

  Attributes:
    items: longest list.
    low, high: smallest and largest int.
  """

  items: Array
  low: Array
  high: Array


class Behaviour(NamedTuple):
  """What a program does on the probe inputs."""

  digest: tuple[int, int]
  constant: bool
  identity: bool


class Judge:
  """Asks the executor about rows of tokens.

  Attributes:
    executor: what it asks.
    failure: the first exception that a call met, or None.
    seconds: wall time spent in calls.
  """

  def __init__(self, executor: Executor, pairs: int):
    """Keeps the executor; `pairs` is N, pairs to keep for a sound task."""
    self.executor = executor
    self._pairs = pairs
    self._behaviours: dict[str, Behaviour] = {}
    self._checking = threading.Lock()  # each device of a mesh may call
    self.failure: Exception | None = None
    self.seconds = 0.0

  def check(self, candidates: Candidates, bounds: Bounds) -> Outcome:
    """Runs candidates on their inputs and on the probes.

    A candidate is "accepted" here when its first input and N - 1 others (all
    of them, where fewer than N are tried) give values that the language's level
    can say. What it does on the probes is asked once and remembered.
    """
    inputs = np.asarray(candidates.inputs)
    rows, tried, width = inputs.shape
    outcome = Outcome(
      reason=np.full(rows, REASON["unknown"], np.int32),
      inputs=np.zeros((rows, self._pairs, width), np.int32),
      outputs=np.zeros((rows, self._pairs, width), np.int32),
      behaviour=np.zeros((rows, 2), np.uint32),
      constant=np.zeros(rows, bool),
      identity=np.zeros(rows, bool),
    )
    limits = [np.broadcast_to(bound, rows).tolist() for bound in bounds]
    with self._guard(), self._checking:
      # Here alone: a program of this batch that is known is not probed again.
      if len(self._behaviours) >= _REMEMBERED:
        self._behaviours.clear()
      # Plain lists: to walk a numpy row item by item takes five times as long.
      sources = [
        render.source(render.strip(row)) for row in candidates.program.tolist()
      ]
      texts = [
        [_text(tuple(value)) for value in row] for row in inputs.tolist()
      ]
      jobs = []
      for text, own in zip(sources, texts, strict=True):
        probes = () if text in self._behaviours else PROBE_TEXTS
        jobs.append(Job(text, tuple(f"[{v}]" for v in (*own, *probes))))
      results = self.executor.run(jobs)
      for i, verdicts in enumerate(results):
        own, probes = verdicts[:tried], verdicts[tried:]
        if probes:
          self._learn(sources[i], probes)
        mine = _bounds(*(limit[i] for limit in limits))
        reason, kept = _find(own, mine, min(self._pairs, tried))
        known = self._behaviours.get(sources[i])
        if known is None:
          reason = "unknown"
        else:
          outcome.behaviour[i] = known.digest
          outcome.constant[i] = known.constant
          outcome.identity[i] = known.identity
        outcome.reason[i] = REASON[reason]
        if reason == "accepted":
          outcome.inputs[i, : len(kept)] = inputs[i, kept]
          outcome.outputs[i, : len(kept)] = [
            _row(own[j].value, width) for j in kept
          ]
    return outcome

  def grade(self, answers: Answers) -> np.ndarray:
    """Compares answers with gold: int32 [B] of RIGHT, WRONG, UNKNOWN.

    Deduction compares canonical text. Abduction runs the task's program on
    the answer. Induction runs the answer on the pairs that it was not shown.
    Rows that were not asked are WRONG.
    """
    graded = np.where(answers.asked, UNKNOWN, WRONG).astype(np.int32)
    with self._guard():
      jobs, expected, rows = [], [], []
      for i in np.flatnonzero(answers.asked):
        answer = render.strip(answers.answer[i])
        j = answers.pair[i]
        gold = [render.value_text(render.strip(v)) for v in answers.outputs[i]]
        if answers.kind[i] == DEDUCTION:
          right = render.value_text(answer) == gold[j]
          graded[i] = RIGHT if right else WRONG
          continue
        if answers.kind[i] == ABDUCTION:
          source = render.source(render.strip(answers.program[i]))
          inputs, gold = [render.value_text(answer)], [gold[j]]
        else:
          source, gold = render.source(answer), gold[j:]
          hidden = answers.inputs[i][j:]
          inputs = [render.value_text(render.strip(v)) for v in hidden]
        jobs.append(Job(source, tuple(f"[{v}]" for v in inputs)))
        expected.append(gold)
        rows.append(i)
      results = self.executor.run(jobs)
      for i, verdicts, gold in zip(rows, results, expected, strict=True):
        graded[i] = compare(verdicts, gold)
    return graded

  def _learn(self, source: str, verdicts: list[Verdict]) -> None:
    """Remembers what a program does on the probes, unless it is unknown."""
    if any(v.status == "unknown" for v in verdicts):
      return
    outputs = [v.value if v.status == "ok" else v.error for v in verdicts]
    values = [v.value for v in verdicts if v.status == "ok"]
    self._behaviours[source] = Behaviour(
      digest=behaviour(outputs),
      constant=len(set(values)) <= 1,
      identity=outputs == list(PROBE_TEXTS),
    )

  @contextlib.contextmanager
  def _guard(self) -> Iterator[None]:
    """Keeps the first exception for the loop, and counts the seconds."""
    begin = time.perf_counter()
    try:
      yield
    except Exception as error:  # a callback that raises would wedge the device
      self.failure = self.failure or error
    finally:
      self.seconds += time.perf_counter() - begin


def compare(verdicts: list[Verdict], gold: list[str]) -> int:
  """RIGHT if every verdict is the gold text, UNKNOWN if any is unknown."""
  if any(v.status == "unknown" for v in verdicts):
    return UNKNOWN
  same = all(
    v.status == "ok" and v.value == text
    for v, text in zip(verdicts, gold, strict=True)
  )
  return RIGHT if same else WRONG


def _problem(verdict: Verdict, bounds: Bounds) -> str | None:
  """Why a task cannot keep this verdict as its gold answer, or None."""
  if verdict.status == "error" and verdict.error == "Nondeterministic":
    return "nondeterministic"
  if verdict.status != "ok":
    return _REASON_OF[verdict.status]
  return None if in_bounds(verdict.value, bounds) else "unbounded"


@functools.lru_cache(maxsize=64)
def _bounds(items: int, low: int, high: int) -> Bounds:
  """One record for all rows: `in_bounds` remembers what it was asked."""
  return Bounds(items, low, high)


@functools.lru_cache(maxsize=65536)
def in_bounds(text: str, bounds: Bounds) -> bool:
  """Whether the language's level can say a canonical value."""
  tokens = render.value_tokens(text)
  if tokens is None:
    return False
  items, low, high = bounds
  ints = [t - g.FIRST_INT + g.INT_MIN for t in tokens if t >= g.FIRST_INT]
  short = len(ints) <= items or text[0] != "["
  return short and all(low <= v <= high for v in ints)


def _find(
  verdicts: list[Verdict], bounds: Bounds, pairs: int
) -> tuple[str, list[int]]:
  """A reason, and for "accepted" the first `pairs` inputs that have a value.

  The first input is the proposer's own, so its problem is the task's.
  """
  problems = [_problem(verdict, bounds) for verdict in verdicts]
  for fatal in ("nondeterministic", "unknown"):
    if fatal in problems:
      return fatal, []
  kept = [j for j, problem in enumerate(problems) if problem is None]
  reason = problems[0]
  if reason is None and len(kept) < pairs:
    reason = next(problem for problem in problems if problem)
  return (reason, []) if reason else ("accepted", kept[:pairs])


@functools.lru_cache(maxsize=65536)
def _text(row: tuple[int, ...]) -> str:
  return render.value_text(render.strip(row))


@functools.lru_cache(maxsize=65536)
def _row(text: str, width: int) -> tuple[int, ...]:
  tokens = render.value_tokens(text)
  if tokens is None:
    raise ValueError(f"{text!r} is no value of the language")
  return tuple(render.pad(tokens, width))
