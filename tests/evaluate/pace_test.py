"""What a depth costs is measured on the digits of that depth alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import pace
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.language import levels
from bitzero_jax.precision.base import set_control
from bitzero_jax.state import KINDS, Task
from pallas_kernels.ternary_matmul import api

DEPTHS = (1, 2, 3)


@pytest.fixture(scope="module")
def trained():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 1, 32
  config.precision.depths = DEPTHS
  config.quant.product = "integer"
  return config, jax.jit(build.build_network(config).init)(jax.random.key(0))


@pytest.mark.parametrize("planes", DEPTHS)
def test_first_planes_alone_give_the_bits_of_all_at_that_depth(trained, planes):
  config, params = trained
  network, packed = build.build_at_depth(config, planes)
  alone = jax.jit(packed)(params)
  kernels = [
    leaf
    for leaf in jax.tree.leaves(
      alone, is_leaf=lambda leaf: isinstance(leaf, api.Weight)
    )
    if isinstance(leaf, api.Weight)
  ]
  assert len(kernels) == 7
  assert {kernel.planes for kernel in kernels} == {planes}
  every = build.build_network(config)
  tokens = jnp.arange(1, 25).reshape(2, 12)
  np.testing.assert_array_equal(
    jax.jit(lambda w: network.logits(w, tokens, 3))(alone),
    jax.jit(lambda p: every.logits(every.weights(p), tokens, 3))(
      set_control(params, "planes", planes)
    ),
  )


def test_a_kernel_of_another_device_is_not_asked_for(trained):
  config, params = trained
  other = ConfigDict(config)
  other.quant.kernel = "triton_gemv"
  network, packed = build.build_at_depth(other, 1)
  tokens = jnp.ones((2, 5), jnp.int32)
  logits = network.logits(jax.jit(packed)(params), tokens, 2)
  assert np.isfinite(logits).all()


def test_the_time_of_a_batch_is_shared_by_its_answers(trained, monkeypatch):
  config, params = trained
  clock = itertools.count()  # a second between any two looks
  monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(clock)))
  sizes = build.build_language(config).sizes
  pairs = sizes.shown + sizes.hidden
  tasks = Task(
    program=np.zeros((3, sizes.program), np.int32),
    inputs=np.zeros((3, pairs, sizes.value), np.int32),
    outputs=np.zeros((3, pairs, sizes.value), np.int32),
    behaviour=np.zeros((3, 2), np.uint32),
    kind=np.zeros(3, np.int32),
    source=np.zeros(3, np.int32),
  )
  exam = Exam(
    tasks=tasks,
    pair=np.zeros(3, np.int32),
    bucket=np.zeros(3, np.int32),
    names=("1", "long 2"),
    sizes=sizes,
    level=levels.LEVELS["small"],
  )
  network, packed = build.build_at_depth(config, 1)
  spent = pace.seconds_an_answer(network, exam, jax.jit(packed)(params))
  assert spent == 1 / (128 * len(KINDS))
