"""One round of self-play, propose to keep, by composition.

    [host: check] -> solve -> [host: grade] -> learn
                     propose, for the next round

A round works on proposals that were written in the round before, so the host
can check the next ones while the device learns. The three device stages are
pure functions of what they are handed; `wiring.py` compiles them and joins them
with the host.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from bitzero_jax.curriculum import seen
from bitzero_jax.curriculum.base import Curriculum, Judged
from bitzero_jax.language.depth import depth
from bitzero_jax.learn.reward import variance
from bitzero_jax.quant.ordered_sum import ordered_sum
from bitzero_jax.state import (
  KINDS,
  PRIOR,
  REASON,
  REASONS,
  RIGHT,
  SOURCES,
  UNKNOWN,
  Answers,
  Candidates,
  Drafts,
  LoopState,
  Outcome,
  Pool,
  Proposed,
  Rollout,
  Task,
  Widening,
  join,
  take,
)

Metrics = dict[str, jax.Array]
DULL = ("invalid", "constant", "identity", "known")  # shares by who proposed


class Parts(NamedTuple):
  """The functions that a round is made of; `build.py` chooses them.

  Attributes:
    weights: params -> quantized weights.
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
    solver_reward: (graded, asked) -> (reward, counts).
    normalize: (reward, counts, group, groups) -> (advantage, collapsed).
    policy_rows: (Rollout, advantage, counts) -> rows for `learn`.
    imitation_rows: (tables, Drafts, weight, key) -> further rows for `learn`.
    learn: (params, optimizer, policy, imitated, fresh, weight, pool, key, pool
      weight) -> (params, optimizer, metrics).
    updates: gradient updates that `learn` takes.
    keep: (pool, tasks, accepted, learnability, key) -> pool.
    flips: (params, params) -> share of integer codes that differ.
  """

  weights: Callable[..., Any]
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
  flips: Callable[..., jax.Array]


@struct.dataclass
class Trace:
  """What a round proposed and how it went, for the task log.

  Attributes:
    tasks: Task [B]; pairs are padding where the task is unsound.
    reason: int32 [B].
    solve_rate: float32 [B], 0 where unsound.
  """

  tasks: Task
  reason: jax.Array
  solve_rate: jax.Array


def propose_stage(parts: Parts, state: LoopState) -> Proposed:
  """PROPOSE, for the round after the one that `state` begins."""
  _, key, _ = _keys(state)
  tables, bounds = parts.language(state.widening.level)
  weights = parts.weights(state.params)
  candidates, rollout, drafts = parts.propose(weights, tables, state.pool, key)
  return Proposed(candidates, rollout, drafts, tuple(bounds))


def following_key(state: LoopState) -> jax.Array:
  """uint32 [2], raw data of the key that the next round uses."""
  return jax.random.key_data(_keys(state)[0])


def _keys(state: LoopState) -> jax.Array:
  """Of the next round, of its proposals, and of this round."""
  return jax.random.split(jax.random.wrap_key_data(state.key), 3)


def solve_stage(
  parts: Parts, state: LoopState, outcome: Outcome
) -> tuple[Any, Answers]:
  """GATE, PROBE, SOLVE. Returns what learning needs, and the grade request."""
  candidates = state.proposed.candidates
  weights = parts.weights(state.params)
  tables, _ = parts.language(state.widening.level)
  reason = parts.judge(outcome, state.barred, state.pool)
  sound = parts.trainable(reason)
  fresh = Task(
    program=candidates.program,
    inputs=outcome.inputs,
    outputs=outcome.outputs,
    behaviour=outcome.behaviour,
    kind=candidates.kind,
    source=candidates.source,
  )
  pool_key, write_key, rest = jax.random.split(_keys(state)[2], 3)
  kinds = len(KINDS)
  tasks = _posed(parts, fresh)
  asked = [sound[kind::kinds] for kind in range(kinds)]
  probed = [] if parts.probe_by_samples else parts.probe(weights, tables, tasks)
  tasks = [take(own, slice(parts.fresh_rows)) for own in tasks]
  asked = [own[: parts.fresh_rows] for own in asked]
  if parts.buffer_rows:
    shape = (kinds, parts.buffer_rows)
    index = jax.random.randint(
      pool_key, shape, 0, jnp.maximum(state.pool.size, 1)
    )
    drawn = index < state.pool.size
    tasks = [
      join(own, take(state.pool.tasks, index[kind]))
      for kind, own in enumerate(tasks)
    ]
    asked = [jnp.concatenate(pair) for pair in zip(asked, drawn, strict=True)]
  pairs = [jnp.zeros(own.shape, jnp.int32) for own in asked]
  solved = parts.solve(weights, tables, tasks, pairs, asked, write_key)
  answers = join(*[_widen(a, solved) for a, _ in solved])
  carry = (
    rest,
    fresh,
    reason,
    probed,
    [a.asked for a, _ in solved],
    [r for _, r in solved],
  )
  return carry, answers


def _posed(parts: Parts, tasks: Task) -> list[Task]:
  """A round's candidates by type, the pair that is asked in front."""
  turned = dataclasses.replace(
    tasks,
    inputs=jnp.roll(tasks.inputs, -parts.probed_pair, axis=1),
    outputs=jnp.roll(tasks.outputs, -parts.probed_pair, axis=1),
  )
  kinds = len(KINDS)  # every third candidate is of a type
  return [take(turned, slice(kind, None, kinds)) for kind in range(kinds)]


def _widen(answers: Answers, solved: list[tuple[Answers, Rollout]]) -> Answers:
  width = max(a.answer.shape[1] for a, _ in solved)
  fill = width - answers.answer.shape[1]
  return dataclasses.replace(
    answers, answer=jnp.pad(answers.answer, ((0, 0), (0, fill)))
  )


def learn_stage(
  parts: Parts, state: LoopState, carry: Any, graded: jax.Array
) -> tuple[LoopState, Metrics, Trace]:
  """REWARD, LEARN, KEEP. Returns the next state, metrics, and a trace.

  The next state still has this round's proposals: whoever called
  `propose_stage` puts the new ones in.
  """
  key, fresh, reason, probed, asked, rollouts = carry
  curriculum = parts.curriculum
  tables, _ = parts.language(state.widening.level)
  learn_key, keep_key = jax.random.split(key)
  sound = parts.trainable(reason)
  kinds = len(KINDS)
  metrics: Metrics = {}
  policy, collapsed, rates = {}, [], []
  grades = jnp.split(graded, kinds)
  for kind, name in enumerate(KINDS):
    reward, counts = parts.solver_reward(grades[kind], asked[kind])
    group = jnp.zeros(reward.shape, jnp.int32)
    advantage, flat = parts.normalize(reward, counts, group, 1)
    policy[name] = parts.policy_rows(rollouts[kind], advantage, counts)
    collapsed.append(flat)
    right = (grades[kind] == RIGHT) & counts
    metrics[f"solve_rate/{name}"] = right.sum() / jnp.maximum(counts.sum(), 1)
    shape = (parts.fresh_rows, parts.samples)
    own = parts.fresh_rows * parts.samples
    known = counts[:own].reshape(shape).sum(1)
    rates.append(right[:own].reshape(shape).sum(1) / jnp.maximum(known, 1))
  solve_rate = jnp.stack(rates if parts.probe_by_samples else probed, 1)
  solve_rate = jnp.where(sound, solve_rate.reshape(-1), 0.0)

  length = jnp.sum(fresh.program > 0, axis=1)
  judged = Judged(reason, sound, solve_rate, length)
  if curriculum.memory is not None:
    recalled = curriculum.memory.recall(state.memory, fresh.program)
    judged = judged._replace(progress=recalled)
  learnability = variance(solve_rate)  # the same number in every curriculum
  # What lies beyond is measured, and nobody learns from it.
  tasks, lesson, worth = take(
    (fresh, judged, learnability), slice(parts.candidates)
  )
  rollout, drafts = state.proposed.rollout, state.proposed.drafts
  if curriculum.reward is not None and rollout is not None:
    mine = slice(rollout.answer.shape[0])
    reward, counts = curriculum.reward(take(lesson, mine))
    advantage, flat = parts.normalize(reward, counts, tasks.kind[mine], kinds)
    policy["propose"] = parts.policy_rows(rollout, advantage, counts)
    metrics["advantage_collapse/propose"] = flat
  imitated = None
  if curriculum.imitate is not None:
    weight = curriculum.imitate(lesson)
    # Below this number are the keys of the updates.
    draft_key = jax.random.fold_in(learn_key, parts.updates)
    imitated = parts.imitation_rows(tables, drafts, weight, draft_key)
    metrics["imitated/tasks"] = jnp.sum(weight > 0)
  metrics["advantage_collapse/solve"] = jnp.stack(collapsed).mean()

  params, optimizer, learned = parts.learn(
    state.params,
    state.optimizer,
    policy,
    imitated,
    tasks,
    curriculum.choose(lesson),
    state.pool,
    learn_key,
    _recalled(parts, state.pool),
  )
  memory = state.memory
  if curriculum.memory is not None:
    after = parts.probe(parts.weights(params), tables, _posed(parts, fresh))
    rise = jnp.stack(after, 1).reshape(-1) - solve_rate
    memory = curriculum.memory.update(
      memory, tasks.program, lesson.sound, rise[: parts.candidates]
    )
    metrics |= {
      f"progress/{name}": _mean(rise, sound & (fresh.source == source))
      for source, name in enumerate(SOURCES)
    }
  accepted = lesson.reason == REASON["accepted"]
  pool = parts.keep(state.pool, tasks, accepted, worth, keep_key)
  every = jnp.concatenate(asked)
  unknown = jnp.sum((graded == UNKNOWN) & every)
  unknown += jnp.sum(reason == REASON["unknown"])
  metrics |= learned | _proposal_metrics(fresh, judged, learnability)
  met = seen.mark(state.seen, fresh.behaviour, sound)
  metrics |= {
    "novelty/behaviours": seen.count(met),
    "solve_rate/histogram": _histogram(solve_rate, sound),
    "learnability/histogram": _histogram(
      4 * learnability, sound & (fresh.source == PRIOR)
    ),
    "ternary/flip_rate": parts.flips(state.params, params),
    "pool/size": pool.size,
    "pool/behaviours": pool.admitted,
  }
  updates = state.updates + parts.updates
  random_rate = _exact_mean(solve_rate, sound & (fresh.source == PRIOR))
  widening = parts.widen(state.widening, updates, random_rate)
  metrics |= {
    "level/index": widening.level,
    "level/solve_rate": widening.recent.mean(),
  }
  state = LoopState(
    round=state.round + 1,
    updates=updates,
    params=params,
    optimizer=optimizer,
    pool=pool,
    barred=state.barred,
    seen=met,
    key=following_key(state),
    proposed=state.proposed,
    widening=widening,
    memory=memory,
    verdicts=state.verdicts + reason.shape[0] + every.sum(),
    unknown=state.unknown + unknown,
  )
  return state, metrics, Trace(fresh, reason, solve_rate)


def _recalled(parts: Parts, pool: Pool) -> jax.Array | None:
  """How often each pool task is drawn; None for all alike."""
  if parts.curriculum.recall is None:
    return None
  return parts.curriculum.recall(jnp.sum(pool.tasks.program > 0, axis=1))


def _proposal_metrics(
  tasks: Task, judged: Judged, learnability: jax.Array
) -> Metrics:
  reason, sound = judged.reason, judged.sound
  metrics = {
    f"reject/{name}": jnp.mean(reason == code)
    for code, name in enumerate(REASONS)
    if code != REASON["accepted"]
  }
  metrics["accept/rate"] = jnp.mean(reason == REASON["accepted"])
  metrics["accept/sound"] = jnp.mean(sound)
  kept = jnp.maximum(sound.sum(), 1)
  deep = depth(tasks.program)
  metrics["novelty/new_share"] = jnp.sum(reason == REASON["accepted"]) / kept
  metrics["novelty/duplicate_share"] = jnp.sum(reason == REASON["known"]) / kept
  for source, name in enumerate(SOURCES):
    mine = tasks.source == source
    good = mine & sound
    metrics[f"length/{name}"] = _mean(judged.length, mine)
    metrics[f"depth/{name}"] = _mean(deep, mine)
    metrics[f"learnability/{name}"] = _mean(learnability, good)
    metrics[f"probe/{name}"] = _mean(judged.solve_rate, good)
    metrics[f"accept/{name}"] = _mean(reason == REASON["accepted"], mine)
    for why in DULL:
      metrics[f"{why}/{name}"] = _mean(reason == REASON[why], mine)
  return metrics


def _mean(values: jax.Array, where: jax.Array) -> jax.Array:
  """Mean over the chosen rows, NaN when there are none."""
  return jnp.sum(values * where) / jnp.sum(where)


def _exact_mean(values: jax.Array, where: jax.Array) -> jax.Array:
  """The same, to the last bit in every program, and 0 when there are none."""
  total = ordered_sum(jnp.where(where, values, 0.0))[0]
  return total / jnp.maximum(jnp.sum(where), 1)


def _histogram(rate: jax.Array, where: jax.Array) -> jax.Array:
  """Tasks by a rate from 0 to 1, in five equal bins: int32 [5]."""
  bins = jnp.minimum((rate * 5).astype(jnp.int32), 4)
  return jnp.sum((bins[:, None] == jnp.arange(5)) & where[:, None], axis=0)
