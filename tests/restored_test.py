"""A run may begin with the last weights of another, whose exam is its own."""

import json
import shutil

import jax
import numpy as np
import pytest

from bitzero_jax import build, restored
from bitzero_jax import config as config_lib
from bitzero_jax.quant import tree
from bitzero_jax.runtime import checkpoint, workdir

BARRED = np.zeros((1, 2), np.uint32)


def small(seed=0):
  config = config_lib.default()
  config.seed = seed
  config.model.width, config.model.layers, config.model.hidden = 16, 1, 16
  config.pool.capacity = 8
  config.heldout.candidates, config.heldout.tasks = 512, 4
  config.heldout.output_share = 0.5
  config.quant.weights = "identity"
  return config


@pytest.fixture(scope="module")
def states():
  return [build.build_state(small(seed), BARRED) for seed in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, states):
  """Runs of seeds 0 and 1, side by side."""
  path = tmp_path_factory.mktemp("restored")
  for seed, state in enumerate(states):
    mine = workdir.of_seed(path, seed)
    workdir.begin(mine, config_lib.to_json(small(seed)))
    with checkpoint.opened(mine) as checkpoints:
      checkpoints.save(1, state, 0.5)
  return path


def equal(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_run_begins_with_random_weights_where_no_start_is_named():
  assert restored.start(small()) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_each_seed_begins_with_its_own_weights(folder, states, seed):
  config = small(seed)
  config.start = str(folder)
  found = restored.start(config)
  equal(found.weights, states[seed].params["model"])
  assert found.rounds == 1
  config.start = str(workdir.of_seed(folder, seed))
  equal(restored.start(config), found)


def test_the_quantizer_measures_the_weights_that_are_given(folder):
  config = small()
  config.start = str(folder)
  config.quant.weights = "digits"
  start = restored.start(config)
  state = build.build_state(config, BARRED, start)
  equal(state.params["model"], start.weights)
  measured = tree.init_tree(build.build_quantizer(config), start.weights)
  equal(state.params["quant"], measured)
  config.seed = 1  # else they could be the random ones that it begins with
  with pytest.raises(AssertionError):
    equal(build.build_state(config, BARRED).params["quant"], measured)


def test_a_run_is_not_given_the_tasks_of_its_start(folder):
  config = small()
  config.start = str(folder)
  first = build.build_state(config, BARRED)
  second = build.build_state(config, BARRED, restored.start(config))
  assert (np.asarray(first.key) != np.asarray(second.key)).any()


def test_budgets_begin_with_the_same_arrays_but_the_budget(folder):
  config = small()
  config.precision.budget = 2.6
  one = build.build_state(config, BARRED).params["precision"]
  config.precision.budget = 3.0
  other = build.build_state(config, BARRED).params["precision"]
  assert (float(one.pop("budget")), float(other.pop("budget"))) == (
    pytest.approx(2.6),
    3.0,
  )
  equal(one, other)


def width(config):
  config.model.width = 32


def tasks(config):
  config.heldout.tasks = 5


def level(config):
  config.language.levels = ("medium",)


def seed(config):
  config.seed = 2


def nowhere(config):
  config.start += "/nowhere"


@pytest.mark.parametrize(
  ("change", "names"),
  [
    (width, "model"),
    (tasks, "heldout.tasks=5"),
    (level, "language.levels must end with 'small'"),
    (seed, "seed 2"),
    (nowhere, "nowhere"),
  ],
)
def test_another_model_or_exam_is_refused(folder, change, names):
  config = small()
  config.start = str(folder)
  change(config)
  with pytest.raises(ValueError, match=names):
    restored.start(config)


def test_a_seed_of_another_run_is_refused(folder):
  config = small(seed=1)
  config.start = str(workdir.of_seed(folder, 0))
  with pytest.raises(ValueError, match="seed=1 must be that of start="):
    restored.start(config)


def broken(folder):
  values = json.loads((folder / "config.json").read_text())
  values["model"]["width"] = 32
  (folder / "config.json").write_text(json.dumps(values))


def empty(folder):
  for checkpoint_folder in (folder / "checkpoints").iterdir():
    shutil.rmtree(checkpoint_folder)


def flipped(folder):
  """One bit of the numbers that the checkpoint holds."""
  largest = max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)
  held = bytearray(largest.read_bytes())
  held[len(held) // 2] ^= 1
  largest.write_bytes(bytes(held))


@pytest.mark.parametrize("harm", [broken, empty, flipped])
def test_each_caller_reads_its_own_name_of_the_folder(folder, tmp_path, harm):
  run = tmp_path / "run"
  shutil.copytree(workdir.of_seed(folder, 0), run)
  harm(run)
  config = small()
  config.start = str(run)
  errors = (ValueError, checkpoint.CheckpointError)
  with pytest.raises(errors, match=f"^start='{run}'"):
    restored.start(config)
  with pytest.raises(errors, match=f"^--workdir={run}"):
    restored.restore(run, "last")
