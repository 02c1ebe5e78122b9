"""What became of the programs that were tried at a question.

A program that misses the question still has outputs of its own, so together
with the question's inputs it is a verified task (hindsight relabelling: CodeIt,
Butt et al. 2024, arXiv:2402.04858; SOAR, Pourcel et al. 2025,
arXiv:2507.14172).
"""

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

_SLACK = 4  # times `kept` attempts are held before the farthest are dropped


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
    pairs = [question.given[i] for i in question.sayable]
    self._inputs, self._wanted = (
      tuple(side) for side in zip(*pairs, strict=True)
    )

  def job(self, program: Tokens, examples: int | None = None) -> Job:
    """The program on the first `examples` examples, or on all of them."""
    given = self.question.given[:examples]
    return Job(render.source(program), tuple(f"[{text}]" for text, _ in given))

  def promising(self, program: Tokens, verdicts: Sequence[Verdict]) -> bool:
    """Whether a program fits the first examples; if not, it was tried."""
    fits = fit(verdicts, self.question.given[: len(verdicts)])
    if not fits and all(v.status != UNKNOWN for v in verdicts):
      self.tried.add(program)
    return fits

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
    if not all(in_bounds(text, self._bounds) for text in outputs):
      return
    known = self._attempts.get(outputs)
    if known is not None:
      if len(program) < len(known.program):
        self._attempts[outputs] = known._replace(program=program)
      return
    near = closeness(outputs, self._wanted)
    self._count += 1
    self._attempts[outputs] = Attempt(
      program, self._rows(outputs), near, self._count
    )
    if len(self._attempts) > _SLACK * self._kept:
      first = {attempt.number for attempt in self.first()}
      self._attempts = {
        key: a for key, a in self._attempts.items() if a.number in first
      }

  def first(self) -> list[Attempt]:
    """The attempts that are kept, in the order of their rank."""
    return heapq.nsmallest(self._kept, self._attempts.values(), key=self._rank)

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
    one, other = render.value_tokens(mine), render.value_tokens(due)
    assert one and other  # both were seen to be values of the language
    front = _agreeing(one, other)
    back = _agreeing(one[::-1], other[::-1])
    shares.append(max(front, back) / max(len(one), len(other)))
  return sum(shares) / len(shares)


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
    also: further archives of the same questions that take it too.
    misses: whether anybody wants to know what misses do. If not, most programs
      are run on one example alone.
  """
  new = sorted({(n, p) for n, p in programs if p not in archives[n].tried})
  if not misses:
    results = executor.run([archives[n].job(p, 1) for n, p in new])
    new = [
      (n, p)
      for (n, p), verdicts in zip(new, results, strict=True)
      if archives[n].promising(p, verdicts)
    ]
  results = executor.run([archives[n].job(p) for n, p in new])
  for (number, program), verdicts in zip(new, results, strict=True):
    for side in (archives, also):
      if side:
        side[number].put(program, verdicts)
