"""Where a round's time goes: seconds by phase, and what they amount to."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from bitzero_jax import build
from bitzero_jax.verify.judge import Judge

PHASES: tuple[str, ...] = ("propose", "check", "solve", "grade", "learn")
_HOST = ("check", "grade")


class Phases(NamedTuple):
  """Means over the rounds that were measured.

  Attributes:
    seconds: of each phase in a round, transfers counted with the host's.
    rows, tokens: trained on in a round, padding counted.
    tasks: proposed in a round.
    device: what it ran on.
  """

  seconds: dict[str, float]
  rows: int
  tokens: int
  tasks: int
  device: str

  @property
  def total(self) -> float:
    """Seconds of a round."""
    return sum(self.seconds.values())


def measure(
  config: Any, rounds: int, warm: int, say: Callable[[str], None]
) -> Phases:
  """Runs a config's rounds one phase at a time, waiting after each.

  Args:
    config: validated; its wiring does not matter here.
    rounds: rounds that count.
    warm: rounds before them, while caches fill.
    say: told what is going on.

  Raises:
    RuntimeError: the executor failed.
  """
  with build.build_executor(config) as executor:
    say(f"executor: {executor.engine.name}, {executor.tier}")
    judge = Judge(executor, config.language.pairs)
    say("compiling the round")
    stages = build.build_stages(config)
    state = build.build_state(config, np.zeros((0, 2), np.uint32))
    spent: dict[str, float] = {}
    for number in range(warm + rounds):
      if number in (0, warm):
        spent = dict.fromkeys(PHASES, 0.0)
      clock = _Clock(spent)
      carry, request = clock.add("propose", stages.propose(state))
      outcome = clock.add("check", judge.check(*jax.device_get(request)))
      carry, answers = clock.add("solve", stages.solve(carry, outcome))
      graded = clock.add("grade", judge.grade(jax.device_get(answers)))
      state, *_ = clock.add("learn", stages.learn(carry, graded))
      if judge.failure:
        raise RuntimeError(f"verification failed: {judge.failure!r}")
      say(f"round {number + 1} of {warm + rounds}")
  rows, tokens = build.rows_a_round(config)
  return Phases(
    {phase: seconds / rounds for phase, seconds in spent.items()},
    rows,
    tokens,
    config.propose.candidates,
    jax.devices()[0].device_kind,
  )


def table(phases: Phases) -> str:
  """Markdown: phases, then rates."""
  total = phases.total
  host = sum(phases.seconds[phase] for phase in _HOST)
  lines = ["| phase | seconds a round | share |", "|---|---:|---:|"]
  lines += [
    f"| {phase} | {seconds:.3f} | {seconds / total:.1%} |"
    for phase, seconds in phases.seconds.items()
  ]
  lines += [
    f"| all | {total:.3f} | 100 % |",
    "",
    f"{phases.device}: {phases.rows / total:,.0f} rows/s, "
    f"{phases.tokens / total:,.0f} tokens/s, "
    f"{phases.tasks / total:,.0f} tasks/s, executor {host / total:.1%}",
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
