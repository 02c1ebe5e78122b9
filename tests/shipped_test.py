"""What is shipped is what ran, and only once its precision stays."""

import jax
import numpy as np
import pytest

from bitzero_jax import build, config_checks, shipped
from bitzero_jax import config as config_lib
from bitzero_jax.export import model as model_lib
from bitzero_jax.export import packed
from bitzero_jax.runtime import checkpoint, workdir


def run(folder, rounds, quant=(), **precision):
  """A folder that holds one checkpoint, of an untrained model."""
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 1, 32
  config.rounds = 10
  config.precision.update(precision)
  config.quant.update(dict(quant))
  config_checks.validate(config)
  workdir.begin(folder, config_lib.to_json(config))
  params = jax.jit(build.build_network(config).init)(jax.random.key(0))
  with checkpoint.opened(folder) as checkpoints:
    checkpoints.save(rounds, {"params": params}, 0.0)
  return config, params


def test_a_run_and_its_packed_file_are_one_model(tmp_path):
  config, params = run(tmp_path / "run", 3)
  model = shipped.open_model(str(tmp_path / "run"), "best", None)
  assert (model.config, model.round) == (config, 3)
  weights = build.build_network(config).weights(params)
  packed.write(model, tmp_path / "model")
  again = shipped.open_model(None, "last", str(tmp_path / "model"))
  for one in (model, again):
    jax.tree.map(np.testing.assert_array_equal, model_lib.weights(one), weights)


def test_weights_whose_precision_still_moves_are_not_shipped(tmp_path):
  run(tmp_path / "run", 3, ramp_weights=0.5)
  with pytest.raises(ValueError, match="round 3 of 10 precision still"):
    shipped.open_model(str(tmp_path / "run"), "last", None)


def test_groups_with_planes_of_their_own_are_not_shipped(tmp_path):
  run(tmp_path / "run", 9, budget=3.0, groups=4)
  with pytest.raises(
    ValueError, match=r"config\.precision\.groups=4 must be 1"
  ):
    shipped.open_model(str(tmp_path / "run"), "last", None)


def test_the_longest_row_has_room_for_the_exam(tmp_path):
  config, _ = run(tmp_path / "run", 1)
  sizes = build.build_language(config).sizes
  longest = shipped.longest_row(config)
  assert longest == 2 * sizes.shown * sizes.value + 1 + sizes.program + 6


@pytest.mark.parametrize(
  ("quant", "said"),
  [
    ({}, "kernels packed, one plane each"),
    ({"weights": "identity", "activations": "none"}, "kernels as floats"),
  ],
)
def test_what_a_folder_holds_is_said(tmp_path, quant, said):
  run(tmp_path / "run", 3, quant)
  model = shipped.open_model(str(tmp_path / "run"), "last", None)
  (line,) = shipped.write_huggingface(model, tmp_path / "folder")
  assert line.endswith(said)
  model.config.model.dtype = "bfloat16"
  _, line = shipped.write_huggingface(model, tmp_path / "another")
  assert line == "  model.dtype='bfloat16': the folder says float32"
