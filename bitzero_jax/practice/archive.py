"""What became of the programs that were tried at a question.

A program that misses the question still has outputs of its own, so together
with the question's inputs it is a verified task (hindsight relabelling: CodeIt,
Butt et al. 2024, arXiv:2402.04858; SOAR, Pourcel et al. 2025,
arXiv:2507.14172).
"""

import functools
import heapq
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.evaluate import induce
from bitzero_jax.evaluate.induce import Pair
from bitzero_jax.language import render
from bitzero_jax.language.render import Tokens
from bitzero_jax.practice.question import Question
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, in_bounds
from bitzero_jax.verify.verdict import OK, UNKNOWN, Job, Verdict

_GLANCE = 2  # examples that a miss is judged by before it is run on the others
_SLACK = 2  # times `kept` attempts are held before the farthest are dropped


class Attempt(NamedTuple):
  """A program with what it makes of a question's inputs.

  Attributes:
    program: its tokens.
    outputs: int32 [N, Lv], in the place of the question's own.
    closeness: how near they are to what is wanted, in [0, 1].
    number: its place among the behaviours as they came, from 1.
  """

  program: Tokens
  outputs: np.ndarray
  closeness: float
  number: int


Rank = Callable[[Attempt], Any]


def nearest(attempt: Attempt) -> Any:
  """Ranks the closest first, the shortest first among equals."""
  return -attempt.closeness, len(attempt.program), attempt.program


def newest(attempt: Attempt) -> Any:
  """Ranks the last first, however close."""
  return -attempt.number


class Archive:
  """The attempts at one question, the shortest of each behaviour.

  Attributes:
    question: it.
    answer: the shortest program that fits every example, or None.
    tried: programs that were run, each once.
  """

  def __init__(
    self,
    question: Question,
    bounds: Bounds,
    kept: int,
    rank: Rank = nearest,
  ):
    """Begins with nothing tried; keeps `kept` attempts, the first by `rank`."""
    self.question = question
    self.answer: Tokens | None = None
    self.tried: set[Tokens] = set()
    self._attempts: dict[tuple[str, ...], Attempt] = {}
    self._bounds = bounds
    self._kept = kept
    self._rank = rank
    self._count = 0
    self._bar = 0.0  # closeness of the farthest that was kept
    pairs = [question.given[i] for i in question.sayable]
    self._inputs, self._wanted = (
      tuple(side) for side in zip(*pairs, strict=True)
    )

  def job(self, program: Tokens, examples: slice = slice(None)) -> Job:
    """The program on all examples, or on some of them."""
    given = self.question.given[examples]
    return Job(render.source(program), tuple(f"[{text}]" for text, _ in given))

  def promising(
    self, program: Tokens, verdicts: Sequence[Verdict], *, misses: bool
  ) -> bool:
    """Whether it pays to run a program on more than the first examples.

    Args:
      program: what was run; if it is not promising, it was tried.
      verdicts: of the first examples.
      misses: whether a miss is wanted that is as near, so far, as those that
        are kept; if not, the program must fit.
    """
    if any(v.status == UNKNOWN for v in verdicts):
      return False
    first = [i for i in self.question.sayable if i < len(verdicts)]
    good = fit(verdicts, self.question.given[: len(verdicts)])
    if not good and misses:
      outputs = [verdicts[i].value for i in first if verdicts[i].status == OK]
      good = len(outputs) == len(first) and (
        self._near(outputs, self._wanted[: len(first)]) >= self._bar
      )
    if not good:
      self.tried.add(program)
    return good

  def put(self, program: Tokens, verdicts: Sequence[Verdict]) -> None:
    """Takes what `job` gave; what is unknown may be tried again."""
    if any(v.status == UNKNOWN for v in verdicts):
      return
    self.tried.add(program)
    right = fit(verdicts, self.question.given)
    if right and (self.answer is None or len(program) < len(self.answer)):
      self.answer = program
    shown = [verdicts[i] for i in self.question.sayable]
    if any(v.status != OK for v in shown):
      return
    outputs = tuple(v.value for v in shown)
    constant = len(set(outputs)) == 1 < len(set(self._inputs))
    if not right and (constant or outputs == self._inputs):
      return  # a lesson that says little, and is learned all too well
    near = self._near(outputs, self._wanted)
    if near < 0:
      return
    known = self._attempts.get(outputs)
    if known is not None:
      if len(program) < len(known.program):
        self._attempts[outputs] = known._replace(program=program)
      return
    self._count += 1
    self._attempts[outputs] = Attempt(
      program, self._rows(outputs), near, self._count
    )
    if len(self._attempts) > _SLACK * self._kept:
      kept = self.first()
      if self._rank is nearest:
        self._bar = kept[-1].closeness
      first = {attempt.number for attempt in kept}
      self._attempts = {
        key: a for key, a in self._attempts.items() if a.number in first
      }

  def first(self) -> list[Attempt]:
    """The attempts that are kept, in the order of their rank."""
    return heapq.nsmallest(self._kept, self._attempts.values(), key=self._rank)

  def _near(self, outputs: Sequence[str], wanted: Sequence[str]) -> float:
    """Closeness of outputs, below 0 where the level cannot say one of them."""
    if not all(in_bounds(text, self._bounds) for text in outputs):
      return -1.0
    return closeness(outputs, wanted) if wanted else 1.0

  def _rows(self, outputs: tuple[str, ...]) -> np.ndarray:
    shape = self.question.outputs.shape
    rows = [induce.value_row(text, shape[1]) for text in outputs]
    return np.resize(np.array(rows, np.int32), shape)


def fit(verdicts: Sequence[Verdict], pairs: Sequence[Pair]) -> bool:
  """Whether a program gave every pair's output."""
  return all(
    v.status == OK and v.value == text
    for v, (_, text) in zip(verdicts, pairs, strict=True)
  )


def closeness(outputs: Sequence[str], wanted: Sequence[str]) -> float:
  """How near outputs are to what is wanted, in [0, 1].

  The mean over the examples of the share of tokens that agree, counted from
  the front or from the back, whichever is more; 1 for the wanted alone.
  """
  shares = []
  for mine, due in zip(outputs, wanted, strict=True):
    one, other = _tokens(mine), _tokens(due)
    assert one and other  # both were seen to be values of the language
    front = _agreeing(one, other)
    back = _agreeing(one[::-1], other[::-1])
    shares.append(max(front, back) / max(len(one), len(other)))
  return sum(shares) / len(shares)


_tokens = functools.lru_cache(1 << 16)(render.value_tokens)


def _agreeing(one: Sequence[int], other: Sequence[int]) -> int:
  return sum(a == b for a, b in zip(one, other, strict=False))


def run(
  executor: Executor,
  archives: Sequence[Archive],
  programs: Sequence[tuple[int, Tokens]],
  also: Sequence[Archive] = (),
  *,
  misses: bool,
) -> None:
  """Runs what was not tried before.

  Args:
    executor: runs it.
    archives: take what came of it.
    programs: with the number of the archive each is for.
    also: further archives of the same questions that take it too; then all is
      run on every example.
    misses: whether anybody wants to know what misses do. If not, most programs
      are run on one example alone.
  """
  new = sorted({(n, p) for n, p in programs if p not in archives[n].tried})
  count = _GLANCE if misses else 1
  first = executor.run([archives[n].job(p, slice(count)) for n, p in new])
  going = [
    (n, p, verdicts)
    for (n, p), verdicts in zip(new, first, strict=True)
    if also or archives[n].promising(p, verdicts, misses=misses)
  ]
  jobs = [archives[n].job(p, slice(count, None)) for n, p, _ in going]
  for (number, program, begun), rest in zip(
    going, executor.run(jobs), strict=True
  ):
    for side in (archives, also):
      if side:
        side[number].put(program, [*begun, *rest])
