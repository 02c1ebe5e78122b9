"""Self-play aimed at questions: answer, verify, learn from the misses, again.

Nothing but the questions' own examples is used. Questions that are practised
together share one model, so a question gains from what its neighbours missed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.practice.archive import Archive, run
from bitzero_jax.practice.desk import Write, Written, device_key
from bitzero_jax.practice.lessons import Update
from bitzero_jax.verify.executor import Executor


class Practice(NamedTuple):
  """What one practice is made of: it holds what became of it, so not of two.

  Attributes:
    writers: who answers; a round has what each of them writes.
    draw: who writes random programs to learn from, which are tried as answers
      too; None for nobody.
    archives: what became of the programs, one archive for each question.
    drawn: what became of the random ones, to be learned from.
    misses: whether anybody learns from misses or goes on with them.
    lesson: archives -> (tasks, weights), None to learn nothing.
    update: learns them.
    optimizer: its first state.
  """

  writers: Sequence[Write]
  draw: Write | None
  archives: Sequence[Archive]
  drawn: Sequence[Archive]
  misses: bool
  lesson: Callable[[Sequence[Archive]], Any] | None
  update: Update | None
  optimizer: Any


class Standing(NamedTuple):
  """Where a practice stands after a round.

  Attributes:
    seconds: since its first round began, so without compiling.
    written: programs written so far.
    tried: different ones of a question that were run.
    answered: numbers of the questions with an answer that fits every example.
    params: what was learned so far.
  """

  seconds: float
  written: int
  tried: int
  answered: tuple[int, ...]
  params: Any


def practise(
  practice: Practice,
  params: Any,
  executor: Executor,
  seconds: float,
  random: np.random.Generator,
) -> Iterator[Standing]:
  """Yields after every round, until all is answered or the time is up.

  It also ends where nobody has anything left to write, as search may. The
  device learns and writes the next programs while the executor runs these, so
  both know what became of all programs but the last round's.
  """
  archives, state = practice.archives, practice.optimizer
  written = 0
  begin = time.monotonic()
  left = _unanswered(archives)
  if not left:
    return
  coming = _write(practice, params, left, random)
  while True:
    programs, others = coming()
    if not programs and not others:
      return
    if practice.lesson is not None and practice.update is not None:
      source = archives if practice.draw is None else practice.drawn
      tasks, weight = practice.lesson(source)
      if weight.any():
        key = device_key(random)
        params, state = practice.update(params, state, tasks, weight, key)
    following = _write(practice, params, left, random)
    run(executor, archives, programs, misses=practice.misses)
    if others:
      run(executor, archives, others, practice.drawn, misses=True)
    written += len(programs) + len(others)
    standing = Standing(
      seconds=time.monotonic() - begin,
      written=written,
      tried=sum(len(a.tried) for a in archives),
      answered=tuple(i for i, a in enumerate(archives) if a.answer is not None),
      params=params,
    )
    yield standing
    left = _unanswered(archives)
    if not left or standing.seconds >= seconds:
      return
    coming = following


def _unanswered(archives: Sequence[Archive]) -> list[int]:
  return [i for i, archive in enumerate(archives) if archive.answer is None]


def _write(
  practice: Practice,
  params: Any,
  left: Sequence[int],
  random: np.random.Generator,
) -> Callable[[], tuple[Written, Written]]:
  """Begins a round's programs; called, it waits for them and random ones."""
  begun = [
    write(params, practice.archives, left, random) for write in practice.writers
  ]
  drawn = practice.draw and practice.draw(
    params, practice.archives, left, random
  )

  def finish() -> tuple[Written, Written]:
    programs = [pair for pending in begun for pair in pending()]
    return programs, drawn() if drawn else []

  return finish
