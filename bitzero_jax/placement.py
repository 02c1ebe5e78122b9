"""Where every array of a run lies on its mesh."""

import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding

from bitzero_jax.models import axes
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.state import LoopState

# The optimizer's name of a stack of matrices.
_STACK = re.compile(r"\d+(x\d+)+")


def of_state(mesh: Mesh, like: LoopState) -> LoopState:
  """The sharding of each array of the state.

  Parameters, and what the optimizer keeps for each, are split by the names of
  their axes. A round's proposals are split by rows. Integers that decide what
  comes next are whole on every device: pool, counters, keys.

  Args:
    mesh: of the run.
    like: shapes of the state.

  Returns:
    `NamedSharding`s in the place of arrays.
  """
  everywhere = mesh_lib.sharding(mesh)
  placed = jax.tree.map(lambda leaf: everywhere, like)
  return placed.replace(
    params=_by_name(mesh, like.params),
    optimizer=_by_name(mesh, like.optimizer),
    proposed=by_rows(mesh, like.proposed),
  )


def by_rows(mesh: Mesh, record: Any) -> Any:
  """Splits each array of a record by its first axis, where that is even."""
  return jax.tree.map(lambda leaf: mesh_lib.rows(mesh, leaf), record)


def with_shardings(like: Any, shardings: Any) -> Any:
  """Shapes and dtypes of `like`, to be compiled for, that lie so."""
  return jax.tree.map(
    lambda leaf, where: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=where
    ),
    like,
    shardings,
  )


def _by_name(mesh: Mesh, tree: Any) -> Any:
  def place(path: Any, leaf: Any) -> NamedSharding:
    names = _names([getattr(key, "key", None) for key in path])
    if len(names) > leaf.ndim:  # a scalar in the place of a parameter
      names = ()
    names = (None,) * (leaf.ndim - len(names)) + names if names else names
    return mesh_lib.sharding(mesh, *names)

  return jax.tree_util.tree_map_with_path(place, tree)


def _names(keys: list[Any]) -> tuple[str | None, ...]:
  """Of an array of the parameters, or of the optimizer's tree like them."""
  if "model" in keys:
    return axes.of_parameter(keys[keys.index("model") + 1 :])
  stack = keys and isinstance(keys[-1], str) and _STACK.fullmatch(keys[-1])
  return ("embed", "heads") if stack else ()
