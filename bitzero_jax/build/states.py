"""The state before the first round, and where its arrays lie."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from bitzero_jax import placement, propose, seeds
from bitzero_jax.build.model import (
  build_network,
  build_precision,
  build_quantizer,
)
from bitzero_jax.build.roles import (
  build_curriculum,
  build_optimizer,
  build_proposer,
)
from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.curriculum import seen, widen
from bitzero_jax.evaluate import exam as exam_lib
from bitzero_jax.quant import tree
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.state import Array, LoopState, Start


def build_mesh(config: Any, devices: Sequence[Any] | None = None) -> Mesh:
  """The mesh of a run.

  Args:
    config: validated.
    devices: to choose from; None for those of all processes.

  Raises:
    ValueError: there are fewer devices than the config asks for.
  """
  return mesh_lib.make(**config.mesh.to_dict(), devices=devices)


def build_state(
  config: Any, barred: Array, start: Start | None = None
) -> LoopState:
  """The state before the first round, which `Round.begin` makes ready for it.

  Args:
    config: validated; `config.seed` alone decides the random numbers.
    barred: uint32 [H, 2], behaviours of held-out tasks. Repeated up to the
      most that an exam can have, so that the state's shape is known before.
    start: another run's weights to begin with; None for random ones.
  """
  return build_states(config, [barred], starts=[start])[0]


def build_states(
  config: Any,
  barred: Sequence[Array],
  shardings: LoopState | None = None,
  starts: Sequence[Start | None] | None = None,
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
  def fresh(seed: Array, barred: Array, start: Start | None) -> LoopState:
    init_key, loop_key = jax.random.split(jax.random.key(seed))
    params = build_network(config).init(init_key)
    if start is not None:
      learned = tree.init_tree(build_quantizer(config), start.weights)
      params = {"model": start.weights, "quant": learned}
      # Else it would be given the tasks that these weights have learned from.
      loop_key = jax.random.fold_in(loop_key, start.rounds)
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


def build_states_shape(config: Any) -> LoopState:
  """Shapes and dtypes of the state of all seeds."""
  barred = [np.zeros((0, 2))] * config.seeds
  return jax.eval_shape(lambda: seeds.together(build_states(config, barred)))


def build_shardings(config: Any, mesh: Mesh) -> LoopState:
  """Where each array of the state lies: a sharding in the place of each."""
  return placement.of_state(mesh, build_states_shape(config))
