"""TPU slices by name: how many chips, and how much memory each has."""

import math
import re
from typing import Any, NamedTuple

GIB = 2**30
# Numbers in a name, and the memory that the compiler says a program may have:
# libtpu 0.0.42.1, in the message with which it refuses one that is too large.
GENERATIONS = {"v5e": (2, 15.75), "v6e": (2, 31.25), "v5p": (3, 95.74)}


class Slice(NamedTuple):
  """A named slice.

  Attributes:
    name: such as "v5e:16x16".
    chips: in it.
    memory: bytes that a program may use on each.
  """

  name: str
  chips: int
  memory: int


def parse(name: str) -> Slice:
  """A slice from its name.

  Raises:
    ValueError: the generation is unknown, or the name has another form.
  """
  generation, _, shape = name.partition(":")
  axes, memory = GENERATIONS.get(generation, (0, 0.0))
  if not axes or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape):
    axes = 0
  sizes = shape.split("x")
  if len(sizes) != axes:
    raise ValueError(
      f"--topology={name} must be v5e:AxB, v6e:AxB or v5p:AxBxC, as in "
      "v5e:16x16 or v5p:4x4x4"
    )
  return Slice(name, math.prod(map(int, sizes)), int(memory * GIB))


def devices(where: Slice) -> list[Any]:
  """Its devices, which need not exist; only to be compiled for.

  Raises:
    ValueError: there is no slice of that shape.
  """
  import jax
  from jax.experimental import topologies

  # One chip alone is a part of a host.
  part = {"chips_per_host_bounds": (1, 1, 1)} if where.chips == 1 else {}
  try:
    found = topologies.get_topology_desc(
      platform="tpu", topology_name=where.name, **part
    ).devices
  except (ValueError, jax.errors.JaxRuntimeError) as error:
    reason = str(error).strip().splitlines()[0]
    raise ValueError(
      f"--topology={where.name}: libtpu knows no such slice ({reason})"
    ) from None
  return list(found)
