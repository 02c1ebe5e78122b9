"""Compiles a round's stages and joins them with the host, in two ways.

`callback` puts the host inside one compiled round; `host` compiles three
stages, side by side, and calls the host between them. Both give the same bits.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.state import Answers, LoopState, Outcome
from bitzero_jax.step import (
  Metrics,
  Parts,
  Trace,
  learn_stage,
  propose_stage,
  solve_stage,
)

Check = Callable[..., Outcome]
Grade = Callable[[Answers], Any]
Round = Callable[[LoopState], tuple[LoopState, Metrics, Trace]]

# A fifth less to wait for at the start, and the compiled round is as fast.
_CPU_OPTIONS = {"xla_backend_optimization_level": 1}


def callback(
  parts: Parts,
  check: Check,
  grade: Grade,
  like: LoopState,
  sharding: jax.sharding.Sharding,
) -> Round:
  """One compiled function with the host inside it. The state is donated.

  Args:
    parts: the functions of the stages.
    check, grade: the bridge's, which call the host from compiled code.
    like: shapes and dtypes of the state.
    sharding: of the state.
  """

  def one_round(state: LoopState) -> tuple[LoopState, Metrics, Trace]:
    carry, request = propose_stage(parts, state)
    carry, answers = solve_stage(parts, carry, check(*request))
    return learn_stage(parts, carry, grade(answers))

  jitted = jax.jit(
    one_round,
    donate_argnums=0,
    in_shardings=sharding,
    out_shardings=sharding,
  )
  return _compile(jitted.trace(like))


class Stages(NamedTuple):
  """A round's compiled stages, in their order.

  Attributes:
    propose: state -> (carry, (candidates, bounds)).
    solve: (carry, outcome) -> (carry, answers).
    learn: (carry, grades) -> (state, metrics, trace).
  """

  propose: Callable[..., Any]
  solve: Callable[..., Any]
  learn: Callable[..., tuple[LoopState, Metrics, Trace]]


def stages(
  parts: Parts, like: LoopState, outcome_shape: Callable[..., Outcome]
) -> Stages:
  """Compiles the stages side by side.

  Args:
    parts: the functions of the stages.
    like: shapes and dtypes of the state.
    outcome_shape: candidates -> shapes and dtypes of `check`.
  """
  # Traced in turn, since each stage's arguments are the results before it.
  propose = _trace(propose_stage, parts, like)
  proposed, request = propose.out_info
  outcome = outcome_shape(request[0])
  solve = _trace(solve_stage, parts, proposed, outcome)
  solved, answers = solve.out_info
  graded = jax.ShapeDtypeStruct(answers.kind.shape, jnp.int32)
  # Each takes two cores and a gigabyte. The longest first.
  with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as pool:
    learning = pool.submit(
      lambda: _compile(_trace(learn_stage, parts, solved, graded))
    )
    propose, solve = pool.map(_compile, (propose, solve))
    return Stages(propose, solve, learning.result())


def host(stages: Stages, check: Check, grade: Grade) -> Round:
  """Three compiled stages with the host between them.

  Args:
    stages: of the round.
    check, grade: the judge's own, from numpy to numpy.
  """

  def one_round(state: LoopState) -> tuple[LoopState, Metrics, Trace]:
    carry, request = stages.propose(state)
    outcome = check(*jax.device_get(request))
    carry, answers = stages.solve(carry, outcome)
    return stages.learn(carry, grade(jax.device_get(answers)))

  return one_round


def _trace(stage: Callable[..., Any], parts: Parts, *like: Any) -> Any:
  return jax.jit(functools.partial(stage, parts)).trace(*like)


def _compile(traced: Any) -> Callable[..., Any]:
  options = _CPU_OPTIONS if jax.default_backend() == "cpu" else {}
  return traced.lower().compile(compiler_options=options)
