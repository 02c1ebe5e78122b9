"""The devices of a run as one mesh, and the names of what is split over it.

    data    rows of a batch; parameters are whole on each
    fsdp    rows of a batch, and the parameters at rest (arXiv:2304.11277)
    tensor  heads and hidden features of one product (arXiv:1909.08053)

Arrays say what their axes are called, `RULES` says which axis of the mesh that
is, and the compiler puts the communication in. One device is a mesh like any
other, and its program is the one without a mesh.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp", "tensor")
RULES: dict[str | None, str | tuple[str, ...] | None] = {
  "rows": AXES,  # of what the host verifies: no two devices have the same one
  "batch": ("data", "fsdp"),  # of what the model reads
  "embed": "fsdp",  # the residual stream's features, of a parameter at rest
  "heads": "tensor",  # query or key-value heads, times their width
  "mlp": "tensor",  # hidden features
  None: None,
}

# (array, name of each of its axes) -> the array, laid out so in compiled code.
Place = Callable[..., jax.Array]


def make(
  data: int, fsdp: int, tensor: int, devices: Sequence[Any] | None = None
) -> Mesh:
  """A mesh of data * fsdp * tensor devices, near ones along the last axis.

  Args:
    data, fsdp, tensor: devices along each axis.
    devices: all that may be used; None for those of all processes. One process
      may leave some out. Several use them all.

  Raises:
    ValueError: there are fewer devices, or some of several processes are left.
  """
  shape = (data, fsdp, tensor)
  found = list(jax.devices() if devices is None else devices)
  size = int(np.prod(shape))
  said = f"mesh.data={data} * mesh.fsdp={fsdp} * mesh.tensor={tensor}"
  several = len({device.process_index for device in found}) > 1
  if size > len(found):
    here = "all processes together have" if several else "this process has"
    raise ValueError(f"{said} is {size} devices, but {here} {len(found)}")
  if several and size < len(found):
    raise ValueError(
      f"{said} is {size} devices: several processes must use all of their "
      f"{len(found)}"
    )
  laid = mesh_utils.create_device_mesh(
    shape, found[:size], allow_split_physical_axes=True
  )
  return Mesh(laid, AXES)


def sharding(mesh: Mesh, *names: str | None) -> NamedSharding:
  """Where an array lies whose axes are called so; no names: on every device."""
  return NamedSharding(mesh, PartitionSpec(*(RULES[name] for name in names)))


def rows(mesh: Mesh, leaf: Any) -> NamedSharding:
  """Of an array whose first axis is rows: split, where all get as many."""
  if leaf.ndim and leaf.shape[0] % mesh.size == 0:
    return sharding(mesh, "rows")
  return sharding(mesh)


def placing(mesh: Mesh) -> Place:
  """Lays out arrays inside compiled code, by the names of their axes."""

  def place(x: jax.Array, *names: str | None) -> jax.Array:
    return jax.lax.with_sharding_constraint(x, sharding(mesh, *names))

  return place


def running_sum(x: jax.Array) -> jax.Array:
  """Sums of the first 1 ... N of [N] numbers, on every device by itself.

  Over rows that are split, XLA's compiler for GPUs (of JAX 0.11.2) makes a
  loop of N steps of it, which takes longer than the update around it.
  """
  return _laid(jnp.cumsum(_laid(x)))


def split_each(x: jax.Array) -> jax.Array:
  """Splits [U, N, ...] by its second axis, where all devices get as many.

  So that each of U steps finds its own N rows where it needs them.
  """
  size = max(jax.sharding.get_abstract_mesh().size, 1)  # 0 without a mesh
  return x if x.shape[1] % size else _laid(x, None, "rows")


def _laid(x: jax.Array, *names: str | None) -> jax.Array:
  """Lays an array out in a program that is traced for a mesh of several."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1:
    return x
  spec = PartitionSpec(*(RULES[name] for name in names))
  return jax.lax.with_sharding_constraint(x, spec)


def traced(mesh: Mesh) -> contextlib.AbstractContextManager[Any]:
  """What a program for the mesh is traced in, so that its parts can ask."""
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def rows_here(record: Any) -> Any:
  """This process's own rows of arrays that are split by rows, as numpy.

  Rows stand in their order in the whole. An array that every device has whole
  comes whole; so does everything where there is one process.
  """
  if jax.process_count() == 1:
    return jax.device_get(record)
  return jax.tree.map(_own, record)


def _own(leaf: jax.Array) -> np.ndarray:
  if leaf.is_fully_replicated:
    return jax.device_get(leaf.addressable_data(0))
  parts = {s.index[0].start or 0: s.data for s in leaf.addressable_shards}
  return np.concatenate(
    jax.device_get([parts[start] for start in sorted(parts)])
  )


@jax.transfer_guard("allow")  # who hands rows over asks for their transfer
def from_rows_here(mesh: Mesh, record: Any) -> Any:
  """Arrays split by rows, of what `rows_here` gives in each process."""
  if mesh.size == 1:
    return record
  where = sharding(mesh, "rows")
  return jax.tree.map(
    lambda leaf: jax.make_array_from_process_local_data(where, leaf), record
  )
