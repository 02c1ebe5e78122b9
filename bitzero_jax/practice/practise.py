"""Self-play aimed at questions: answer, verify, learn from the misses, again.

Nothing but the questions' own examples is used. Questions that are practised
together share one model, so a question gains from what its neighbours missed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from bitzero_jax.practice.archive import Archive, run
from bitzero_jax.practice.desk import Write
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
    params: those that wrote in this round.
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
  key: jax.Array,
) -> Iterator[Standing]:
  """Yields after every round, until all is answered or the time is up.

  It also ends where nobody has anything left to write, as search may.
  """
  archives, state = practice.archives, practice.optimizer
  written = 0
  begin = time.monotonic()
  while True:
    left = [i for i, a in enumerate(archives) if a.answer is None]
    if not left or time.monotonic() - begin >= seconds:
      return
    key, draw_key, learn_key, *keys = jax.random.split(
      key, 3 + len(practice.writers)
    )
    # First, so that no time goes into lessons that nobody will use.
    if practice.lesson is not None and practice.update is not None:
      source = archives if practice.draw is None else practice.drawn
      tasks, weight = practice.lesson(source)
      if weight.any():
        params, state = practice.update(params, state, tasks, weight, learn_key)
        jax.block_until_ready(params)
    programs = [
      pair
      for write, write_key in zip(practice.writers, keys, strict=True)
      for pair in write(params, archives, left, write_key)
    ]
    run(executor, archives, programs, misses=practice.misses)
    count = len(programs)
    if practice.draw is not None:
      others = practice.draw(params, archives, left, draw_key)
      run(executor, archives, others, practice.drawn, misses=True)
      count += len(others)
    if not count:
      return
    written += count
    yield Standing(
      seconds=time.monotonic() - begin,
      written=written,
      tried=sum(len(a.tried) for a in archives),
      answered=tuple(i for i, a in enumerate(archives) if a.answer is not None),
      params=params,
    )
