"""The host's loop: rounds, evaluation, checkpoints, of one seed or several.

Several seeds are one process and one compiled round; what belongs to each of
them is a `Run` (`run.py`), in a folder of its own.
"""

import contextlib
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from bitzero_jax import build, seeds
from bitzero_jax import config as config_lib
from bitzero_jax.parts import Trace
from bitzero_jax.restored import start
from bitzero_jax.run import Run, RunError
from bitzero_jax.runs import check_engines, open_runs, plan_together
from bitzero_jax.runtime import (
  checkpoint,
  overview,
  processes,
  profile,
  workdir,
)
from bitzero_jax.runtime.compiling import describe_cache
from bitzero_jax.runtime.pace import Pace, Work, peak_mb
from bitzero_jax.runtime.progress import Progress
from bitzero_jax.runtime.stop import Stop
from bitzero_jax.state import KINDS, LoopState, Start
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Judge
from bitzero_jax.wiring import Round


def train(config: Any, folder: Path) -> dict[str, float]:
  """Runs or resumes a whole run, or one for each of several seeds.

  Args:
    config: validated.
    folder: the run's workdir, or with `config.seeds` above 1 the folder that
      theirs lie in; the same command resumes what lies in it.

  Returns:
    The summary that is printed at the end; of several seeds the mean.

  Raises:
    ValueError: the folder holds something else. Nothing was written.
    RunError: the loss is not finite, or the executor could not decide too
      often. The last good checkpoint stands.
  """
  started = time.monotonic()
  build.build_mesh(config)
  build.check_kernel(config, jax.default_backend())
  profile.check(folder, config.profile.steps)
  plans, first = plan_together(config, folder)
  starts = processes.from_first(
    lambda: [None if first else start(one.config) for one in plans]
  )
  stop, lead = Stop(), processes.first()
  with (
    stop.listening(),
    processes.together(lambda: build.build_executor(config)) as executor,
    open(os.devnull, "w") as nowhere,
    Progress(
      config_lib.total_updates(config), None if lead else nowhere
    ) as progress,
    ThreadPoolExecutor(1) as background,
    contextlib.ExitStack() as opened,
  ):
    judge = Judge(executor, config.language.pairs)
    processes.together(lambda: check_engines(plans, executor))
    progress.note(f"executor: {executor.engine.name}, {executor.tier}")
    if processes.count() > 1:
      progress.note(
        f"{processes.count()} processes, {len(jax.devices())} devices, each "
        "with an executor of its own"
      )

    def compile_round() -> Future[Round]:
      return background.submit(build.build_round, config, judge, background)

    compiling = None
    if first != config.rounds:
      progress.note(describe_cache())
      progress.note("compiling the round while the held-out exam is drawn")
      compiling = compile_round()
    runs = opened.enter_context(
      open_runs(config, plans, executor, judge, progress.note)
    )
    loop = _Loop(config, runs, executor, judge, progress, stop, started)
    with processes.unbroken(runs[0].last_good):
      return loop.go(compiling, first, compile_round, starts)


class _Loop:
  """One process's part of its runs."""

  def __init__(
    self,
    config: Any,
    runs: list[Run],
    executor: Executor,
    judge: Judge,
    progress: Progress,
    stop: Stop,
    started: float,
  ):
    self.config = config
    self.runs = runs
    self.executor = executor
    self.judge = judge
    self.progress = progress
    self.stop = stop
    self.started = started
    self.mesh = build.build_mesh(config)
    self.work = Work(
      *build.rows_a_round(config), tasks=config.propose.candidates
    )
    self.profile = profile.Profile(
      runs[0].plan.folder, config.profile.steps, progress.note
    )
    self.split = jax.jit(lambda state: seeds.apart(state, len(runs)))
    self.examined = False
    self.summary: dict[str, float] = {}

  def go(
    self,
    compiling: Future[Round] | None,
    first: int,
    compile_round: Callable[[], Future[Round]],
    starts: Sequence[Start | None],
  ) -> dict[str, float]:
    """From the first state to the summary.

    Args:
      compiling: the round, None where no round seemed to be left.
      first: round to go on from.
      compile_round: begins to compile it, should there be one after all.
      starts: of each seed, what to begin with; None for random weights.
    """
    config, progress = self.config, self.progress
    for run in self.runs:
      progress.note(
        f"{run.plan.label}held-out exam: {len(run.exam.pair)} tasks of each "
        f"type, best constant answer {run.constant:.1%}"
      )
    if config.start and not first:
      progress.note(f"beginning with the last weights of {config.start}")
    state, first = self._state(first, starts)
    begin = first * config.learn.updates
    progress.resume(begin)
    if compiling is None and first < config.rounds:
      compiling = compile_round()
    done, values = first, {}
    with self._telling(), contextlib.ExitStack() as files:
      for run in self.runs:
        run.open(files, begin)
      if first == config.rounds:
        progress.note("this run is finished: nothing left to do")
      if compiling is not None:
        with progress.compiling("the round"):
          one_round = compiling.result()
          processes.meet("compiled")
        state = state if first else one_round.begin(state)
        gc.freeze()  # or each collection walks all of JAX, a tenth of a round
        files.enter_context(self.profile)
        # What crosses between host and device is asked for by name.
        with jax.transfer_guard("disallow"):
          done, values = self._rounds(state, first, one_round)
      for run in self.runs:
        run.finish_saving()
      return self._finish(done, values)

  @contextlib.contextmanager
  def _telling(self) -> Iterator[None]:
    """Turns what the disk says, that is full or gone, into a `RunError`."""
    try:
      yield
    except OSError as error:
      what = error.filename or "a file of the run"
      said = f"{what}: {error.strerror or error}"
      raise RunError(f"{said}; {self.runs[0].last_good()}") from error

  def _state(
    self, first: int, starts: Sequence[Start | None]
  ) -> tuple[LoopState, int]:
    """The state of all seeds after round `first`, or one before, and which."""
    for run in self.runs:
      held = run.checkpoints.last() or 0
      if held > first:
        self.progress.note(
          f"{run.plan.label}rounds {first + 1} to {held} are run again: "
          "another seed had not saved them"
        )
    barred = [run.exam.tasks.behaviour for run in self.runs]
    shardings = build.build_shardings(self.runs[0].plan.config, self.mesh)
    fresh = build.build_states(self.config, barred, shardings, starts)
    states, first = self._restored(fresh, first)
    if first:
      self.progress.note(f"resuming after round {first}")
    environment = workdir.environment(
      self.executor.engine.name, self.executor.tier, len(self.runs)
    )
    rows = [
      run.describe(state, environment)
      for run, state in zip(self.runs, states, strict=True)
    ]
    if processes.first():
      Console(stderr=True).print(overview.table(rows[0]))
    return seeds.together(states), first

  def _restored(
    self, fresh: list[LoopState], first: int
  ) -> tuple[list[LoopState], int]:
    """Goes back, and says so, where a checkpoint is damaged.

    Raises:
      RunError: none can be read.
    """
    held = set.intersection(*(set(r.checkpoints.rounds()) for r in self.runs))
    error = None
    for number in sorted((n for n in held if n <= first), reverse=True) or [0]:
      try:
        states = processes.together(
          lambda number=number: [
            run.restore(state, number)
            for run, state in zip(self.runs, fresh, strict=True)
          ]
        )
        return states, number
      except (checkpoint.CheckpointError, RuntimeError) as caught:
        error = caught
        self.progress.note(f"{caught}: going back to the one before")
    raise RunError(f"no checkpoint can be read; the last to fail: {error}")

  def _rounds(
    self, state: LoopState, first: int, one_round: Round
  ) -> tuple[int, dict[str, Any]]:
    """The rounds, until the end or a signal: the last one, and its metrics."""
    config, every, judge = self.config, self.config.every, self.judge
    pace = Pace(self.work, first, one_round.waited, lambda: judge.seconds)
    number, values, useful_after = first, {}, 0.0
    for number in range(first + 1, config.rounds + 1):
      begin = time.monotonic()
      with self.profile.round(number):
        state, measured, trace = jax.block_until_ready(one_round.step(state))
      pace.training += time.monotonic() - begin
      if number == first + 1:
        useful_after = time.monotonic() - self.started
      # Asked once: a signal that comes later must not skip this round's save.
      failed, stopped = processes.agree(self._failure(), self.stop.by)
      stopping = bool(stopped)
      last = number == config.rounds or stopping
      step = number * config.learn.updates
      lines = self._check(measured, state, step, failed)
      examine = number % every.evaluate == 0 or number == 1 or last
      save = number % every.save == 0 or last
      states = self._apart(state) if examine or save else []
      if examine:
        lines = self._examine(states, lines, step, pace)
      if number % every.log == 0 or examine:
        values = self._write(lines, step, number, pace)
      if number % every.tasks == 0 or number == 1 or last:
        self._write_tasks(trace, step, number)
      if save:
        for run, mine in zip(self.runs, states, strict=True):
          run.save(number, mine)
      self.progress.update(step, values)
      if stopping:
        self.progress.note(f"{stopped}: saved after round {number}")
        break
    rows = (number - first) * self.work.rows * len(self.runs)
    self.summary = {
      "rows_per_s": rows / pace.training,
      "executor_share": one_round.waited() / (time.monotonic() - self.started),
      "first_step_after_s": useful_after,
    }
    return number, values

  def _apart(self, state: LoopState) -> list[LoopState]:
    """The state of each seed."""
    return [state] if len(self.runs) == 1 else self.split(state)

  def _failure(self) -> str:
    """What this process's executor met, or ""."""
    return "" if self.judge.failure is None else repr(self.judge.failure)

  def _check(
    self, measured: dict[str, Any], state: LoopState, step: int, failed: str
  ) -> list[dict[str, Any]]:
    """Raises where something is wrong; returns each run's metrics."""
    counted = (measured, state.verdicts, state.unknown)
    fetched = seeds.apart(jax.device_get(counted), len(self.runs))
    for run, (values, _, _) in zip(self.runs, fetched, strict=True):
      run.check_loss(values, step)
    # Asked after the loss: a model that is not finite writes no programs.
    if failed:
      raise RunError(
        f"verification failed at update {step}: {failed}; "
        f"{self.runs[0].last_good()}"
      )
    lines = []
    for run, (values, verdicts, unknown) in zip(
      self.runs, fetched, strict=True
    ):
      run.check_verdicts(int(verdicts), int(unknown), step)
      rate = int(unknown) / max(int(verdicts), 1)
      lines.append(_numbers(values) | {"executor/unknown_rate": rate})
    return lines

  def _examine(
    self,
    states: list[LoopState],
    lines: list[dict[str, Any]],
    step: int,
    pace: Pace,
  ) -> list[dict[str, Any]]:
    """Sits every seed's exam; returns its metrics with the others."""
    begin = time.monotonic()
    note = contextlib.nullcontext()
    if not self.examined:
      note = self.progress.compiling("the exam")
    self.examined = True
    with note:
      lines = [
        line | run.examine(self._whole(state.params), step)
        for run, state, line in zip(self.runs, states, lines, strict=True)
      ]
    pace.evaluating += time.monotonic() - begin
    return lines

  def _whole(self, params: Any) -> Any:
    """Parameters for an exam, which one device sits."""
    return params if self.mesh.size == 1 else processes.whole(params)

  def _write(
    self, lines: list[dict[str, Any]], step: int, number: int, pace: Pace
  ) -> dict[str, Any]:
    """Writes each run's metric line; returns what a person watches."""
    lap = pace.lap(number) | {
      "round": number,
      "executor/flip_rate": self.executor.stats.flip_rate,
    }
    seconds = time.monotonic() - self.started
    return _shown(
      [
        run.write(step, seconds, line | lap)
        for run, line in zip(self.runs, lines, strict=True)
      ]
    )

  def _write_tasks(self, trace: Trace, step: int, number: int) -> None:
    """Writes samples of each run's proposals."""
    traces = seeds.apart(jax.device_get(trace), len(self.runs))
    for run, mine in zip(self.runs, traces, strict=True):
      run.write_tasks(step, mine, number)

  def _finish(self, done: int, values: dict[str, Any]) -> dict[str, float]:
    """Writes the reports and prints the summary."""
    summary = {
      "rounds": float(done),
      "updates": float(done * self.config.learn.updates),
      "seconds": time.monotonic() - self.started,
      "peak_memory_mb": peak_mb(),
    } | self.summary
    for kind in KINDS:
      if f"eval/{kind}" in values:
        summary[f"heldout_{kind}"] = values[f"eval/{kind}"]
    for run in self.runs:
      self.progress.note(f"{run.plan.label}report: {run.report()}")
    self.progress.finish(summary)
    return summary


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
  return {
    name: value.tolist() if np.ndim(value) else float(value)
    for name, value in values.items()
  }


def _shown(lines: list[dict[str, Any]]) -> dict[str, Any]:
  """What a person watches: means over the seeds, of speeds the sum."""
  if len(lines) == 1:
    return lines[0]
  shown = {}
  for name, value in lines[0].items():
    if isinstance(value, int | float):
      every = [line[name] for line in lines]
      join = sum if name.startswith("speed/") else statistics.fmean
      shown[name] = join(every)
  return shown
