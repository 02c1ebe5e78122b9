"""A folder is a run, or nobody may train in it."""

import json
import os
import platform

import jax
import pytest

from bitzero_jax import config as config_lib
from bitzero_jax.runtime import workdir


@pytest.fixture
def config():
  return config_lib.default()


def begun(folder, config):
  workdir.begin(folder, config_lib.to_json(config))
  return folder


@pytest.mark.parametrize("depth", ["run", "a/b/run", "."])
def test_a_new_folder_is_a_new_run(tmp_path, config, depth):
  folder = tmp_path / depth
  assert workdir.check(folder, config.to_dict()) is False
  assert list(tmp_path.iterdir()) == []  # asking writes nothing
  begun(folder, config)
  assert workdir.is_run(folder)
  assert [p.name for p in folder.iterdir()] == ["config.json"]


def test_the_same_config_resumes(tmp_path, config):
  folder = begun(tmp_path / "run", config)
  assert workdir.check(folder, config.to_dict()) is True
  assert config_lib.from_dict(workdir.read_config(folder)) == config


@pytest.mark.parametrize(
  ("key", "value"),
  [("seed", 1), ("learn.rows", (1, 2, 3)), ("optimizer.learning_rate", 0.5)],
)
def test_another_config_is_refused_by_its_difference(
  tmp_path, config, key, value
):
  folder = begun(tmp_path / "run", config)
  config.update_from_flattened_dict({key: value})
  with pytest.raises(ValueError, match=f"holds a run with {key}=") as caught:
    workdir.check(folder, config.to_dict())
  assert repr(json.loads(json.dumps(value))) in str(caught.value)


def test_a_run_goes_on_on_other_devices(tmp_path, config):
  folder = begun(tmp_path / "run", config)
  config.mesh.fsdp, config.model.scan, config.model.remat = 4, True, "full"
  assert workdir.check(folder, config.to_dict()) is True


def test_a_key_that_only_one_side_has_is_a_difference(tmp_path, config):
  folder = begun(tmp_path / "run", config)
  wanted = config.to_dict()
  wanted["learn"]["fresh"] = 1
  with pytest.raises(ValueError, match=r"learn\.fresh=None, not 1"):
    workdir.check(folder, wanted)


def test_what_a_process_does_beside_the_run_may_change(tmp_path, config):
  folder = begun(tmp_path / "run", config)
  config.cache, config.profile.steps = "", (1, 2)
  assert workdir.check(folder, config.to_dict()) is True


@pytest.mark.parametrize("name", ["file", "file/run", "file/a/b"])
def test_a_file_is_no_folder(tmp_path, config, name):
  (tmp_path / "file").write_text("mine")
  with pytest.raises(ValueError, match="is not a folder"):
    workdir.check(tmp_path / name, config.to_dict())
  assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_with_other_things_is_left_alone(tmp_path, config):
  (tmp_path / "thesis.tex").write_text("mine")
  with pytest.raises(ValueError, match="is not empty and holds no BitZero run"):
    workdir.check(tmp_path, config.to_dict())
  assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(
  hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, config):
  tmp_path.chmod(0o500)
  with pytest.raises(ValueError, match="cannot be written"):
    workdir.check(tmp_path / "run", config.to_dict())


def test_what_is_no_run_has_no_config(tmp_path):
  with pytest.raises(ValueError, match="holds no BitZero run"):
    workdir.read_config(tmp_path / "nowhere")
  (tmp_path / "config.json").write_text('{"seed": ')
  with pytest.raises(ValueError, match=r"config\.json is broken"):
    workdir.read_config(tmp_path)


def test_a_torn_begin_is_no_run(tmp_path, config, monkeypatch):
  """The name appears only when the whole text is on disk."""

  def killed(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(os, "replace", killed)
  with pytest.raises(KeyboardInterrupt):
    begun(tmp_path / "run", config)
  assert not workdir.is_run(tmp_path / "run")


def test_a_begin_that_was_killed_can_begin_again(tmp_path, config):
  (tmp_path / "config.json.part").write_text('{"see')
  assert workdir.check(tmp_path, config.to_dict()) is False


def test_the_environment_can_be_read_back(tmp_path):
  found = workdir.environment("cpython-3.11.7", "seccomp", 1)
  workdir.write_json(tmp_path / "environment.json", found)
  assert json.loads((tmp_path / "environment.json").read_text()) == found
  assert found["jax"] == jax.__version__
  assert found["python"] == platform.python_version()
  assert found["executor"] == "seccomp"
  assert found["engine"] == "cpython-3.11.7"
  assert found["cores"] >= 1
  assert found["revision"]


@pytest.mark.parametrize("engine", ["cpython-3.12.7", "monty-1.11.7"])
def test_another_engine_does_not_go_on(tmp_path, engine):
  workdir.check_engine(tmp_path, engine)  # nothing was written yet
  path = tmp_path / workdir.ENVIRONMENT_FILE
  workdir.write_json(path, workdir.environment("cpython-3.11.7", "seccomp", 1))
  workdir.check_engine(tmp_path, "cpython-3.11.9")
  with pytest.raises(ValueError, match=r"cpython-3\.11\.7, and this is"):
    workdir.check_engine(tmp_path, engine)


def test_runs_of_several_seeds_lie_in_a_folder_of_theirs(tmp_path, config):
  workdir.check_shared(tmp_path / "nowhere")
  workdir.check_shared(tmp_path)
  inner = begun(workdir.of_seed(tmp_path, 12), config)
  assert inner == tmp_path / "seed12"
  workdir.check_shared(tmp_path)
  with pytest.raises(ValueError, match=r"no BitZero run, but .*seed12 does"):
    workdir.read_config(tmp_path)
  (tmp_path / "thesis.tex").write_text("mine")
  with pytest.raises(ValueError, match="other things than runs of several"):
    workdir.check_shared(tmp_path)
  with pytest.raises(ValueError, match="holds a run of its own"):
    workdir.check_shared(inner)
