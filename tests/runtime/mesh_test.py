"""What is called how lies where it should, and too few devices are refused."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from bitzero_jax.runtime import mesh


@dataclasses.dataclass(frozen=True)
class Device:
  id: int
  process_index: int
  platform: str = "cpu"
  device_kind: str = "cpu"


def devices(count, processes=1):
  return [Device(i, i * processes // count) for i in range(count)]


def test_the_axes_multiply_to_the_devices():
  made = mesh.make(2, 2, 2, devices(8))
  assert made.axis_names == mesh.AXES
  assert dict(made.shape) == {"data": 2, "fsdp": 2, "tensor": 2}
  assert {d.id for d in made.devices.flat} == set(range(8))


def test_one_process_may_leave_devices_out():
  assert mesh.make(1, 2, 1, devices(8)).size == 2


@pytest.mark.parametrize(
  ("axes", "found", "said"),
  [
    ((4, 1, 1), devices(2), "mesh.data=4 .* is 4 devices, but this process"),
    ((4, 1, 4), devices(8, 2), "is 16 devices, but all processes together"),
    ((1, 2, 1), devices(8, 2), "must use all of their 8"),
  ],
)
def test_what_does_not_fit_is_refused(axes, found, said):
  with pytest.raises(ValueError, match=said):
    mesh.make(*axes, found)


def test_names_say_where_an_array_lies():
  made = AbstractMesh((2, 2, 2), mesh.AXES)
  spec = mesh.sharding(made, "batch", None, "heads").spec
  assert spec == PartitionSpec(("data", "fsdp"), None, "tensor")
  assert mesh.sharding(made).is_fully_replicated
  assert mesh.rows(made, jnp.zeros((16, 3))).spec == PartitionSpec(mesh.AXES)
  for leaf in (jnp.zeros((12, 3)), jnp.zeros(())):
    assert mesh.rows(made, leaf).is_fully_replicated


def test_rows_of_one_process_go_and_come_back():
  made = mesh.make(1, 1, 1, jax.devices()[:1])
  record = {"a": jnp.arange(6).reshape(3, 2)}
  mine = mesh.rows_here(record)
  assert mine["a"].tolist() == [[0, 1], [2, 3], [4, 5]]
  assert mesh.from_rows_here(made, mine) is mine


def laid(function, x, size):
  """The layouts that a program for so many devices asks for, in order."""
  auto = (AxisType.Auto,) * 3  # as a `Mesh` has them
  with mesh.traced(AbstractMesh((size, 1, 1), mesh.AXES, axis_types=auto)):
    traced = jax.make_jaxpr(function)(x)
  return [
    (equation.invars[0].aval.shape, equation.params["sharding"].spec)
    for equation in traced.eqns
    if equation.primitive.name == "sharding_constraint"
  ]


def test_each_device_adds_up_all_rows_itself():
  x = jnp.arange(8.0)
  assert mesh.running_sum(x).tolist() == jnp.cumsum(x).tolist()
  assert laid(mesh.running_sum, x, 2) == [((8,), PartitionSpec())] * 2
  assert laid(mesh.running_sum, x, 1) == []


def test_the_rows_of_a_step_are_split_where_that_is_even():
  each = PartitionSpec(None, mesh.AXES)
  assert laid(mesh.split_each, jnp.zeros((3, 4, 5)), 2) == [((3, 4, 5), each)]
  assert laid(mesh.split_each, jnp.zeros((4, 3)), 2) == []
  assert mesh.split_each(jnp.ones((4, 3))).shape == (4, 3)
