"""One round of self-play, propose to keep, by composition.

    [host: check] -> solve -> [host: grade] -> learn
                     propose, for the next round

A round works on proposals that were written in the round before, so the host
can check the next ones while the device learns. The three device stages are
pure functions of what they are handed; `wiring.py` compiles them and joins them
with the host.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum import seen
from bitzero_jax.curriculum.base import Judged
from bitzero_jax.curriculum.tally import exact_mean, mean, tally
from bitzero_jax.learn.reward import variance
from bitzero_jax.learn.update import OBSERVED
from bitzero_jax.parts import Metrics, Parts, Solved, Trace
from bitzero_jax.state import (
  KINDS,
  PRIOR,
  REASON,
  RIGHT,
  SOURCES,
  UNKNOWN,
  Answers,
  LoopState,
  Outcome,
  Pool,
  Proposed,
  Rollout,
  Task,
  join,
  take,
)


def propose_stage(parts: Parts, state: LoopState) -> Proposed:
  """PROPOSE, for the round after the one that `state` begins."""
  _, key, _ = _keys(state)
  tables, bounds = parts.language(state.widening.level)
  weights = parts.rollout(state.params)
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
) -> tuple[Solved, Answers]:
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
  shallow = []
  if parts.shallow is not None:
    shallow = parts.probe(parts.shallow(state.params), tables, tasks)
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
  rollout = parts.rollout(state.params)
  solved = parts.solve(rollout, tables, tasks, pairs, asked, write_key)
  answers = join(*[_widen(a, solved) for a, _ in solved])
  carry = Solved(
    key=rest,
    fresh=fresh,
    reason=reason,
    probed=probed,
    shallow=shallow,
    asked=[a.asked for a, _ in solved],
    rollouts=[r for _, r in solved],
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
  parts: Parts, state: LoopState, solved: Solved, graded: jax.Array
) -> tuple[LoopState, Metrics, Trace]:
  """REWARD, LEARN, KEEP. Returns the next state, metrics, and a trace.

  The next state still has this round's proposals: whoever called
  `propose_stage` puts the new ones in.
  """
  learn_key, keep_key = jax.random.split(solved.key)
  policy, rates, solving = _reward_solver(parts, solved, graded)
  every = _judge(parts, state, solved, rates)
  # What lies beyond is measured, and nobody learns from it.
  lesson = take(every, slice(parts.candidates))
  wrote, proposing = _reward_proposer(parts, state.proposed, lesson)
  imitated, copying = _imitate(parts, state, lesson, learn_key)
  params, optimizer, learned = parts.learn(
    state.params,
    state.optimizer,
    policy | wrote,
    imitated,
    lesson.tasks,
    parts.curriculum.choose(lesson.judged),
    state.pool,
    learn_key,
    _recalled(parts, state.pool),
  )
  params, precise = _advance(parts, state, params, learned)
  memory, rising = _remember(parts, state, params, every)
  accepted = lesson.judged.reason == REASON["accepted"]
  pool = parts.keep(
    state.pool, lesson.tasks, accepted, lesson.learnability, keep_key
  )
  following = _following(parts, state, solved, graded, every)
  following = dataclasses.replace(
    following, params=params, optimizer=optimizer, pool=pool, memory=memory
  )
  metrics = solving | proposing | copying | learned | rising | precise
  metrics |= tally(every.tasks, every.judged, every.learnability)
  metrics |= parts.health(state.params, params)
  metrics |= {
    "novelty/behaviours": seen.count(following.seen),
    "pool/size": pool.size,
    "pool/behaviours": pool.admitted,
    "level/index": following.widening.level,
    "level/solve_rate": following.widening.recent.mean(),
  }
  judged = every.judged
  trace = Trace(every.tasks, judged.reason, judged.solve_rate, judged.gap)
  return following, metrics, trace


class _Lesson(NamedTuple):
  """A round's candidates and what is known of them, before the model learns.

  Attributes:
    tasks: Task [B].
    judged: Judged [B].
    learnability: float32 [B], the same measure in every curriculum.
  """

  tasks: Task
  judged: Judged
  learnability: jax.Array


def _reward_solver(
  parts: Parts, solved: Solved, graded: jax.Array
) -> tuple[dict[str, Any], list[jax.Array], Metrics]:
  """Rows for the solver's policy gradient and solve rates, by type."""
  metrics: Metrics = {}
  policy, collapsed, rates = {}, [], []
  grades = jnp.split(graded, len(KINDS))
  for kind, name in enumerate(KINDS):
    reward, counts = parts.solver_reward(
      grades[kind], solved.asked[kind], solved.rollouts[kind].log_prob
    )
    group = jnp.zeros(reward.shape, jnp.int32)
    advantage, flat = parts.normalize(reward, counts, group, 1)
    policy[name] = parts.policy_rows(solved.rollouts[kind], advantage, counts)
    collapsed.append(flat)
    right = (grades[kind] == RIGHT) & counts
    metrics[f"solve_rate/{name}"] = right.sum() / jnp.maximum(counts.sum(), 1)
    shape = (parts.fresh_rows, parts.samples)
    own = parts.fresh_rows * parts.samples
    known = counts[:own].reshape(shape).sum(1)
    rates.append(right[:own].reshape(shape).sum(1) / jnp.maximum(known, 1))
  metrics["advantage_collapse/solve"] = jnp.stack(collapsed).mean()
  return policy, rates, metrics


def _judge(
  parts: Parts, state: LoopState, solved: Solved, sampled: list[jax.Array]
) -> _Lesson:
  """Every candidate with its solve rate, sampled or probed."""
  sound = parts.trainable(solved.reason)
  rates = sampled if parts.probe_by_samples else solved.probed
  solve_rate = jnp.where(sound, jnp.stack(rates, 1).reshape(-1), 0.0)
  program = solved.fresh.program
  length = jnp.sum(program > 0, axis=1)
  judged = Judged(solved.reason, sound, solve_rate, length)
  if solved.shallow:
    fewest = jnp.stack(solved.shallow, 1).reshape(-1)
    judged = judged._replace(gap=jnp.where(sound, solve_rate - fewest, 0.0))
  memory = parts.curriculum.memory
  if memory is not None:
    judged = judged._replace(progress=memory.recall(state.memory, program))
  return _Lesson(solved.fresh, judged, variance(solve_rate))


def _reward_proposer(
  parts: Parts, proposed: Proposed, lesson: _Lesson
) -> tuple[dict[str, Any], Metrics]:
  """Rows for the proposer's policy gradient, none where nobody is paid."""
  pays, rollout = parts.curriculum.reward, proposed.rollout
  if pays is None or rollout is None:
    return {}, {}
  mine = slice(rollout.answer.shape[0])
  reward, counts = pays(take(lesson.judged, mine))
  group = lesson.tasks.kind[mine]
  advantage, flat = parts.normalize(reward, counts, group, len(KINDS))
  rows = parts.policy_rows(rollout, advantage, counts)
  return {"propose": rows}, {"advantage_collapse/propose": flat}


def _imitate(
  parts: Parts, state: LoopState, lesson: _Lesson, learn_key: jax.Array
) -> tuple[Any, Metrics]:
  """Rows of proposals to be copied, None where nobody imitates."""
  if parts.curriculum.imitate is None:
    return None, {}
  tables, _ = parts.language(state.widening.level)
  weight = parts.curriculum.imitate(lesson.judged)
  # Below this number are the keys of the updates.
  key = jax.random.fold_in(learn_key, parts.updates)
  rows = parts.imitation_rows(tables, state.proposed.drafts, weight, key)
  return rows, {"imitated/tasks": jnp.sum(weight > 0)}


def _advance(
  parts: Parts, state: LoopState, params: Any, learned: Metrics
) -> tuple[Any, Metrics]:
  """Precision after the round's updates, which takes out what it observed."""
  seen = [name for name in learned if name.startswith(OBSERVED)]
  observed = {name.removeprefix(OBSERVED): learned.pop(name) for name in seen}
  return parts.advance(params, state.updates + parts.updates, observed)


def _recalled(parts: Parts, pool: Pool) -> jax.Array | None:
  """How often each pool task is drawn; None for all alike."""
  if parts.curriculum.recall is None:
    return None
  return parts.curriculum.recall(jnp.sum(pool.tasks.program > 0, axis=1))


def _remember(
  parts: Parts, state: LoopState, params: Any, every: _Lesson
) -> tuple[Any, Metrics]:
  """The curriculum's memory after `params` were learned, by a second probe."""
  memory = parts.curriculum.memory
  if memory is None:
    return state.memory, {}
  tables, _ = parts.language(state.widening.level)
  tasks, judged = every.tasks, every.judged
  after = parts.probe(parts.weights(params), tables, _posed(parts, tasks))
  rise = jnp.stack(after, 1).reshape(-1) - judged.solve_rate
  learned = slice(parts.candidates)
  following = memory.update(
    state.memory, tasks.program[learned], judged.sound[learned], rise[learned]
  )
  return following, {
    f"progress/{name}": mean(rise, judged.sound & (tasks.source == source))
    for source, name in enumerate(SOURCES)
  }


def _following(
  parts: Parts,
  state: LoopState,
  solved: Solved,
  graded: jax.Array,
  every: _Lesson,
) -> LoopState:
  """The next state's counters, key, behaviours met and level."""
  tasks, judged = every.tasks, every.judged
  asked = jnp.concatenate(solved.asked)
  unknown = jnp.sum((graded == UNKNOWN) & asked)
  unknown += jnp.sum(judged.reason == REASON["unknown"])
  random = judged.sound & (tasks.source == PRIOR)
  updates = state.updates + parts.updates
  return dataclasses.replace(
    state,
    round=state.round + 1,
    updates=updates,
    seen=seen.mark(state.seen, tasks.behaviour, judged.sound),
    key=following_key(state),
    widening=parts.widen(
      state.widening, updates, exact_mean(judged.solve_rate, random)
    ),
    verdicts=state.verdicts + judged.reason.shape[0] + asked.sum(),
    unknown=state.unknown + unknown,
  )
