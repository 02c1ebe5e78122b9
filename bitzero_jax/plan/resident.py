"""What lies in one chip's memory, from shapes and shardings alone."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax import build


class Resident(NamedTuple):
  """Bytes on one chip.

  Attributes:
    parameters: latent weights, and what the quantizer learns.
    optimizer: its state.
    rest: pool, proposals, counters.
    cache: the most keys and values that are held while answers are sampled;
      the compiler counts them with the temporaries of "solve" or "propose".
  """

  parameters: int
  optimizer: int
  rest: int
  cache: int

  @property
  def state(self) -> int:
    """All that lies there between two stages."""
    return self.parameters + self.optimizer + self.rest


def count(config: Any, mesh: Any) -> Resident:
  """Of a config on a mesh of any devices; makes no array.

  Args:
    config: validated.
    mesh: from `build.build_mesh`.
  """
  like = build.build_states_shape(config)
  where = build.build_shardings(config, mesh)
  parts = jax.tree.map(_bytes, like, where)
  parameters, optimizer = _sum(parts.params), _sum(parts.optimizer)
  return Resident(
    parameters=parameters,
    optimizer=optimizer,
    rest=_sum(parts) - parameters - optimizer,
    cache=_cache(config),
  )


def _bytes(leaf: Any, sharding: Any) -> int:
  held = sharding.shard_shape(leaf.shape)
  return math.prod(held) * jnp.dtype(leaf.dtype).itemsize


def _sum(tree: Any) -> int:
  return sum(jax.tree.leaves(tree))


def _cache(config: Any) -> int:
  """Rows over data and fsdp, heads over tensor, as the model lays them out."""
  sizes = build.build_language(config).sizes
  solve, propose = config.solve, build.build_proposer(config)
  answers = (solve.fresh_rows + solve.buffer_rows) * solve.samples
  columns = [
    (2 * answers, sum(sizes.answer_value) - 1),  # deduction and abduction
    (answers, sum(sizes.answer_program) - 1),
    (propose.model_rows, sum(sizes.proposal) - 1),
  ]
  rows, tensor = config.mesh.data * config.mesh.fsdp, config.mesh.tensor
  held = max(-(-number // rows) * width for number, width in columns)
  model = config.model
  head = model.width // model.heads
  heads = -(-model.kv_heads // tensor)
  item = jnp.dtype(model.dtype).itemsize
  return 2 * model.layers * held * heads * head * item
