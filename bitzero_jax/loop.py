"""The host's loop: rounds, metrics, evaluation, checkpoints, resume."""

import contextlib
import gc
import math
import resource
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import primary, report
from bitzero_jax.evaluate.constant import best_constant
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.examine import examiner, summarize
from bitzero_jax.evaluate.graded import to_record
from bitzero_jax.language import render
from bitzero_jax.quant import tree
from bitzero_jax.runtime import checkpoint, metrics, overview, workdir
from bitzero_jax.runtime.progress import Progress
from bitzero_jax.state import KINDS, REASONS, SOURCES, LoopState
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Judge
from bitzero_jax.wiring import Round

ENOUGH_VERDICTS = 2000  # before the share of Unknown verdicts may stop a run
SHOWN_TASKS = 12  # proposals of a round that go into tasks.jsonl


class RunError(RuntimeError):
  """The run had to stop; the message says at which update, and why."""


class Stop:
  """Set by SIGINT and SIGTERM: finish this round, save, leave."""

  def __init__(self) -> None:
    self.by = ""

  @contextlib.contextmanager
  def listening(self) -> Iterator[None]:
    """Catches the signals inside the block; a second one acts as usual."""
    before = {}

    def catch(number, _):
      self.by = signal.Signals(number).name
      signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
      before[number] = signal.signal(number, catch)
    try:
      yield
    finally:
      for number, handler in before.items():
        signal.signal(number, handler)


class Meter(NamedTuple):
  """Where the time was when the last metric line was written."""

  wall: float
  waited: float
  verify: float
  evaluate: float
  round: int


def train(config: Any, folder: Path) -> dict[str, float]:
  """Runs or resumes a whole run.

  Args:
    config: validated.
    folder: the run's workdir; the same command resumes what lies in it.

  Returns:
    The summary that is printed at the end.

  Raises:
    ValueError: the folder holds something else. Nothing was written.
    RunError: the loss is not finite, or the executor could not decide too
      often. The last good checkpoint stands.
  """
  started = time.monotonic()
  resumed = workdir.check(folder, config.to_dict())
  stop = Stop()
  with (
    stop.listening(),
    build.build_executor(config) as executor,
    Progress(config_lib.total_updates(config)) as progress,
    ThreadPoolExecutor(1) as background,
  ):
    judge = Judge(executor, config.language.pairs)
    build.build_mesh(config)
    if resumed:
      workdir.check_engine(folder, executor.engine.name)
    progress.note(f"executor: {executor.engine.name}, {executor.tier}")
    one_round = None
    if checkpoint.newest(folder) != config.rounds:
      progress.note("compiling the round while the held-out exam is drawn")
      one_round = background.submit(
        build.build_round, config, judge, background
      )
    exam = build.build_exam(config, judge)
    workdir.begin(folder, config_lib.to_json(config))
    with checkpoint.opened(folder) as checkpoints:
      run = _Run(
        config,
        folder,
        executor,
        judge,
        exam,
        checkpoints,
        progress,
        stop,
        started,
      )
      return run.go(one_round, resumed)


class _Run:
  """One process's part of a run."""

  def __init__(
    self,
    config: Any,
    folder: Path,
    executor: Executor,
    judge: Judge,
    exam: Exam,
    checkpoints: checkpoint.Checkpoints,
    progress: Progress,
    stop: Stop,
    started: float,
  ):
    self.config = config
    self.folder = folder
    self.executor = executor
    self.judge = judge
    self.exam = exam
    self.checkpoints = checkpoints
    self.progress = progress
    self.stop = stop
    self.started = started
    self.score: float | None = None
    self.evaluate_seconds = 0.0
    self.work = build.rows_a_round(config)

  def go(
    self, compiling: Future[Round] | None, resumed: bool
  ) -> dict[str, float]:
    """From the first state to the summary."""
    config, progress, exam = self.config, self.progress, self.exam
    constant = best_constant(self.executor, exam)
    progress.note(
      f"held-out exam: {len(exam.pair)} tasks of each type, best constant "
      f"answer {constant.best:.1%}"
    )
    state = build.build_state(config, exam.tasks.behaviour)
    state, first = self._restore(place(config, state))
    self._describe(state)
    network = build.build_network(config)
    exams = {"heldout": exam}
    if config.heldout.human:
      exams["human"] = build.build_human_exam(config, self.executor)
    self.examiners = {
      suite: examiner(network, posed, self.judge)
      for suite, posed in exams.items()
    }
    self.constant = constant
    begin = int(state.updates)
    progress.resume(begin)
    resume_step = (begin if first else -1) if resumed else None
    with (
      metrics.MetricsWriter(self.folder, resume_step=resume_step) as writer,
      metrics.TaskLog(self.folder, resume_step=resume_step) as tasks,
      metrics.TaskLog(
        self.folder, resume_step=resume_step, file=metrics.GRADED_FILE
      ) as self.graded,
    ):
      self.before, self.score = _so_far(self.folder, config.heldout.primary)
      if first == config.rounds:
        progress.note("this run is finished: nothing left to do")
      values: dict[str, Any] = {}
      if compiling is not None:
        with progress.compiling("the round"):
          one_round = compiling.result()
        state = state if first else one_round.begin(state)
        gc.freeze()  # or each collection walks all of JAX, a tenth of a round
        state, values = self._rounds(state, first, one_round, writer, tasks)
    self.checkpoints.wait()
    return self._finish(state, first, values)

  def _restore(self, state: LoopState) -> tuple[LoopState, int]:
    last = self.checkpoints.last()
    if last is None:
      return state, 0
    self.progress.note(f"resuming after round {last}")
    return self.checkpoints.restore(last, state), last

  def _describe(self, state: LoopState) -> None:
    rows = tree.describe_tree(
      build.build_quantizer(self.config), state.params["model"]
    )
    self.bits = overview.stored_bits(rows)
    Console(stderr=True).print(overview.table(rows))
    workdir.write_json(
      self.folder / workdir.PARAMETERS_FILE, overview.as_records(rows)
    )
    workdir.write_json(
      self.folder / workdir.ENVIRONMENT_FILE,
      workdir.environment(self.executor.engine.name, self.executor.tier),
    )

  def _rounds(self, state, first, one_round, writer, tasks):
    """The rounds, until the end or a signal."""
    config, every = self.config, self.config.every
    values: dict[str, Any] = {}
    self.waited = one_round.waited
    meter = self._meter(first)
    self.train_seconds = 0.0
    for number in range(first + 1, config.rounds + 1):
      begin = time.monotonic()
      state, device_values, trace = self._one(one_round, state)
      self.train_seconds += time.monotonic() - begin
      if number == first + 1:
        self.useful_after = time.monotonic() - self.started
      # Asked once: a signal that comes later must not skip this round's save.
      stopping = bool(self.stop.by)
      last = number == config.rounds or stopping
      step = number * config.learn.updates
      fetched = jax.device_get(device_values)
      self._check(fetched, state, step)
      examined = {}
      if number % every.evaluate == 0 or number == 1 or last:
        examined = self._examine(state, step, number == first + 1)
      if number % every.log == 0 or examined or last:
        values = (
          _numbers(fetched) | self._speed(meter, number, state) | examined
        )
        writer.write(step, values)
        meter = self._meter(number)
      if number % every.tasks == 0 or number == 1 or last:
        tasks.write(step, _proposals(jax.device_get(trace), number))
      if number % every.save == 0 or last:
        self.checkpoints.save(number, state, self.score)
      self.progress.update(step, values)
      if stopping:
        self.progress.note(f"{self.stop.by}: saved after round {number}")
        break
    return state, values

  def _one(self, one_round, state):
    """One round, waited for."""
    return jax.block_until_ready(one_round.step(state))

  def _examine(
    self, state: LoopState, step: int, compiling: bool
  ) -> dict[str, float]:
    begin = time.monotonic()
    note = self.progress.compiling("the exam")
    with note if compiling else contextlib.nullcontext():
      sat = {suite: sit(state.params) for suite, sit in self.examiners.items()}
    self.graded.write(step, [to_record(*item) for item in sat.items()])
    values: dict[str, float] = {}
    for suite, graded in sat.items():
      room = "eval/" if suite == "heldout" else f"eval/{suite}/"
      for name, value in summarize(graded).items():
        values[room + name.removeprefix("eval/")] = value
    self.score = primary.score(self.config.heldout.primary, values)
    self.evaluate_seconds += time.monotonic() - begin
    return values | {"eval/constant": self.constant.best}

  def _check(self, values: dict[str, Any], state: LoopState, step: int) -> None:
    saved = self.checkpoints.last()
    last = (
      "there is no checkpoint yet"
      if saved is None
      else f"the last good checkpoint is round {saved}"
    )
    for name in ("loss/total", "norm/gradient"):
      if not math.isfinite(values[name]):
        raise RunError(f"{name} is {values[name]} at update {step}; {last}")
    # Asked after the loss: a model that is not finite writes no programs.
    if self.judge.failure is not None:
      failure = repr(self.judge.failure)
      raise RunError(f"verification failed at update {step}: {failure}; {last}")
    verdicts, unknown = int(state.verdicts), int(state.unknown)
    limit = self.config.executor.unknown_limit
    if verdicts >= ENOUGH_VERDICTS and unknown > limit * verdicts:
      raise RunError(
        f"{unknown} of {verdicts} verdicts are Unknown at update {step}, above "
        f"executor.unknown_limit={limit}: the machine is too busy or the "
        f"executor is broken; {last}"
      )

  def _meter(self, number: int) -> Meter:
    return Meter(
      time.monotonic(),
      self.waited(),
      self.judge.seconds,
      self.evaluate_seconds,
      number,
    )

  def _speed(self, meter: Meter, number: int, state: LoopState):
    now = self._meter(number)
    wall = max(now.wall - meter.wall, 1e-9)
    evaluate = now.evaluate - meter.evaluate
    waited = now.waited - meter.waited
    rounds = number - meter.round
    busy = max(wall - evaluate, 1e-9)
    stats = self.executor.stats
    return {
      "round": number,
      "seconds": self.before + now.wall - self.started,
      "speed/rows_per_s": rounds * self.work[0] / busy,
      "speed/tokens_per_s": rounds * self.work[1] / busy,
      "speed/tasks_per_s": rounds * self.config.propose.candidates / busy,
      "seconds/verify": waited,
      "seconds/evaluate": evaluate,
      "seconds/device": max(wall - waited - evaluate, 0.0),
      "executor/share": min(waited / wall, 1.0),
      "executor/seconds": now.verify - meter.verify,
      "executor/unknown_rate": int(state.unknown) / max(int(state.verdicts), 1),
      "executor/flip_rate": stats.flip_rate,
      "bits/stored_per_weight": self.bits,
      "memory/peak_mb": _peak_mb(),
    }

  def _finish(self, state, first: int, values) -> dict[str, float]:
    wall = time.monotonic() - self.started
    done = int(state.round) - first
    summary = {
      "rounds": float(int(state.round)),
      "updates": float(int(state.updates)),
      "seconds": wall,
      "peak_memory_mb": _peak_mb(),
    }
    if done:
      summary |= {
        "rows_per_s": done * self.work[0] / self.train_seconds,
        "executor_share": self.waited() / wall,
        "first_step_after_s": self.useful_after,
      }
    for kind in KINDS:
      if f"eval/{kind}" in values:
        summary[f"heldout_{kind}"] = values[f"eval/{kind}"]
    page = report.write_report(
      self.folder, defaults=config_lib.default().to_dict()
    )
    self.progress.note(f"report: {page}")
    self.progress.finish(summary)
    return summary


def place(config: Any, state: LoopState) -> LoopState:
  """The state where the round wants it: on every device of the data axis."""
  if config.wiring == "host":
    return state
  everywhere = NamedSharding(build.build_mesh(config), PartitionSpec())
  return jax.device_put(state, everywhere)


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
  return {
    name: value.tolist() if np.ndim(value) else float(value)
    for name, value in values.items()
  }


def _peak_mb() -> float:
  unit = 1 if sys.platform == "darwin" else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _so_far(folder: Path, measure: str) -> tuple[float, float | None]:
  """Seconds and last score that earlier processes of this run logged."""
  seconds, score = 0.0, None
  for line in metrics.read(folder / metrics.METRICS_FILE):
    seconds = max(seconds, line["seconds"])
    found = primary.score(measure, line)
    score = score if found is None else found
  return seconds, score


def _proposals(trace: Any, number: int) -> list[dict[str, Any]]:
  """A round's first proposals, readable."""
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
    )
  return shown
