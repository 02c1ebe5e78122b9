"""A trained model that practises: for a person's examples, or for a suite."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import graded as graded_lib
from bitzero_jax.evaluate import list_functions
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.induce import Pair
from bitzero_jax.evaluate.list_functions import ListFunction
from bitzero_jax.language import levels, render
from bitzero_jax.language.render import Tokens
from bitzero_jax.practice import lines
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.practise import Standing, practise
from bitzero_jax.runtime import checkpoint, workdir
from bitzero_jax.trained import Evaluation, Trained
from bitzero_jax.verify.judge import Judge

Say = Callable[[str], None]


class Found(NamedTuple):
  """An answer that fits every example.

  Attributes:
    program: its tokens.
    seconds: of practice until it was found.
    tried: programs that were run by then, for all questions together.
  """

  program: Tokens
  seconds: float
  tried: int


class Practised(NamedTuple):
  """What practice came to.

  Attributes:
    last: where it stood at its end.
    found: by the number of the function.
    archives: by the number of the function, of those with an example that the
      level can say.
  """

  last: Standing
  found: dict[int, Found]
  archives: dict[int, Archive]


def run(
  model: Trained,
  functions: Sequence[Sequence[Pair]],
  seconds: float,
  say: Say,
) -> Practised:
  """Practises on functions, together, until all are found or time is up.

  Ctrl-C ends it early and loses nothing.

  Args:
    model: from `trained.opened`; its weights are not changed.
    functions: examples of each.
    seconds: of practice, after compiling.
    say: prints a line, now and then.

  Raises:
    ValueError: `seconds` is not above 0, or the level can say none of the
      examples.
  """
  _check(seconds)
  say("compiling the practice ...")
  practice, numbers = build.build_practice(
    model.config, model.params, functions
  )
  archives = dict(zip(numbers, practice.archives, strict=True))
  last = Standing(0.0, 0, 0, (), model.params)
  found: dict[int, Found] = {}
  show = lines.narrator(seconds, len(numbers), say)
  config = model.config
  random = np.random.default_rng([config.seed, config.practice.seed])
  rounds: Iterator[Standing] = practise(
    practice, model.params, model.executor, seconds, random
  )
  try:
    for last in rounds:
      _note(found, archives, last)
      show(last)
  except KeyboardInterrupt:
    _note(found, archives, last)  # of the round that was cut short
  return Practised(last, found, archives)


def _note(
  found: dict[int, Found], archives: dict[int, Archive], last: Standing
) -> None:
  """Adds what the archives answer by now."""
  for number, archive in archives.items():
    if archive.answer and number not in found:
      found[number] = Found(archive.answer, last.seconds, last.tried)


def _check(seconds: float) -> None:
  if not seconds > 0:
    raise ValueError(f"--practice={seconds:g} must be above 0 seconds")


def evaluate(
  model: Trained, suite: str, data: str | None, seconds: float, say: Say
) -> Evaluation:
  """Practises on the functions of a suite, and counts those that are solved.

  Args:
    model: from `trained.opened`.
    suite: "list_functions"; or "heldout", whose induction tasks are taken as
      functions: the shown pairs are given and the others hidden.
    data: file of the former.
    seconds: of practice, for all functions together.
    say: prints a line, now and then.

  Returns:
    Scores: functions, solved (the answer is right on the hidden pairs too),
    fitted (on the given ones), written and tried programs, seconds; and for
    "heldout" solved and functions by bucket. Tasks: a grade for each function,
    with its index, answer, seconds and tried, null where nothing was found.
    Both are of the suite "SUITE_practised", for others sit it without practice.

  Raises:
    ValueError: `seconds` is not above 0, or the suite takes no practice, or
      needs a file.
  """
  _check(seconds)
  functions, buckets = _functions(model, suite, data)
  done = run(model, [f.given for f in functions], seconds, say)
  programs = [
    [done.found[i].program] if i in done.found else []
    for i in range(len(functions))
  ]
  answers = list_functions.answers(model.executor, functions, programs)
  c = model.config.practice
  scores: dict[str, Any] = {
    "suite": f"{suite}_practised",
    "round": model.round,
    "step": model.round * model.config.learn.updates,
    "seed": model.config.seed,
    "practice": c.to_dict(),
    "functions": len(functions),
    "solved": sum(a.right for a in answers),
    "fitted": len(done.found),
    "written": done.last.written,
    "tried": done.last.tried,
    "seconds": round(done.last.seconds, 1),
  }
  for name in dict.fromkeys(buckets):
    mine = [i for i, bucket in enumerate(buckets) if bucket == name]
    scores[f"functions/{name}"] = len(mine)
    scores[f"solved/{name}"] = sum(answers[i].right for i in mine)
  level = levels.LEVELS[model.config.language.levels[-1]]
  graded = list_functions.to_graded(functions, answers, level)
  if buckets:
    names = tuple(dict.fromkeys(buckets))
    bucket = np.array([names.index(name) for name in buckets])
    graded = graded._replace(names=names, bucket=bucket)
  each = [done.found.get(i) for i in range(len(functions))]
  tasks = graded_lib.to_record(scores["suite"], graded) | {
    "index": [f.index for f in functions],
    "answer": [found and render.source(found.program) for found in each],
    "seconds": [found and round(found.seconds, 2) for found in each],
    "tried": [found and found.tried for found in each],
  }
  return Evaluation(scores, tasks)


def _functions(
  model: Trained, suite: str, data: str | None
) -> tuple[list[ListFunction], list[str]]:
  """The functions, and the bucket of each where there are buckets."""
  if suite == "list_functions":
    if data is None:
      raise ValueError(f"--suite={suite} needs --data=FILE")
    return list_functions.load(data), []
  if suite != "heldout":
    raise ValueError(
      f"--practice takes --suite=list_functions or heldout, not {suite}"
    )
  if data is not None:
    raise ValueError(f"--suite={suite} takes no --data")
  config = model.config
  judge = Judge(model.executor, config.language.pairs)
  exam = build.build_exam(config, judge)
  return held_out_functions(exam, config.language.shown)


def held_out_functions(
  exam: Exam, shown: int
) -> tuple[list[ListFunction], list[str]]:
  """The exam's induction tasks as functions, and the bucket of each."""
  functions = []
  for i, (inputs, outputs) in enumerate(
    zip(exam.tasks.inputs, exam.tasks.outputs, strict=True)
  ):
    pairs = tuple(
      (_text(given), _text(result))
      for given, result in zip(inputs, outputs, strict=True)
    )
    functions.append(ListFunction(i, pairs[:shown], pairs[shown:]))
  return functions, [exam.names[b] for b in exam.bucket]


def _text(row: np.ndarray) -> str:
  return render.value_text(render.strip(row))


def keep(source: Path, model: Trained, params: Any, folder: Path) -> None:
  """Writes a run folder that holds practised weights.

  Args:
    source: workdir that `model` was opened from.
    model: from `trained.opened`.
    params: practised parameters.
    folder: a new run's workdir, as `check_keep` found it.
  """
  workdir.begin(folder, config_lib.to_json(model.config))
  with checkpoint.opened(source, create=False) as checkpoints:
    state = checkpoints.read(model.round) | {"params": params}
  with checkpoint.opened(folder) as checkpoints:
    checkpoints.save(model.round, state, None)
    checkpoints.wait()


def check_keep(folder: Path) -> None:
  """Asks, before any work, whether weights can be kept in a folder.

  Raises:
    ValueError: it exists and is not empty, or cannot be written.
  """
  if workdir.is_run(folder):
    raise ValueError(f"--keep={folder} holds a run")
  try:
    workdir.check(folder, {})
  except ValueError as error:
    message = str(error).replace("--workdir=", "--keep=")
    raise ValueError(message) from None
