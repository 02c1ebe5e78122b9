"""A model from a workdir is the one that was saved there."""

import json
import shutil

import jax
import numpy as np
import pytest

from bitzero_jax import build, restored, trained
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import puzzle
from bitzero_jax.evaluate.graded import from_record
from bitzero_jax.runtime import checkpoint, workdir
from bitzero_jax.state import KINDS, RIGHT

BARRED = np.zeros((1, 2), np.uint32)


def small():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 16, 1, 16
  config.pool.capacity = 8
  config.heldout.candidates, config.heldout.tasks = 512, 4
  config.heldout.output_share = 0.5
  return config


@pytest.fixture(scope="module")
def states():
  """Untrained states: of the best round, 1, and of the last, 4."""
  config = small()
  made = {}
  for number in (1, 2, 3, 4):
    config.seed = number
    made[number] = build.build_state(config, BARRED)
  return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, states):
  path = tmp_path_factory.mktemp("trained") / "run"
  workdir.begin(path, config_lib.to_json(small()))
  with checkpoint.opened(path) as checkpoints:
    for number, state in states.items():
      checkpoints.save(number, state, 1.0 / number)
  return path


@pytest.fixture(scope="module")
def model(folder):
  with trained.opened(folder, "last") as opened:
    yield opened


@pytest.mark.parametrize(("which", "number"), [("last", 4), ("best", 1)])
def test_the_checkpoint_that_was_asked_for_is_opened(
  folder, states, which, number
):
  with trained.opened(folder, which) as model:
    assert model.round == number
    assert model.config == small()
    wanted = states[number].params
    assert jax.tree.structure(model.params) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, model.params, wanted)


def test_a_run_of_an_earlier_version_is_opened_and_named(
  folder, tmp_path, caplog
):
  again = tmp_path / "run"
  shutil.copytree(folder, again)
  path = again / "config.json"
  values = json.loads(path.read_text())
  del values["precision"], values["practice"]["seed"]
  path.write_text(json.dumps(values))
  with trained.opened(again, "last") as model:
    assert model.config == small()
  assert "earlier version" in caplog.text
  assert "precision, practice.seed" in caplog.text


def test_a_run_without_a_score_has_no_best(tmp_path, states):
  workdir.begin(tmp_path, config_lib.to_json(small()))
  with checkpoint.opened(tmp_path) as checkpoints:
    for number, state in states.items():
      checkpoints.save(number, state, None)
  with (
    pytest.raises(ValueError, match="no best checkpoint yet"),
    trained.opened(tmp_path, "best"),
  ):
    pass


@pytest.mark.parametrize(
  ("field", "value", "said"),
  [
    (
      "width",
      32,
      r"its checkpoint embed_tokens/embedding has shape \(250, 16\)",
    ),
    ("layers", 2, "its checkpoint lacks layers_1/"),
  ],
)
def test_a_checkpoint_of_another_config_is_refused(
  folder, tmp_path, field, value, said
):
  again = tmp_path / "run"
  shutil.copytree(folder, again)
  values = json.loads((again / "config.json").read_text())
  values["model"][field] = value
  (again / "config.json").write_text(json.dumps(values))
  with pytest.raises(ValueError, match=said):
    restored.restore(again, "last")


def test_what_was_never_trained_is_refused(tmp_path):
  with (
    pytest.raises(ValueError, match="holds no BitZero run"),
    trained.opened(tmp_path, "last"),
  ):
    pass
  workdir.begin(tmp_path, config_lib.to_json(small()))
  with (
    pytest.raises(FileNotFoundError, match="nothing was trained"),
    trained.opened(tmp_path, "last"),
  ):
    pass
  (tmp_path / checkpoint.FOLDER).mkdir()
  with (
    pytest.raises(ValueError, match="holds no checkpoint yet"),
    trained.opened(tmp_path, "last"),
  ):
    pass


@pytest.mark.parametrize(
  ("suite", "data", "samples", "said"),
  [
    ("list_functions", None, None, "needs --data=FILE"),
    ("cruxeval", None, None, "needs --data=FILE"),
    ("heldout", "x", None, "takes no --data"),
    ("human", "x", None, "takes no --data"),
    ("heldout", None, 0, "must be at least 1"),
    ("cruxeval", "x", 4, "takes no --samples=4"),
  ],
)
def test_a_suite_takes_what_it_needs(model, suite, data, samples, said):
  with pytest.raises(ValueError, match=said):
    trained.evaluate(model, suite, data, samples)


def test_scores_repeat_and_stand_beside_the_constant(model):
  evaluation = trained.evaluate(model, "heldout", None, None)
  once = evaluation.scores
  assert (once["suite"], once["round"], once["tasks"]) == ("heldout", 4, 12)
  assert len(once["constant_answers"]) == 3
  for name in ("deduction", "abduction", "induction", "constant"):
    assert 0 <= once[name] <= 1
  assert not [name for name in once if name.startswith("agreement/")]
  assert trained.evaluate(model, "heldout", None, None) == evaluation


def test_an_evaluation_is_saved_task_by_task(model, folder):
  evaluation = trained.evaluate(model, "human", None, 4)
  path = trained.save(folder, evaluation)
  assert path == folder / "evaluations" / "human.json"
  saved = json.loads(path.read_text())
  assert saved["scores"] == evaluation.scores
  assert saved["scores"]["step"] == 4 * small().learn.updates
  graded = from_record(saved["tasks"])
  right = graded.grade["abduction"][~graded.beyond] == RIGHT
  assert right.sum() / right.size == evaluation.scores["abduction"]
  assert saved["scores"]["samples"] == 4
  for kind in KINDS:
    shares = graded.agreement[kind] * 4
    assert set(shares.tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert graded.probability[kind].shape == shares.shape
    for measure in ("ece", "brier", "coverage_95"):
      for room in ("", "agreement/"):
        assert 0 <= saved["scores"][f"{room}{measure}/{kind}"] <= 1


def test_solve_repeats_and_counts_every_sample(model):
  examples = [("[3, 1, 2]", "[1, 2, 3]")]
  found = trained.solve(model, examples, 20)
  assert found.planes is None
  assert sum(answer.times for answer in found.answers) == 20
  assert trained.solve(model, examples, 20) == found
  with pytest.raises(ValueError, match="--samples=0"):
    trained.solve(model, examples, 0)


@pytest.mark.parametrize(("fits_at", "stops_at"), [(1, 1), (2, 2), (4, 3)])
def test_solve_takes_more_planes_only_where_nothing_fits(
  model, monkeypatch, fits_at, stops_at
):
  config = small()
  config.precision.depths = (1, 2, 3)
  several = model._replace(
    config=config, params={"quant": {"kernel": {"planes": np.float32(3)}}}
  )
  asked = []

  def by_network(network, params, *rest):
    asked.append(int(params["quant"]["kernel"]["planes"]))

  def answers(write, level, sizes, executor, examples, samples):
    right = len(examples) if asked[-1] >= fits_at else 0
    return [puzzle.Answer("x", right, 1, 1)]

  monkeypatch.setattr(puzzle, "by_network", by_network)
  monkeypatch.setattr(puzzle, "solve", answers)
  found = trained.solve(several, [("[1]", "[1]")], 8)
  assert asked == list(range(1, stops_at + 1))
  assert found.planes == stops_at
