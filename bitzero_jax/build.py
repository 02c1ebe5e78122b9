"""The only place where a name in a config becomes a function."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Background
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from bitzero_jax import config as config_lib
from bitzero_jax import parts, placement, propose, seeds, solve, wiring
from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.curriculum import seen, widen
from bitzero_jax.curriculum import table as curricula
from bitzero_jax.curriculum.base import Curriculum, Writers, paid_for_gap
from bitzero_jax.evaluate import exam as exam_lib
from bitzero_jax.evaluate import human
from bitzero_jax.language import grammar, levels
from bitzero_jax.language.layout import Sizes
from bitzero_jax.learn import advantage, reward
from bitzero_jax.learn.batch import Draw, PolicyRows
from bitzero_jax.learn.imitate import draw_drafts
from bitzero_jax.learn.loss import LossWeights
from bitzero_jax.learn.optimizer import OptimizerSpec, optimizer
from bitzero_jax.learn.update import Learner, learn
from bitzero_jax.models import product
from bitzero_jax.models.layers import Place, as_it_is
from bitzero_jax.models.network import ACTIVATION_SHARE, Network, network
from bitzero_jax.models.transformer import Transformer, identity
from bitzero_jax.precision import allocation, ledger, schedule
from bitzero_jax.precision import base as precision
from bitzero_jax.quant import activations, health, table, tree
from bitzero_jax.quant.base import Quantizer
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.state import Array, LoopState
from bitzero_jax.verify import bridge, rules
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge
from bitzero_jax.verify.verdict import Limits

ACTIVATIONS = {
  ("int8", "float"): activations.fake_quant,
  ("int8", "integer"): product.quantize,
  ("none", "float"): identity,
}


class Language(NamedTuple):
  """The language of a run: static lengths, and tables by level.

  Attributes:
    sizes: lengths of the widest level.
    at: level (int32 []) -> (Tables, Bounds).
    last_bounds: Bounds of the last level.
  """

  sizes: Sizes
  at: Any
  last_bounds: Bounds


def build_language(config: Any) -> Language:
  """Tables of every level of the run."""
  chosen = [levels.LEVELS[name] for name in config.language.levels]
  every = [levels.build(level, config.language.weights) for level in chosen]
  bounds = [
    Bounds(*map(np.int32, (level.items, level.low, level.high)))
    for level in chosen
  ]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *every)
  stacked_bounds = jax.tree.map(lambda *leaves: np.stack(leaves), *bounds)

  def at(level):
    index = level if len(chosen) > 1 else 0  # then a constant
    pick = lambda leaf: jnp.asarray(leaf)[index]  # noqa: E731
    return jax.tree.map(pick, stacked), jax.tree.map(pick, stacked_bounds)

  sizes = Sizes(
    program=max(level.program for level in chosen),
    value=max(level.items for level in chosen) + 2,
    shown=config.language.shown,
    hidden=config.language.hidden,
    references=config.propose.references,
  )
  return Language(sizes, at, bounds[-1])


def build_widen(config: Any) -> widen.Widen:
  """The rule by which the next level begins."""
  c = config.language
  if c.widen_rate > 0:
    return widen.by_rate(c.widen_rate, len(c.levels))
  return widen.by_updates(c.widen_at)


def build_quantizer(config: Any) -> Quantizer:
  """The weight quantizer that the config names."""
  c = config.precision
  if c.budget:
    name = "allocated" if c.allocator == "learned" else "adaptive"
    chosen = table.make(name, planes=c.most, groups=c.groups)
  elif c.depths:
    chosen = table.make("nested", planes=max(c.depths))
  elif c.planes:
    chosen = table.make("adaptive", planes=max(c.planes))
  else:
    name = config.quant.weights
    options = {"planes": config.quant.planes} if name == "digits" else {}
    chosen = table.make(name, **options)
  return schedule.blended(chosen) if c.ramp_weights else chosen


def build_groups(config: Any, params: Any) -> tree.Groups:
  """Quantizers of each kernel's groups, at the planes they have in `params`."""
  quantizer = build_quantizer(config)
  planes = ledger.manifest(params)

  def choose(path: str) -> list[Quantizer]:
    if path not in planes:
      return [quantizer]
    return [table.make("digits", planes=k) for k in planes[path]]

  return choose


def build_choice(config: Any, params: Any) -> tree.Choice:
  """The quantizer of each kernel at the planes that it has in `params`.

  Raises:
    ValueError: groups of a kernel have planes of their own.
  """
  groups = config.precision.groups
  if groups > 1:
    raise ValueError(
      f"config.precision.groups={groups} must be 1 for export: files hold one "
      "number of planes, and one step, a kernel"
    )
  choose = build_groups(config, params)
  return lambda path: choose(path)[0]


def build_precision(config: Any) -> precision.Precision | None:
  """What moves precision over a run; None where it stays as it is."""
  c = config.precision
  ramps = {
    name: schedule.ramp(share)
    for name, share in (
      ("weights", c.ramp_weights),
      ("activations", c.ramp_activations),
    )
    if share
  }
  if c.planes:
    ramps["planes"] = schedule.stairs(c.planes, c.planes_at)
  chosen = [schedule.scheduled(**ramps)] if ramps else []
  if c.budget:
    budget = allocation.Budget(
      c.budget, c.most, c.freeze, c.dual_rate, c.sharpness
    )
    allocators = {
      "learned": lambda: allocation.learned(budget),
      "measured": lambda: allocation.measured(budget),
      "random": lambda: allocation.random(budget),
      "sensitivity": lambda: allocation.sensitivity(
        budget, build_quantizer(config)
      ),
    }
    chosen.append(allocators[c.allocator]())
  return precision.both(chosen)


def build_model(config: Any, place: Place = as_it_is) -> Transformer:
  """The transformer, with its activation quantizer."""
  return Transformer(
    vocab=grammar.VOCABULARY,
    width=config.model.width,
    layers=config.model.layers,
    heads=config.model.heads,
    kv_heads=config.model.kv_heads,
    hidden=config.model.hidden,
    activation=config.model.activation,
    rope_theta=config.model.rope_theta,
    dtype=jnp.dtype(config.model.dtype),
    quantize_activations=ACTIVATIONS[
      config.quant.activations, config.quant.product
    ],
    place=place,
    scan=config.model.scan,
    remat=config.model.remat,
  )


def build_network(config: Any, place: Place = as_it_is) -> Network:
  """Model and quantizer as pure functions of {"model", "quant"} parameters.

  Args:
    config: validated.
    place: lays out what the model computes over a mesh.
  """
  model = build_model(config, place)
  quantizer = build_quantizer(config)

  def init(key):
    tokens = jnp.ones((1, 2), jnp.int32)
    params = model.clone(place=as_it_is).init(key, tokens)["params"]
    return {"model": params, "quant": tree.init_tree(quantizer, params)}

  def weights(params):
    if config.quant.product == "integer":
      return tree.coded_tree(
        quantizer, params["model"], params["quant"], product.Integers
      )
    made = tree.fake_quant_tree(quantizer, params["model"], params["quant"])
    if config.precision.ramp_activations:
      made[ACTIVATION_SHARE] = params["quant"][schedule.ACTIVATIONS]["mix"]
    return made

  return network(model, init, weights)


def build_rollout(config: Any) -> Callable[[Any], Any]:
  """Parameters -> the weights that sampling multiplies with."""
  if config.rollout == "learner":
    return build_network(config).weights
  weights, pack = build_network(config).weights, build_quantizer(config).pack

  def packed(params):
    # The learner's own codes and scales: with ones that were made a second time
    # the gap was 1e-7 in some runs, and not 0.
    made = jax.tree.map(
      lambda leaf: (
        pack(leaf.codes, leaf.scale) if product.coded(leaf) else leaf
      ),
      weights(params),
      is_leaf=product.coded,
    )
    return product.prepare(made, config.quant.kernel)

  return packed


def build_shipped_network(config: Any) -> Network:
  """The model alone: its parameters are the weights, already quantized."""
  model = build_model(config)

  def init(key):
    return model.init(key, jnp.ones((1, 2), jnp.int32))["params"]

  return network(model, init, lambda weights: weights)


def build_optimizer(config: Any):
  """The optax transformation that the config describes."""
  o = config.optimizer
  return optimizer(
    OptimizerSpec(
      name=o.name,
      learning_rate=o.learning_rate,
      muon_scale=o.muon_scale,
      schedule=o.schedule,
      second_stage_at=o.second_stage_at,
      second_stage_share=o.second_stage_share,
      final_share=o.final_share,
      warmup=o.warmup,
      updates=config_lib.total_updates(config),
      b1=o.b1,
      b2=o.b2,
      weight_decay=o.weight_decay,
      decay_until=o.decay_until,
      clip=o.clip,
    )
  )


def build_executor(config: Any) -> Executor:
  """Starts the interpreters."""
  return Executor(
    Limits(steps=config.executor.steps),
    workers=config.executor.workers,
    engine=config.executor.engine,
    allow_unsandboxed=config.executor.allow_unsandboxed,
  )


def build_state(config: Any, barred: Array, start: Any = None) -> LoopState:
  """The state before the first round, which `Round.begin` makes ready for it.

  Args:
    config: validated; `config.seed` alone decides the random numbers.
    barred: uint32 [H, 2], behaviours of held-out tasks. Repeated up to the
      most that an exam can have, so that the state's shape is known before.
    start: the model's latent weights; None for random ones.
  """
  return build_states(config, [barred], starts=[start])[0]


def build_states(
  config: Any,
  barred: Sequence[Array],
  shardings: LoopState | None = None,
  starts: Sequence[Any] | None = None,
) -> list[LoopState]:
  """The same for one seed after the other, `config.seed` the first.

  Args:
    config: as for `build_state`.
    barred: of each seed.
    shardings: from `build_shardings`, where each array is to lie; None for this
      process's first device.
    starts: of each seed; None where all begin with random weights.
  """
  starts = [None] * len(barred) if starts is None else starts
  proposer = build_proposer(config)
  sizes = proposer.sizes
  memory = build_curriculum(config).memory
  most = config.heldout.tasks * exam_lib.BUCKETS

  moves = build_precision(config)

  # One program to compile, not a hundred. Of numbers: a key would be this
  # process's own, and the state may be that of several.
  @functools.partial(jax.jit, out_shardings=shardings)
  def fresh(seed: Array, barred: Array, start: Any) -> LoopState:
    init_key, loop_key = jax.random.split(jax.random.key(seed))
    params = build_network(config).init(init_key)
    if start is not None:
      learned = tree.init_tree(build_quantizer(config), start)
      params = {"model": start, "quant": learned}
    if moves is not None:
      params = moves.start(params, jax.random.fold_in(init_key, 1))
    return LoopState(
      round=jnp.int32(0),
      updates=jnp.int32(0),
      params=params,
      optimizer=build_optimizer(config).init(params),
      pool=pool_lib.empty(
        config.pool.capacity, config.language.pairs, sizes.program, sizes.value
      ),
      barred=barred,
      seen=seen.nothing(),
      key=jax.random.key_data(loop_key),
      proposed=propose.nothing(proposer),
      widening=widen.start(
        config.language.widen_rounds, config.language.widen_at
      ),
      memory=memory.start(sizes.program) if memory else None,
      verdicts=jnp.int32(0),
      unknown=jnp.int32(0),
    )

  return [
    fresh(
      np.uint32(config.seed + i),
      np.resize(mine, (most, 2)).astype(np.uint32),
      start,
    )
    for i, (mine, start) in enumerate(zip(barred, starts, strict=True))
  ]


def build_curriculum(config: Any) -> Curriculum:
  """The curriculum that the config names."""
  chosen = curricula.make(config.curriculum.name, config.curriculum)
  return paid_for_gap(chosen, config.precision.gap)


def build_proposer(config: Any) -> propose.Proposer:
  """Static choices of the proposing role."""
  curriculum = build_curriculum(config)
  writers = curriculum.writers
  model, edits = writers is Writers.MODEL, writers is Writers.EDITS
  return propose.Proposer(
    sizes=build_language(config).sizes,
    candidates=config.propose.candidates,
    measured=config.propose.measured,
    model_share=config.propose.model_share if model else 0.0,
    edit_share=config.propose.edit_share if edits else 0.0,
    reinforced=curriculum.reward is not None,
    imitated=curriculum.imitate is not None,
    inputs=config.language.pairs + config.language.spare,
    temperature=config.propose.temperature,
    uniform_budget=config.language.uniform_budget,
  )


def build_parts(config: Any, mesh: Mesh) -> parts.Parts:
  """The functions of a round, from a validated config, for a mesh."""
  place = mesh_lib.placing(mesh) if mesh.size > 1 else as_it_is
  net = build_network(config, place)
  quantizer = build_quantizer(config)
  language = build_language(config)
  sizes = language.sizes
  proposer = build_proposer(config)
  solver = solve.Solver(sizes, config.solve.temperature, config.solve.samples)
  curriculum = build_curriculum(config)
  gate = rules.Gate(**config.gate.to_dict())
  moves = build_precision(config)
  learner = Learner(
    network=net,
    optimizer=build_optimizer(config),
    weights=LossWeights(
      hindsight=config.learn.hindsight,
      solve=config.learn.solve,
      propose=config.learn.propose,
      imitate=config.learn.imitate,
      entropy=config.learn.entropy,
      prior_kl=curriculum.prior_kl,
      clip_low=config.learn.clip_low,
      clip_high=config.learn.clip_high,
      solve_temperature=config.solve.temperature,
      propose_temperature=config.propose.temperature,
    ),
    draw=Draw(
      rows=tuple(config.learn.rows),
      fresh_share=config.learn.fresh_share,
      shown=config.language.shown,
      shown_weight=config.learn.shown_weight,
    ),
    updates=config.learn.updates,
    depths=tuple(config.precision.depths[:-1]),
    penalty=moves and moves.penalty,
    observe=moves and moves.observe,
    probe=moves and moves.probe,
  )

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
    )

  return parts.Parts(
    weights=net.weights,
    rollout=build_rollout(config),
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


def build_mesh(config: Any, devices: Sequence[Any] | None = None) -> Mesh:
  """The mesh of a run.

  Args:
    config: validated.
    devices: to choose from; None for those of all processes.

  Raises:
    ValueError: there are fewer devices than the config asks for.
  """
  return mesh_lib.make(**config.mesh.to_dict(), devices=devices)


def build_shardings(config: Any, mesh: Mesh) -> LoopState:
  """Where each array of the state lies: a sharding in the place of each."""
  return placement.of_state(mesh, build_states_shape(config))


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


def build_states_shape(config: Any) -> LoopState:
  """Shapes and dtypes of the state of all seeds."""
  barred = [np.zeros((0, 2))] * config.seeds
  return jax.eval_shape(lambda: seeds.together(build_states(config, barred)))


def rows_a_round(config: Any) -> tuple[int, int]:
  """Rows that one seed trains on in one round, and their tokens, padded."""
  c = config
  sizes = build_language(c).sizes
  value, program = sum(sizes.answer_value), sum(sizes.answer_program)
  answers = (c.solve.fresh_rows + c.solve.buffer_rows) * c.solve.samples
  counts = [c.learn.updates * rows + answers for rows in c.learn.rows]
  proposer = build_proposer(c)
  written = proposer.model_rows if proposer.reinforced else 0
  written += c.learn.updates * c.learn.imitate_rows if proposer.imitated else 0
  lengths = (value, value, program)
  tokens = sum(n * t for n, t in zip(counts, lengths, strict=True))
  return sum(counts) + written, tokens + written * sum(sizes.proposal)


def build_human_exam(config: Any, executor: Executor) -> exam_lib.Exam:
  """The functions that people wrote, posed at the run's widest level.

  With as many pairs as induction is posed with, and no spare ones: of the
  inputs that people chose, some functions leave a small level's bounds.
  """
  language = build_language(config)
  level = levels.LEVELS[config.language.levels[-1]]
  judge = Judge(executor, language.sizes.shown + language.sizes.hidden)
  return human.human_exam(judge, level, language.sizes, language.last_bounds)


def build_exam(config: Any, judge: Judge) -> exam_lib.Exam:
  """The held-out exam of a run; `config` alone decides it."""
  language = build_language(config)
  return exam_lib.build_exam(
    judge,
    levels.LEVELS[config.language.levels[-1]],
    language.sizes,
    language.last_bounds,
    weights=config.heldout.weights,
    tried=config.language.pairs + config.language.spare,
    candidates=config.heldout.candidates,
    tasks=config.heldout.tasks,
    bar_share=config.heldout.bar_share,
    output_share=config.heldout.output_share,
    seed=config.seed,
  )
