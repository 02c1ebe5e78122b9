"""The round: its parts, its stages, and how they are joined with the host."""

import functools
from concurrent.futures import Executor as Background
from typing import Any

from jax.sharding import Mesh

from bitzero_jax import config as config_lib
from bitzero_jax import parts, propose, seeds, solve, wiring
from bitzero_jax.build.language import build_language, build_widen
from bitzero_jax.build.model import (
  build_layout,
  build_network,
  build_precision,
  build_quantizer,
  build_rollout,
)
from bitzero_jax.build.roles import (
  build_curriculum,
  build_learner,
  build_proposer,
)
from bitzero_jax.build.states import build_mesh, build_states_shape
from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.learn import advantage, reward
from bitzero_jax.learn.batch import PolicyRows
from bitzero_jax.learn.imitate import draw_drafts
from bitzero_jax.learn.update import learn
from bitzero_jax.models.layers import as_it_is
from bitzero_jax.precision import base as precision
from bitzero_jax.precision import schedule
from bitzero_jax.quant import health
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.verify import bridge, rules
from bitzero_jax.verify.judge import Judge


def build_parts(config: Any, mesh: Mesh) -> parts.Parts:
  """The functions of a round, from a validated config, for a mesh."""
  place = mesh_lib.placing(mesh) if mesh.size > 1 else as_it_is
  net = build_network(config, place)
  quantizer, layout = build_quantizer(config), build_layout(place)
  language = build_language(config)
  sizes = language.sizes
  proposer = build_proposer(config)
  solver = solve.Solver(sizes, config.solve.temperature, config.solve.samples)
  curriculum = build_curriculum(config)
  gate = rules.Gate(**config.gate.to_dict())
  moves = build_precision(config)
  learner = build_learner(config, net, moves)

  def judge(outcome, barred, pool):
    return rules.judge(gate, outcome, barred, pool.tasks.behaviour, pool.size)

  def policy_rows(rollout, advantages, counts):
    return PolicyRows(
      prompt=rollout.prompt,
      answer=rollout.answer,
      log_prob=rollout.log_prob,
      bias=rollout.bias,
      advantage=advantages,
      counts=counts,
    )

  def probe(weights, tables, tasks):
    return solve.gold_probability(net, weights, tables, tasks, sizes)

  def advance(params, updates, observed):
    if moves is None:
      return params, {}
    total = config_lib.total_updates(config)
    done = schedule.progress(updates, total)
    params = moves.advance(params, done, observed)
    return params, moves.metrics(params)

  def shallow(params):
    fewest = min(config.precision.depths)
    return net.weights(precision.set_control(params, "planes", fewest))

  def code_health(before, after):
    return health.measure(
      quantizer,
      before["model"],
      after["model"],
      before["quant"],
      after["quant"],
      layout,
    )

  return parts.Parts(
    weights=net.weights,
    rollout=build_rollout(config, place),
    shallow=shallow if config.precision.depths else None,
    language=language.at,
    widen=build_widen(config),
    propose=functools.partial(propose.propose, proposer, net),
    judge=judge,
    trainable=rules.trainable,
    probe=probe,
    probed_pair=config.probe.pair,
    solve=functools.partial(solve.solve, solver, net),
    samples=config.solve.samples,
    candidates=config.propose.candidates,
    fresh_rows=config.solve.fresh_rows,
    buffer_rows=config.solve.buffer_rows,
    probe_by_samples=config.probe.method == "samples",
    curriculum=curriculum,
    solver_reward=functools.partial(
      reward.solver_reward, config.learn.wrong, config.learn.confidence_weight
    ),
    normalize=advantage.normalize,
    policy_rows=policy_rows,
    imitation_rows=functools.partial(
      draw_drafts, config.learn.updates * config.learn.imitate_rows, sizes.slots
    ),
    learn=functools.partial(learn, learner),
    updates=config.learn.updates,
    keep=functools.partial(
      pool_lib.keep, pool_lib.EVICTION[config.pool.eviction]
    ),
    advance=advance,
    health=code_health,
  )


def build_round(
  config: Any, judge: Judge, background: Background
) -> wiring.Round:
  """The round, wired as the config says and compiled: this takes a while.

  Args:
    config: validated.
    judge: the host's side.
    background: where the host may work beside the device.
  """
  if config.wiring == "host":
    stages, host = build_stages(config), build_host(config, judge)
    return wiring.host(stages, host, background, config.seeds)
  pairs = config.language.pairs
  mesh = build_mesh(config)
  check = bridge.check_callback(judge, pairs, mesh)
  grade = bridge.grade_callback(judge, mesh)
  return wiring.callback(
    build_parts(config, mesh),
    check,
    grade,
    lambda: judge.seconds,
    build_states_shape(config),
    mesh,
  )


def build_stages(config: Any) -> wiring.Stages:
  """The round's three stages, compiled: this takes a while."""
  mesh = build_mesh(config)
  return wiring.stages(build_traces(config, mesh), mesh)


def build_traces(config: Any, mesh: Mesh) -> wiring.Traces:
  """The round's three stages, to be traced for a mesh of any devices."""
  shape = functools.partial(bridge.outcome_shape, pairs=config.language.pairs)
  like = build_states_shape(config)
  return wiring.traces(
    build_parts(config, mesh), like, shape, mesh, config.seeds
  )


def build_host(config: Any, judge: Judge) -> seeds.Host:
  """The judge, for as many seeds as are trained side by side."""
  return seeds.host(judge.check, judge.grade, config.seeds)
