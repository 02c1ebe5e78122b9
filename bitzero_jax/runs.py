"""The runs of this process: planned and opened as all processes agree."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.examine import Examiner, examiner, examiners
from bitzero_jax.quant.tree import TensorRow
from bitzero_jax.run import Plan, Run, first_round, plan
from bitzero_jax.runtime import checkpoint, processes, workdir
from bitzero_jax.state import LoopState
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Judge


def plan_together(config: Any, folder: Path) -> tuple[list[Plan], int]:
  """`plan` and `first_round`, as process 0 sees the folder, for all of them.

  Raises:
    ValueError: as for these, or this process was started with another config.
    RuntimeError: another process raised it.
  """
  said = config_lib.to_json(config)
  due = processes.from_first(lambda: said)
  plans: list[Plan] = []

  def same() -> None:
    if due != said:
      raise ValueError("its config is not that of process 0")

  def look() -> tuple[list[bool], int]:
    plans.extend(plan(config, folder))
    return [one.resumed for one in plans], first_round(plans)

  processes.together(same)
  resumed, first = processes.from_first(look)
  # Of several processes there is one seed: several seeds share one device.
  return plans or [Plan(config, folder, resumed[0], "")], first


def check_engines(plans: Sequence[Plan], executor: Executor) -> None:
  """Refuses to go on with another engine than the one of before.

  Raises:
    ValueError: it is another.
  """
  for one in plans:
    if one.resumed:
      workdir.check_engine(one.folder, executor.engine.name)


@contextlib.contextmanager
def open_runs(
  config: Any,
  plans: Sequence[Plan],
  executor: Executor,
  judge: Judge,
  say: Callable[[str], None],
) -> Iterator[list[Run]]:
  """Draws the exams, begins the folders and opens the runs in them.

  Args:
    config: validated.
    plans: from `plan_together`.
    executor, judge: this process's own.
    say: told what is not as it was left.
  """
  exams = processes.from_first(lambda: _begin(plans, judge, say))
  with contextlib.ExitStack() as opened:
    saving = [
      opened.enter_context(checkpoint.opened(one.folder)) for one in plans
    ]
    if not processes.first():
      yield [
        Follower(one, exam, saves)
        for one, exam, saves in zip(plans, exams, saving, strict=True)
      ]
      return
    sitting = _examiners(config, exams, executor, judge)
    yield [
      Run(one, exam, sat, executor, saves)
      for one, exam, sat, saves in zip(
        plans, exams, sitting, saving, strict=True
      )
    ]


def _begin(
  plans: Sequence[Plan], judge: Judge, say: Callable[[str], None]
) -> list[Exam]:
  """Draws the exams, and then the folders may be written."""
  exams = [build.build_exam(one.config, judge) for one in plans]
  for one in plans:
    workdir.begin(one.folder, config_lib.to_json(one.config))
    for number in checkpoint.set_aside(one.folder):
      say(
        f"{one.label}checkpoint {number} cannot be read: it is set aside as "
        f"{number}.damaged"
      )
  return exams


def _examiners(
  config: Any, exams: Sequence[Exam], executor: Executor, judge: Judge
) -> list[dict[str, Examiner]]:
  """By suite, for each seed; the human-written functions are one for all."""
  network = build.build_network(config)
  suites = [{"heldout": own} for own in examiners(network, exams, judge)]
  if config.heldout.human:
    exam = build.build_human_exam(config, executor)
    human = examiner(network, exam, judge)
    suites = [suite | {"human": human} for suite in suites]
  return suites


class Follower(Run):
  """A run as every process but 0 has it: it saves, and writes nothing else."""

  def __init__(
    self, plan: Plan, exam: Exam, checkpoints: checkpoint.Checkpoints
  ):
    """Takes the plan and the exam, which others sit."""
    self.plan = plan
    self.exam = exam
    self.constant = math.nan
    self.checkpoints = checkpoints
    self.score = None

  def describe(
    self, state: LoopState, environment: dict[str, Any]
  ) -> list[TensorRow]:
    return []

  def _describe_tensors(self, state: LoopState) -> list[TensorRow]:
    return []

  def open(self, files: contextlib.ExitStack, step: int) -> None:
    pass

  def _copy(self) -> None:
    pass

  def sit(self, params: Any, step: int) -> dict[str, float]:
    return {}

  def write(
    self, step: int, seconds: float, values: dict[str, Any]
  ) -> dict[str, Any]:
    return values

  def write_tasks(self, step: int, trace: Any, number: int) -> None:
    pass

  def report(self) -> Path:
    return self.plan.folder
