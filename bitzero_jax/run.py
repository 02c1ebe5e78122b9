"""One run: its folder, its exam, and what it writes. `loop.py` drives it."""

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import primary, report
from bitzero_jax.evaluate.constant import best_constant
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.examine import Examiner, summarize
from bitzero_jax.evaluate.graded import to_record
from bitzero_jax.language import render
from bitzero_jax.quant import tree
from bitzero_jax.quant.tree import TensorRow
from bitzero_jax.runtime import (
  bucket,
  checkpoint,
  metrics,
  overview,
  processes,
  workdir,
)
from bitzero_jax.state import KINDS, REASONS, SOURCES, LoopState
from bitzero_jax.verify.executor import Executor

ENOUGH_VERDICTS = 2000  # before the share of Unknown verdicts may stop a run
SHOWN_TASKS = 12  # proposals of a round that go into tasks.jsonl


class RunError(RuntimeError):
  """The run had to stop; the message says at which update, and why."""


class Plan(NamedTuple):
  """A run before it is opened.

  Attributes:
    config: of this run alone, as it is frozen in the folder.
    folder: its workdir.
    resumed: whether the folder holds it already.
    label: said in front of what concerns it alone; empty where it is alone.
  """

  config: Any
  folder: Path
  resumed: bool
  label: str


def plan(config: Any, folder: Path) -> list[Plan]:
  """The runs of a config, one a seed. Writes nothing.

  Raises:
    ValueError: a folder holds something else, or cannot be written.
  """
  if config.seeds == 1:
    resumed = workdir.check(folder, config.to_dict())
    return [Plan(config, folder, resumed, "")]
  workdir.check_shared(folder)
  plans = []
  for mine in config_lib.of_each_seed(config):
    place = workdir.of_seed(folder, mine.seed)
    resumed = workdir.check(place, mine.to_dict())
    plans.append(Plan(mine, place, resumed, f"seed {mine.seed}: "))
  return plans


def first_round(plans: list[Plan]) -> int:
  """The newest round that all runs hold, 0 to start over.

  A kill may fall between the saves of two runs, also between their first ones,
  so some may have to go back by a save, but none further.

  Raises:
    ValueError: the runs stand further apart, or kept no such round.
  """
  held = [checkpoint.held(plan.folder) for plan in plans]
  common = max(set.intersection(*map(set, held)), default=0)
  last = [max(rounds, default=0) for rounds in held]
  if max(last) - common <= plans[0].config.every.save:
    return common
  stand = ", ".join(
    f"{plan.folder} at {number}"
    for plan, number in zip(plans, last, strict=True)
  )
  raise ValueError(
    "the runs stand at different rounds, more than one save from one that all "
    f"hold: {stand}; resume each alone, in its own folder"
  )


class Run:
  """A run in an open folder.

  Attributes:
    plan: what it is.
    exam: held out from it.
    constant: the best constant answer's score there.
    checkpoints: its own.
    score: of the last evaluation with settled precision, higher is better;
      None before the first.
  """

  def __init__(
    self,
    plan: Plan,
    exam: Exam,
    examiners: dict[str, Examiner],
    executor: Executor,
    checkpoints: checkpoint.Checkpoints,
  ):
    """Takes the plan, the exam, and by suite who sits a model for what."""
    self.plan = plan
    self.exam = exam
    self.constant = best_constant(executor, exam).best
    self.checkpoints = checkpoints
    self.score: float | None = None
    self._before = 0.0
    self._examiners = examiners

  def restore(self, state: LoopState, first: int) -> LoopState:
    """The state after round `first`; later checkpoints are forgotten.

    Args:
      state: the fresh one, whose shapes and shardings are what is wanted.
      first: a round that has a checkpoint, or 0 for `state` itself.

    Raises:
      ValueError: the checkpoint has another structure.
    """
    if first:
      state = self.checkpoints.restore(first, state)
    self.checkpoints.forget_after(first)
    return state

  def describe(
    self, state: LoopState, environment: dict[str, Any]
  ) -> list[TensorRow]:
    """Writes what the run is made of and runs on; returns its tensors."""
    rows = self._describe_tensors(state)
    folder = self.plan.folder
    # Seconds that an earlier process of this run shared stay shared.
    before = workdir.read_environment(folder).get("seeds", 1)
    most = max(before, environment["seeds"])
    workdir.write_json(
      folder / workdir.ENVIRONMENT_FILE, environment | {"seeds": most}
    )
    return rows

  def _describe_tensors(self, state: LoopState) -> list[TensorRow]:
    """Writes the bits of each tensor, as they are now."""
    groups = build.build_groups(self.plan.config, state.params)
    rows = tree.describe_tree(groups, state.params["model"])
    self._bits = overview.stored_bits(rows)
    path = self.plan.folder / workdir.PARAMETERS_FILE
    workdir.write_json(path, overview.as_records(rows))
    return rows

  def open(self, files: contextlib.ExitStack, step: int) -> None:
    """Opens what it writes line by line.

    Args:
      files: closes it.
      step: updates done; lines past it are dropped.
    """
    measure = self.plan.config.heldout.primary
    resume_step = (step or -1) if self.plan.resumed else None
    logs = metrics.TASKS_FILE, metrics.GRADED_FILE
    self._spool = files.enter_context(
      bucket.Spool(self.plan.folder, (metrics.METRICS_FILE, *logs))
    )
    here = self._spool.here
    self._metrics = files.enter_context(
      metrics.MetricsWriter(here, resume_step=resume_step)
    )
    self._tasks, self._graded = (
      files.enter_context(
        metrics.TaskLog(here, resume_step=resume_step, file=file)
      )
      for file in logs
    )
    for line in metrics.read(here / metrics.METRICS_FILE):
      self._before = max(self._before, line["seconds"])
      found = primary.score(measure, line)
      if found is not None and self._settled(line["step"]):
        self.score = found

  def last_good(self) -> str:
    """Says which checkpoint stands."""
    saved = self.checkpoints.last()
    if saved is None:
      return "there is no checkpoint yet"
    return f"the last good checkpoint is round {saved}"

  def check_loss(self, values: dict[str, Any], step: int) -> None:
    """Raises `RunError` if the loss or its gradient is not finite."""
    for name in ("loss/total", "norm/gradient"):
      if not math.isfinite(values[name]):
        raise RunError(
          f"{self.plan.label}{name} is {values[name]} at update {step}; "
          f"{self.last_good()}"
        )

  def check_verdicts(self, verdicts: int, unknown: int, step: int) -> None:
    """Raises `RunError` if too many verdicts are Unknown."""
    limit = self.plan.config.executor.unknown_limit
    if verdicts >= ENOUGH_VERDICTS and unknown > limit * verdicts:
      raise RunError(
        f"{self.plan.label}{unknown} of {verdicts} verdicts are Unknown at "
        f"update {step}, above executor.unknown_limit={limit}: the machine is "
        f"too busy or the executor is broken; {self.last_good()}"
      )

  def examine(self, params: Any, step: int) -> dict[str, float]:
    """Sits every exam in process 0; its metrics, in all processes."""
    values = processes.from_first(lambda: self.sit(params, step))
    if self._settled(step):
      self.score = primary.score(self.plan.config.heldout.primary, values)
    return values

  def sit(self, params: Any, step: int) -> dict[str, float]:
    """Sits every exam, keeps each task's grade, returns the metrics."""
    sat = {suite: sit(params) for suite, sit in self._examiners.items()}
    self._graded.write(step, [to_record(*item) for item in sat.items()])
    values: dict[str, float] = {}
    for suite, graded in sat.items():
      room = "eval/" if suite == "heldout" else f"eval/{suite}/"
      for name, value in summarize(graded).items():
        values[room + name.removeprefix("eval/")] = value
    return values | {"eval/constant": self.constant}

  def _settled(self, step: int) -> bool:
    """Whether the model may be the best: one of higher precision may not."""
    return config_lib.settled(self.plan.config, step)

  def write(
    self, step: int, seconds: float, values: dict[str, Any]
  ) -> dict[str, Any]:
    """Writes a metric line and returns it.

    Args:
      step: updates done.
      seconds: since the process began; those of earlier ones are added.
      values: metrics.
    """
    line = values | {
      "seconds": self._before + seconds,
      "bits/stored_per_weight": values.get("precision/bits", self._bits),
    }
    self._metrics.write(step, line)
    return line

  def write_tasks(self, step: int, trace: Any, number: int) -> None:
    """Writes a round's first proposals, readable."""
    self._tasks.write(step, _proposals(trace, number))

  def save(self, number: int, state: LoopState) -> None:
    """Starts to save the state after a round, and says its bits.

    Raises:
      RunError: this or the save before cannot be written.
    """
    self._describe_tensors(state)
    self._copy()
    self._saving(lambda: self.checkpoints.save(number, state, self.score))

  def _copy(self) -> None:
    """Before the checkpoint: what is past the last one is dropped."""
    self._spool.copy()

  def finish_saving(self) -> None:
    """Waits for what was begun; raises as `save` does."""
    self._saving(self.checkpoints.wait)

  def _saving(self, act: Callable[[], None]) -> None:
    try:
      act()
    except checkpoint.CheckpointError as error:
      raise RunError(f"{self.plan.label}{error}; {self.last_good()}") from error

  def report(self) -> Path:
    """Writes the report."""
    defaults = config_lib.default().to_dict()
    return report.write_report(self.plan.folder, defaults=defaults)


def _proposals(trace: Any, number: int) -> list[dict[str, Any]]:
  count = trace.reason.shape[0]
  rows = np.linspace(0, count - 1, min(SHOWN_TASKS, count)).astype(int)
  shown = []
  for i in rows:
    given, result = trace.tasks.inputs[i, 0], trace.tasks.outputs[i, 0]
    shown.append(
      {
        "round": number,
        "type": KINDS[trace.tasks.kind[i]],
        "source": SOURCES[trace.tasks.source[i]],
        "program": render.source(render.strip(trace.tasks.program[i])),
        "input": render.value_text(render.strip(given)) if given.any() else "",
        "output": render.value_text(render.strip(result))
        if result.any()
        else "",
        "status": REASONS[trace.reason[i]],
        "solve_rate": float(trace.solve_rate[i]),
      }
      | ({} if trace.gap is None else {"gap": float(trace.gap[i])})
    )
  return shown
