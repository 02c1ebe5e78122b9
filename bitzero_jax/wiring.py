"""Compiles a round's stages and joins them with the host, in two ways.

`callback` puts the host inside one compiled round. `host` compiles three
stages, side by side, and calls the host between them; the next round's
candidates are checked while the device learns. Both give the same bits.
"""

import dataclasses
import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from bitzero_jax import placement
from bitzero_jax import seeds as seeds_lib
from bitzero_jax.parts import Metrics, Parts, Trace
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.runtime.compiling import compiled
from bitzero_jax.seeds import Check, Grade, Host
from bitzero_jax.state import Answers, LoopState, Outcome, Proposed
from bitzero_jax.step import (
  following_key,
  learn_stage,
  propose_stage,
  solve_stage,
)

Done = tuple[LoopState, Metrics, Trace]


class Round(NamedTuple):
  """One round of self-play, compiled.

  Attributes:
    begin: puts the first round's proposals into a fresh state.
    step: state -> (state, metrics, trace).
    waited: seconds that the device has waited for the host so far.
  """

  begin: Callable[[LoopState], LoopState]
  step: Callable[[LoopState], Done]
  waited: Callable[[], float]


def callback(
  parts: Parts,
  check: Check,
  grade: Grade,
  waited: Callable[[], float],
  like: LoopState,
  mesh: Mesh,
) -> Round:
  """One compiled function with the host inside it. The state is donated.

  Args:
    parts: the functions of the stages.
    check, grade: the bridge's, which call the host from compiled code.
    waited: seconds that the host has spent in them.
    like: shapes and dtypes of the state.
    mesh: what the round is spread over.
  """
  mine = placement.of_state(mesh, like)
  everywhere = mesh_lib.sharding(mesh)

  def begin(state: LoopState) -> LoopState:
    proposed = propose_stage(parts, state)
    return dataclasses.replace(
      state, key=following_key(state), proposed=proposed
    )

  def step(state: LoopState) -> Done:
    proposed = propose_stage(parts, state)
    outcome = check(state.proposed.candidates, state.proposed.bounds)
    solved, answers = solve_stage(parts, state, outcome)
    graded = grade(answers)
    state, metrics, trace = learn_stage(parts, state, solved, graded)
    return dataclasses.replace(state, proposed=proposed), metrics, trace

  jit = functools.partial(jax.jit, donate_argnums=0, in_shardings=(mine,))
  stepping = jit(step, out_shardings=(mine, everywhere, everywhere))
  beginning = jit(begin, out_shardings=mine)
  with mesh_lib.traced(mesh):
    return Round(beginning, compiled(stepping.trace(like)), waited)


class Stages(NamedTuple):
  """A round's compiled stages.

  Attributes:
    propose: state -> proposals of the next round.
    solve: (state, outcome) -> (solved, answers).
    learn: (state, solved, grades) -> (state, metrics, trace).
    mesh: what they are spread over.
  """

  propose: Callable[[LoopState], Proposed]
  solve: Callable[..., Any]
  learn: Callable[..., Done]
  mesh: Mesh


class Traces(NamedTuple):
  """A round's stages before they are compiled; each call traces one.

  Their devices need not be here (`plan/`).
  """

  propose: Callable[[], jax.stages.Traced]
  solve: Callable[[], jax.stages.Traced]
  learn: Callable[[], jax.stages.Traced]


def traces(
  parts: Parts,
  like: LoopState,
  outcome_shape: Callable[..., Outcome],
  mesh: Mesh,
  seeds: int = 1,
) -> Traces:
  """The stages over a mesh. The state is donated to `learn`.

  Args:
    parts: the functions of the stages.
    like: shapes and dtypes of the state.
    outcome_shape: candidates -> shapes and dtypes of `check`.
    mesh: what the stages are spread over.
    seeds: S; above 1 it leads every array, and the stages are `vmap`ped.
  """
  by_rows = functools.partial(placement.by_rows, mesh)
  state = placement.of_state(mesh, like)
  like = placement.with_shardings(like, state)
  everywhere = mesh_lib.sharding(mesh)

  def trace(stage, out, *arguments, **options):
    stage = seeds_lib.each(functools.partial(stage, parts), seeds)
    stage = jax.jit(stage, out_shardings=out, **options)
    with mesh_lib.traced(mesh):
      return stage.trace(*arguments)

  def spread(shapes):
    return placement.with_shardings(shapes, by_rows(shapes))

  outcome = spread(outcome_shape(like.proposed.candidates))
  shapes = jax.eval_shape(
    seeds_lib.each(functools.partial(solve_stage, parts), seeds), like, outcome
  )
  solved, answers = spread(shapes)
  graded = spread(jax.ShapeDtypeStruct(answers.kind.shape, jnp.int32))
  learned = state, everywhere, everywhere
  return Traces(
    propose=lambda: trace(propose_stage, state.proposed, like),
    solve=lambda: trace(solve_stage, by_rows(shapes), like, outcome),
    learn=lambda: trace(
      learn_stage, learned, like, solved, graded, donate_argnums=0
    ),
  )


def stages(traces: Traces, mesh: Mesh) -> Stages:
  """Compiles the stages side by side."""
  # Each takes two cores and a gigabyte. The longest first.
  with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
    learn, solve, propose = (
      pool.submit(lambda trace=trace: compiled(trace()))
      for trace in (traces.learn, traces.solve, traces.propose)
    )
    propose, solve, learn = propose.result(), solve.result(), learn.result()
  # What the host hands over is numpy where one device has all of it.
  put = jax.device_put if mesh.size == 1 else lambda record: record
  return Stages(
    propose,
    lambda state, outcome: solve(state, put(outcome)),
    lambda state, solved, graded: learn(state, solved, put(graded)),
    mesh,
  )


def host(
  stages: Stages, judge: Host, background: Executor, seeds: int = 1
) -> Round:
  """Three compiled stages with the host between them.

  Args:
    stages: of the round.
    judge: the host's functions, for as many seeds.
    background: where candidates are checked ahead.
    seeds: of the stages.
  """
  asked = _Host(judge, background, stages.mesh)
  next_key = jax.jit(seeds_lib.each(following_key, seeds))

  def begin(state: LoopState) -> LoopState:
    proposed = stages.propose(state)
    return dataclasses.replace(state, key=next_key(state), proposed=proposed)

  def step(state: LoopState) -> Done:
    outcome = asked.outcome(state.proposed)
    solved, answers = stages.solve(state, outcome)
    proposed = stages.propose(state)
    graded = asked.grades(mesh_lib.rows_here(answers))
    asked.start(proposed)
    state, metrics, trace = stages.learn(state, solved, graded)
    return dataclasses.replace(state, proposed=proposed), metrics, trace

  return Round(begin, step, lambda: asked.waited)


class _Host:
  """The judge, asked for outcomes before they are needed.

  Of several processes each asks its own about its own rows.

  Attributes:
    waited: seconds that the asker has waited.
  """

  def __init__(self, judge: Host, background: Executor, mesh: Mesh):
    self._judge = judge
    self._background = background
    self._mesh = mesh
    self._of: Proposed | None = None
    self._future: Future[Outcome] | None = None
    self.waited = 0.0

  def start(self, proposed: Proposed) -> Future[Outcome]:
    """Begins to check; nobody waits."""
    request = proposed.candidates, proposed.bounds
    self._of = proposed
    self._future = self._background.submit(
      lambda: self._judge.check(*mesh_lib.rows_here(request))
    )
    return self._future

  def outcome(self, proposed: Proposed) -> Outcome:
    """The outcome of these proposals, begun now if it was not begun before."""
    mine = self._future if self._of is proposed else None
    future = mine or self.start(proposed)
    return self._spread(self._waiting(future.result))

  def grades(self, answers: Answers) -> Any:
    """Of answers, waited for."""
    return self._spread(self._waiting(lambda: self._judge.grade(answers)))

  def _spread(self, record: Any) -> Any:
    return mesh_lib.from_rows_here(self._mesh, record)

  def _waiting(self, ask: Callable[[], Any]) -> Any:
    begin = time.perf_counter()
    answer = ask()
    self.waited += time.perf_counter() - begin
    return answer
