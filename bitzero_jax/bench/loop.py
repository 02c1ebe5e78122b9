"""Where a round's time goes: seconds by phase, and what they amount to.

Each phase is waited for, so the sum is a round in which nothing overlaps. Whole
rounds as `wiring="host"` runs them are timed beside it.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from bitzero_jax import build, seeds, wiring
from bitzero_jax import config as config_lib
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.verify.judge import Judge

PHASES: tuple[str, ...] = ("check", "solve", "grade", "propose", "learn")


class Phases(NamedTuple):
  """Means over the rounds that were measured.

  Attributes:
    seconds: of each phase in a round, transfers counted with the host's.
    whole: seconds of a round as training runs it.
    waited: seconds of it that the device waited for the host.
    rows, tokens: trained on in a round by all seeds, padding counted.
    tasks: proposed in a round by all seeds.
    device: what it ran on, and how many of it.
  """

  seconds: dict[str, float]
  whole: float
  waited: float
  rows: int
  tokens: int
  tasks: int
  device: str

  @property
  def total(self) -> float:
    """Seconds of a round in which nothing overlaps."""
    return sum(self.seconds.values())


def measure(
  config: Any, rounds: int, warm: int, say: Callable[[str], None]
) -> Phases:
  """Runs a config's rounds one phase at a time, waiting after each.

  Args:
    config: validated; its wiring does not matter here.
    rounds: rounds that count, of either kind.
    warm: rounds before them, while caches fill.
    say: told what is going on.

  Raises:
    RuntimeError: the executor failed.
  """
  with (
    build.build_executor(config) as executor,
    ThreadPoolExecutor(1) as background,
  ):
    say(f"executor: {executor.engine.name}, {executor.tier}")
    judge = Judge(executor, config.language.pairs)
    host = build.build_host(config, judge)
    say("compiling the round")
    stages = build.build_stages(config)
    wired = wiring.host(stages, host, background, config.seeds)
    nobody = [np.zeros((0, 2), np.uint32)] * config.seeds
    where = build.build_shardings(
      config_lib.of_each_seed(config)[0], stages.mesh
    )
    states = build.build_states(config, nobody, where)
    state = wired.begin(seeds.together(states))
    spread = functools.partial(mesh_lib.from_rows_here, stages.mesh)
    spent: dict[str, float] = {}
    for number in range(warm + rounds):
      if number in (0, warm):
        spent = dict.fromkeys(PHASES, 0.0)
      clock = _Clock(spent)
      request = state.proposed.candidates, state.proposed.bounds
      outcome = spread(host.check(*mesh_lib.rows_here(request)))
      clock.add("check", outcome)
      carry, answers = clock.add("solve", stages.solve(state, outcome))
      graded = spread(host.grade(mesh_lib.rows_here(answers)))
      clock.add("grade", graded)
      proposed = clock.add("propose", stages.propose(state))
      state, *_ = clock.add("learn", stages.learn(state, carry, graded))
      state = dataclasses.replace(state, proposed=proposed)
      say(f"round {number + 1} of {warm + rounds}, phase by phase")
    state, *_ = jax.block_until_ready(wired.step(state))  # nothing was ahead
    begin, waited = time.perf_counter(), wired.waited()
    for number in range(rounds):
      state, *_ = jax.block_until_ready(wired.step(state))
      say(f"round {number + 1} of {rounds}, whole")
    whole = (time.perf_counter() - begin) / rounds
    waited = (wired.waited() - waited) / rounds
    if judge.failure:
      raise RuntimeError(f"verification failed: {judge.failure!r}")
  rows, tokens = build.rows_a_round(config)
  return Phases(
    {phase: seconds / rounds for phase, seconds in spent.items()},
    whole,
    waited,
    config.seeds * rows,
    config.seeds * tokens,
    config.seeds * config.propose.candidates,
    f"{stages.mesh.size} x {jax.devices()[0].device_kind}",
  )


def table(phases: Phases) -> str:
  """Markdown: phases, then rates."""
  total = phases.total
  lines = ["| phase | seconds a round | share |", "|---|---:|---:|"]
  lines += [
    f"| {phase} | {seconds:.3f} | {seconds / total:.1%} |"
    for phase, seconds in phases.seconds.items()
  ]
  lines += [
    f"| all | {total:.3f} | 100 % |",
    f"| whole, as trained | {phases.whole:.3f} | {phases.whole / total:.1%} |",
    "",
    f"{phases.device}: {phases.rows / phases.whole:,.0f} rows/s, "
    f"{phases.tokens / phases.whole:,.0f} tokens/s, "
    f"{phases.tasks / phases.whole:,.0f} tasks/s; the device waits "
    f"{phases.waited / phases.whole:.1%} of the time for the executor",
  ]
  return "\n".join(lines)


class _Clock:
  """Adds the time since the last phase to the phase that just ended."""

  def __init__(self, spent: dict[str, float]):
    self._spent = spent
    self._last = time.perf_counter()

  def add(self, phase: str, result: Any) -> Any:
    """Waits for a phase's result, and hands it on."""
    jax.block_until_ready(result)
    now = time.perf_counter()
    self._spent[phase] += now - self._last
    self._last = now
    return result
