"""Fixed-shape calls from compiled code to the host and back.

One call a batch. Under `shard_map` each device of the mesh hands over rows of
its own, along every axis: no process gathers what others hold, and none asks
about a row that another asks about. Host functions get numpy arrays and must
neither raise nor call JAX (see `verify/judge.py`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from bitzero_jax.state import Answers, Candidates, Outcome
from bitzero_jax.verify.judge import Bounds, Judge


def outcome_shape(candidates: Candidates, pairs: int) -> Outcome:
  """Shapes and dtypes of `Judge.check` for these candidates."""
  *rows, _, width = candidates.inputs.shape  # [B], or [S, B] of several seeds

  def leaf(dtype, *shape):
    return jax.ShapeDtypeStruct((*rows, *shape), dtype)

  return Outcome(
    reason=leaf(jnp.int32),
    inputs=leaf(jnp.int32, pairs, width),
    outputs=leaf(jnp.int32, pairs, width),
    behaviour=leaf(jnp.uint32, 2),
    constant=leaf(jnp.bool_),
    identity=leaf(jnp.bool_),
  )


def _on_host(function: Callable[..., Any]) -> Callable[..., Any]:
  """Hands `function` plain numpy, whatever the runtime passed."""

  def call(*arguments):
    return function(*jax.tree.map(np.asarray, arguments))

  return call


def check_callback(
  judge: Judge, pairs: int, mesh: Mesh
) -> Callable[[Candidates, Bounds], Outcome]:
  """`judge.check` for compiled code; rows must divide by the devices."""

  def shard(candidates, bounds):
    shapes = outcome_shape(candidates, pairs)
    return io_callback(_on_host(judge.check), shapes, candidates, bounds)

  return _sharded(shard, mesh, (P(mesh.axis_names), P()))


def grade_callback(judge: Judge, mesh: Mesh) -> Callable[[Answers], jax.Array]:
  """`judge.grade` for compiled code; rows must divide by the devices."""

  def shard(answers):
    shape = jax.ShapeDtypeStruct(answers.kind.shape, jnp.int32)
    return io_callback(_on_host(judge.grade), shape, answers)

  return _sharded(shard, mesh, (P(mesh.axis_names),))


def _sharded(function, mesh: Mesh, specs) -> Callable[..., Any]:
  return jax.shard_map(
    function,
    mesh=mesh,
    in_specs=specs,
    out_specs=P(mesh.axis_names),
    check_vma=False,
  )
