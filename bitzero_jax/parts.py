"""What a round is made of: its functions, and what its stages hand on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import struct

from bitzero_jax.curriculum.base import Curriculum
from bitzero_jax.state import (
  Answers,
  Candidates,
  Drafts,
  Rollout,
  Task,
  Widening,
)

Metrics = dict[str, jax.Array]


class Parts(NamedTuple):
  """The functions that a round is made of; `build/` chooses them.

  Attributes:
    weights: params -> quantized weights.
    rollout: params -> weights that sampling multiplies with, of the same bits.
    shallow: as `weights`, with fewest planes; None for but one number.
    language: level -> (automaton tables, bounds of values).
    widen: (Widening, updates, solve rate of the prior's tasks) -> Widening.
    propose: (weights, tables, pool, key) -> (Candidates, Rollout or None,
      Drafts or None).
    judge: (Outcome, barred, pool) -> int32 [B], reason of each candidate.
    trainable: reason -> bool [B].
    probe: (weights, tables, tasks by type) -> solve rates by type.
    probed_pair: of a fresh task, which is probed and solved.
    solve: (weights, tables, tasks, pairs, asked, key), each by type, ->
      (Answers, Rollout) by type.
    samples: answers that `solve` gives to each task.
    candidates: that are learned from; any beyond are only measured.
    fresh_rows: candidates of each type that are solved, the model's first.
    buffer_rows: pool tasks of each type that are solved beside the fresh ones.
    probe_by_samples: take solve rates from graded samples, not from `probe`.
    curriculum: what a proposal earns, and which tasks are trained on.
    solver_reward: (graded, asked, log-probs) -> (reward, counts).
    normalize: (reward, counts, group, groups) -> (advantage, collapsed).
    policy_rows: (Rollout, advantage, counts) -> rows for `learn`.
    imitation_rows: (tables, Drafts, weight, key) -> further rows for `learn`.
    learn: (params, optimizer, policy, imitated, fresh, weight, pool, key, pool
      weight) -> (params, optimizer, metrics).
    updates: gradient updates that `learn` takes.
    keep: (pool, tasks, accepted, learnability, key) -> pool.
    advance: (params, updates done, observed) -> (params, metrics): precision
      after a round.
    health: (params, params) -> metrics of the codes and what became of them.
  """

  weights: Callable[..., Any]
  rollout: Callable[..., Any]
  shallow: Callable[..., Any] | None
  language: Callable[..., Any]
  widen: Callable[..., Widening]
  propose: Callable[..., tuple[Candidates, Rollout | None, Drafts | None]]
  judge: Callable[..., jax.Array]
  trainable: Callable[[jax.Array], jax.Array]
  probe: Callable[..., list[jax.Array]]
  probed_pair: int
  solve: Callable[..., list[tuple[Answers, Rollout]]]
  samples: int
  candidates: int
  fresh_rows: int
  buffer_rows: int
  probe_by_samples: bool
  curriculum: Curriculum
  solver_reward: Callable[..., tuple[jax.Array, jax.Array]]
  normalize: Callable[..., tuple[jax.Array, jax.Array]]
  policy_rows: Callable[..., Any]
  imitation_rows: Callable[..., Any]
  learn: Callable[..., Any]
  updates: int
  keep: Callable[..., Any]
  advance: Callable[..., tuple[Any, Metrics]]
  health: Callable[..., Metrics]


@struct.dataclass
class Trace:
  """What a round proposed and how it went, for the task log.

  Attributes:
    tasks: Task [B]; pairs are padding where the task is unsound.
    reason: int32 [B].
    solve_rate: float32 [B], 0 where unsound.
    gap: float32 [B], as in `Judged`, or None.
  """

  tasks: Task
  reason: jax.Array
  solve_rate: jax.Array
  gap: jax.Array | None


class Solved(NamedTuple):
  """What `learn_stage` needs of `solve_stage`, beside the grades.

  Attributes:
    key: PRNG key, of the round's last draws.
    fresh: Task [B], the candidates.
    reason: int32 [B].
    probed: float32, solve rates by type; empty where samples give them.
    shallow: the same with fewest planes; empty where there is but one number.
    asked: bool, by type.
    rollouts: Rollout, by type.
  """

  key: jax.Array
  fresh: Task
  reason: jax.Array
  probed: list[jax.Array]
  shallow: list[jax.Array]
  asked: list[jax.Array]
  rollouts: list[Rollout]
