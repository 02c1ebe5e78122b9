"""What is counted from shapes is what arrays take."""

import jax
import numpy as np

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.models import cache
from bitzero_jax.plan import resident


def size(tree):
  return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def test_one_device_holds_all_of_the_state():
  config = config_lib.default()
  config.model.layers = 1
  found = resident.count(config, build.build_mesh(config))
  state = build.build_state(config, np.zeros((0, 2), np.uint32))
  assert found.parameters == size(state.params)
  assert found.optimizer == size(state.optimizer)
  assert found.state == size(state)


def test_the_cache_is_the_largest_that_sampling_holds():
  config = config_lib.default()
  sizes, model = build.build_language(config).sizes, config.model
  rows = config.solve.fresh_rows
  held = []
  for number, (prompt, answer) in (
    (2 * rows, sizes.answer_value),
    (rows, sizes.answer_program),
    (round(config.propose.candidates * 0.25), sizes.proposal),
  ):
    shape = (number, prompt + answer - 1, model.kv_heads, 24)
    made = jax.eval_shape(lambda s=shape: cache.empty(4, *s, model.dtype))
    held.append(2 * 4 * made.keys.size)
  found = resident.count(config, build.build_mesh(config))
  assert found.cache == max(held)
