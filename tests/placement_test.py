"""Every array of a run's state has a place on its mesh."""

import json
import os
import subprocess
import sys

import jax
import pytest
from jax.sharding import AbstractMesh

from bitzero_jax import build, config
from bitzero_jax.runtime import mesh

# What the quantizer of a model of some layers sends between eight devices.
SENT = """
import json, sys
import jax
from bitzero_jax import build, config, placement
from bitzero_jax.plan import program
from bitzero_jax.runtime import mesh as mesh_lib

made = config.default()
made.mesh.fsdp, made.model.layers = 8, int(sys.argv[1])
mesh = build.build_mesh(made)
net = build.build_network(made, mesh_lib.placing(mesh))
shapes = build.build_states_shape(made).params
where = build.build_shardings(made, mesh).params
with mesh_lib.traced(mesh):
  lowered = jax.jit(net.weights, out_shardings=where["model"]).lower(
    placement.with_shardings(shapes, where)
  )
print(json.dumps(program.read("", lowered.compile(), 0, 0).collectives))
"""
SHAPE = {"data": 2, "fsdp": 4, "tensor": 2}


@pytest.fixture(scope="module")
def placed():
  made = config.default()
  made.optimizer.name = "adamw"
  for name, size in SHAPE.items():
    made.mesh[name] = size
  shape = AbstractMesh(tuple(SHAPE.values()), mesh.AXES)
  like = build.build_states_shape(made)
  found = jax.tree_util.tree_leaves_with_path(
    build.build_shardings(made, shape)
  )
  named = {jax.tree_util.keystr(path): leaf for path, leaf in found}
  return like, named


def test_every_array_has_a_place_that_divides_it(placed):
  like, named = placed
  leaves = jax.tree_util.tree_leaves_with_path(like)
  assert len(leaves) == len(named)
  for path, leaf in leaves:
    where = named[jax.tree_util.keystr(path)]
    mine = where.shard_shape(leaf.shape)  # raises where it does not divide
    assert len(mine) == leaf.ndim, path


@pytest.mark.parametrize(
  ("module", "axes"),
  [
    ("['self_attn']['q_proj']", ("fsdp", "tensor")),
    ("['self_attn']['o_proj']", ("tensor", "fsdp")),
    ("['mlp']['down_proj']", ("tensor", "fsdp")),
  ],
)
def test_kernels_and_what_the_optimizer_keeps_of_them_are_split(
  placed, module, axes
):
  mine = [where.spec for path, where in placed[1].items() if module in path]
  assert len(mine) == 3 * config.default().model.layers  # and two moments
  assert set(mine) == {jax.sharding.PartitionSpec(*axes)}


def test_what_decides_is_whole_everywhere_and_proposals_are_split(placed):
  for path, where in placed[1].items():
    if path.startswith((".pool", ".seen", ".key", ".round", ".barred")):
      assert where.is_fully_replicated, path
    if path.startswith(".proposed.candidates"):
      assert where.spec == jax.sharding.PartitionSpec(mesh.AXES), path


def test_deep_models_send_no_more_often_than_shallow_ones():
  sent = [
    json.loads(
      subprocess.run(
        [sys.executable, "-c", SENT, str(layers)],
        env=os.environ
        | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
        capture_output=True,
        text=True,
        check=True,
      ).stdout
    )
    for layers in (2, 4)
  ]
  assert sent[0] == sent[1]
  assert sent[0]["all-to-all"] > 0
