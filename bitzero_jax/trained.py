"""A trained model, of a workdir or a packed file, to be examined or asked."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from bitzero_jax import build, restored
from bitzero_jax.evaluate import cruxeval, dynamic, list_functions, pace, puzzle
from bitzero_jax.evaluate import graded as graded_lib
from bitzero_jax.evaluate.constant import best_constant
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.examine import examiner, summarize
from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.export import packed
from bitzero_jax.export.model import weights
from bitzero_jax.language import levels, render
from bitzero_jax.models.network import Network
from bitzero_jax.precision.base import set_control
from bitzero_jax.runtime import workdir
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Judge

LIST_SAMPLES = 16  # programs for each list function, by default


class Trained(NamedTuple):
  """What a workdir's checkpoint holds, with the means to use it.

  Attributes:
    config: the run's frozen config.
    params: latent parameters; of a packed file the weights themselves.
    round: the checkpoint's round.
    executor: running interpreters.
    network: makes weights of the parameters, and runs them.
  """

  config: Any
  params: Any
  round: int
  executor: Executor
  network: Network


@contextlib.contextmanager
def opened(folder: Path, which: str) -> Iterator[Trained]:
  """The "last" or the "best" checkpoint of a run, ready to be used.

  Raises:
    ValueError: as for `restored.restore`.
  """
  held = restored.restore(folder, which)
  with build.build_executor(held.config) as executor:
    yield Trained(*held, executor, build.build_network(held.config))


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Trained]:
  """A packed file, ready to be used: its weights are those of the run.

  Raises:
    ValueError: as for `packed.read`.
  """
  held = packed.read(path)
  network = build.build_shipped_network(held.config)
  with build.build_executor(held.config) as executor:
    yield Trained(held.config, weights(held), held.round, executor, network)


class Evaluation(NamedTuple):
  """What a suite says of a model.

  Attributes:
    scores: numbers ready for JSON, with "suite", "round" and "step".
    tasks: what became of each task, ready for JSON; empty for cruxeval.
  """

  scores: dict[str, Any]
  tasks: dict[str, Any]


def evaluate(
  model: Trained, suite: str, data: str | None, samples: int | None
) -> Evaluation:
  """Scores a model on one suite.

  Args:
    model: from `opened`.
    suite: "heldout", "human", "list_functions" or "cruxeval".
    data: file of the last two.
    samples: answers sampled for each task beside the graded one, to measure
      agreement; default none. For list functions the programs to choose from,
      default 16. cruxeval takes none.

  Raises:
    ValueError: the suite needs a file, or the file is not what it should be.
  """
  if suite in ("list_functions", "cruxeval") and data is None:
    raise ValueError(f"--suite={suite} needs --data=FILE")
  if suite in ("heldout", "human") and data is not None:
    raise ValueError(f"--suite={suite} takes no --data")
  if samples is not None:
    if samples < 1:
      raise ValueError(f"--samples={samples} must be at least 1")
    if suite == "cruxeval":
      raise ValueError(f"--suite={suite} takes no --samples={samples}")
  config = model.config
  judge = Judge(model.executor, config.language.pairs)
  network = model.network
  language = build.build_language(config)
  level = levels.LEVELS[config.language.levels[-1]]
  step = model.round * config.learn.updates
  head: dict[str, Any] = {"suite": suite, "round": model.round, "step": step}
  if suite in ("heldout", "human"):
    exam = _exam(model, suite, judge)
    graded = examiner(network, exam, judge, samples or 0)(model.params)
    scores = _scores(model.executor, exam, graded)
    if samples:
      scores["samples"] = samples
    return Evaluation(head | scores, graded_lib.to_record(suite, graded))
  assert data is not None  # checked above, for the type checker
  if suite == "list_functions":
    functions = list_functions.load(data)
    scores, answers = list_functions.score(
      model.executor,
      network,
      model.params,
      functions,
      level,
      language.sizes,
      samples=LIST_SAMPLES if samples is None else samples,
      key=jax.random.key(config.seed),
    )
    graded = list_functions.to_graded(functions, answers, level)
    tasks = graded_lib.to_record(suite, graded) | {
      "index": [f.index for f in functions],
      "answer": [a.program and render.source(a.program) for a in answers],
    }
    return Evaluation(head | scores, tasks)
  scores = cruxeval.score(
    model.executor,
    network,
    model.params,
    cruxeval.load(data),
    level,
    language.sizes,
  )
  return Evaluation(head | scores, {})


def _exam(model: Trained, suite: str, judge: Judge) -> Exam:
  """The exam of "heldout" or "human"."""
  if suite == "heldout":
    return build.build_exam(model.config, judge)
  return build.build_human_exam(model.config, model.executor)


def evaluate_dynamic(model: Trained, suite: str) -> Evaluation:
  """Sits an exam at every depth of the weights, and at planes by the task.

  An answer's seconds are those of the first planes alone, packed
  (`build.build_at_depth`), on this device.

  Args:
    model: from `opened`, of a run with `precision.depths`.
    suite: "heldout" or "human".

  Returns:
    Scores: planes, and points, each with its rule, share, bits, seconds and
    accuracy (`evaluate.dynamic.Point`). Tasks: those of the sitting with most
    planes, and under "depths" those of the others by their number of planes.

  Raises:
    ValueError: the run has one depth alone, or the suite is another.
  """
  config = model.config
  planes = config.precision.depths
  if not planes:
    raise ValueError(
      f"--dynamic needs a run with precision.depths, not {tuple(planes)}"
    )
  if suite not in ("heldout", "human"):
    raise ValueError(f"--dynamic takes --suite=heldout or human, not {suite}")
  judge = Judge(model.executor, config.language.pairs)
  exam = _exam(model, suite, judge)
  sit = examiner(model.network, exam, judge)
  sittings = [sit(set_control(model.params, "planes", k)) for k in planes]
  seconds = [_seconds(model, exam, k) for k in planes]
  depths = dynamic.Depths(planes, seconds)
  found = dynamic.points(sittings, depths, np.asarray(exam.tasks.program))
  scores = {
    "suite": f"{suite}_dynamic",
    "round": model.round,
    "step": model.round * config.learn.updates,
    "planes": list(planes),
    "points": [point._asdict() for point in found],
  }
  *fewer, most = [graded_lib.to_record(scores["suite"], s) for s in sittings]
  others = dict(zip(map(str, planes), fewer, strict=False))
  return Evaluation(scores, most | {"depths": others})


def _seconds(model: Trained, exam: Exam, planes: int) -> float:
  """Of an answer where the model has so many planes."""
  network, packed = build.build_at_depth(model.config, planes)
  return pace.seconds_an_answer(network, exam, jax.jit(packed)(model.params))


def save(folder: Path, evaluation: Evaluation) -> Path:
  """Writes an evaluation into a run's workdir, in place of an older one.

  Returns:
    `evaluations/SUITE.json`: {"scores": ..., "tasks": ...}.
  """
  path = (
    folder / workdir.EVALUATIONS_FOLDER / f"{evaluation.scores['suite']}.json"
  )
  path.parent.mkdir(exist_ok=True)
  workdir.write_json(path, evaluation._asdict())
  return path


def _scores(executor: Executor, exam: Exam, graded: Graded) -> dict[str, Any]:
  scores = summarize(graded)
  constant = best_constant(executor, exam)
  return {
    "tasks": int((~graded.beyond).sum()),
    **{name.removeprefix("eval/"): value for name, value in scores.items()},
    "constant": constant.best,
    "constant_answers": list(constant.answers),
  }


class Solved(NamedTuple):
  """Programs for a person's examples.

  Attributes:
    answers: best first.
    planes: that the weights ran at; None where they have one precision.
  """

  answers: list[puzzle.Answer]
  planes: int | None


def solve(
  model: Trained, examples: list[puzzle.Example], samples: int
) -> Solved:
  """Asks a model for programs; of several depths the fewest planes first.

  The executor says whether an answer can be trusted, so weights that run at
  several numbers of planes take the next one only where no program fits.

  Args:
    model: from `opened`.
    examples: from `puzzle.read_examples`.
    samples: programs sampled, at each number of planes.

  Raises:
    ValueError: as for `puzzle.solve`.
  """
  config = model.config
  level = levels.LEVELS[config.language.levels[-1]]
  sizes = build.build_language(config).sizes

  def ask(params: Any) -> list[puzzle.Answer]:
    write = puzzle.by_network(model.network, params, level, sizes, config.seed)
    return puzzle.solve(write, level, sizes, model.executor, examples, samples)

  # A packed file holds one precision, whatever the run could do.
  depths = config.precision.depths if "quant" in model.params else ()
  if not depths:
    return Solved(ask(model.params), None)
  for planes in depths:
    answers = ask(set_control(model.params, "planes", planes))
    if answers[0].right == len(examples):
      break
  return Solved(answers, planes)
