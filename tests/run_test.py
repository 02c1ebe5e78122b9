"""What is planned for a config's runs, before anything is written."""

import types
from typing import Any

import pytest

from bitzero_jax import config as config_lib
from bitzero_jax import run
from bitzero_jax.runtime import checkpoint, workdir


@pytest.fixture
def config():
  made = config_lib.default()
  made.wiring, made.seed, made.seeds = "host", 3, 2
  return made


@pytest.fixture
def holding(monkeypatch):
  """Says which rounds the folders hold, in place of orbax."""

  def hold(*rounds):
    each = iter(rounds)
    monkeypatch.setattr(checkpoint, "held", lambda folder: next(each))

  return hold


def test_one_seed_is_planned_in_the_folder_itself(config, tmp_path):
  config.seeds = 1
  (alone,) = run.plan(config, tmp_path / "run")
  assert alone == (config, tmp_path / "run", False, "")
  assert list(tmp_path.iterdir()) == []


def test_each_of_several_seeds_is_planned_in_its_own(config, tmp_path):
  plans = run.plan(config, tmp_path)
  assert [one.folder.name for one in plans] == ["seed3", "seed4"]
  assert [one.label for one in plans] == ["seed 3: ", "seed 4: "]
  assert [(one.config.seed, one.config.seeds) for one in plans] == [
    (3, 1),
    (4, 1),
  ]
  assert list(tmp_path.iterdir()) == []
  workdir.begin(plans[1].folder, config_lib.to_json(plans[1].config))
  assert [one.resumed for one in run.plan(config, tmp_path)] == [False, True]
  config.rounds = 7
  with pytest.raises(ValueError, match="seed4 holds a run with rounds=120"):
    run.plan(config, tmp_path)


@pytest.mark.parametrize(
  ("held", "first"),
  [
    (([], []), 0),
    (([20, 40], [20, 40]), 40),
    (([20, 40], [40, 60]), 40),
    (([20, 40, 57], [20, 40]), 40),
    (([20], []), 0),  # killed between their first saves
    (([17], []), 0),
  ],
)
def test_all_go_on_from_the_newest_round_that_all_hold(
  config, tmp_path, holding, held, first
):
  holding(*held)
  assert run.first_round(run.plan(config, tmp_path)) == first


@pytest.mark.parametrize(
  "held", [([100, 120], [60, 80]), ([40, 120], [40, 60]), ([40], [])]
)
def test_runs_that_stand_far_apart_are_refused(config, tmp_path, holding, held):
  holding(*held)
  with pytest.raises(ValueError, match="more than one save") as caught:
    run.first_round(run.plan(config, tmp_path))
  for name, rounds in zip(("seed3", "seed4"), held, strict=True):
    said = f"{tmp_path / name} at {max(rounds, default=0)}"
    assert said in str(caught.value)


def test_the_best_model_is_one_of_settled_precision(
  config, tmp_path, monkeypatch
):
  """Before the freeze it is better for having more bits, and ships none."""
  config.seeds, config.precision.budget = 1, 3.0
  constant = types.SimpleNamespace(best=0.0)
  monkeypatch.setattr(run, "best_constant", lambda executor, exam: constant)
  monkeypatch.setattr(run.primary, "score", lambda measure, values: 0.9)
  (plan,) = run.plan(config, tmp_path / "run")
  nothing: Any = None
  one: Any = run.Run(plan, nothing, {}, nothing, nothing)
  one._graded = types.SimpleNamespace(write=lambda step, rows: None)
  half = config_lib.total_updates(config) // 2
  one.examine({}, half - 1)
  assert one.score is None
  one.examine({}, half)
  assert one.score == 0.9
