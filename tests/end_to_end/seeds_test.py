"""Two seeds in one process are two runs as each alone would have been."""

import json
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build, main
from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module")

NAMES = ("seed0", "seed1")
# The command, which meets a signal after the third line of the first seed.
MEETS_A_SIGNAL = """
import os, sys
from bitzero_jax import main
from bitzero_jax.runtime import metrics

write, met = metrics.MetricsWriter.write, []

def write_and_meet(self, at, values):
  write(self, at, values)
  if at == 6 and not met:
    met.append(os.kill(os.getpid(), int(sys.argv[1])))

metrics.MetricsWriter.write = write_and_meet
sys.exit(main.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def shared(bitzero, experiment, tmp_path_factory):
  """The folder of two seeds' six rounds. Not to be changed."""
  folder = tmp_path_factory.mktemp("shared") / "runs"
  done = bitzero(*command(experiment, folder))
  assert done.returncode == 0, done.stderr
  for said in ("seed 0: held-out exam", "seed 1: report"):
    assert said in done.stderr
  assert done.stderr.count("compiled the round") == 1
  assert done.stderr.count("compiled the exam") == 1
  return folder


@pytest.fixture
def copied(shared, tmp_path):
  return shutil.copytree(shared, tmp_path / "runs")


def command(experiment, folder):
  return (
    "train",
    f"--config={experiment}",
    "--config.seeds=2",
    f"--workdir={folder}",
  )


def forget(folder, *rounds):
  for number in rounds:
    shutil.rmtree(folder / "checkpoints" / str(number))


def close(lines, others, tolerance):
  for one, other in zip(lines, others, strict=True):
    assert one.keys() == other.keys()
    for name, value in one.items():
      if value is None or other[name] is None:
        assert value == other[name], name
      else:
        np.testing.assert_allclose(
          value, other[name], rtol=tolerance, atol=tolerance, err_msg=name
        )


def test_each_seed_leaves_an_ordinary_run(shared, straight, bitzero):
  assert sorted(path.name for path in shared.iterdir()) == list(NAMES)
  files = sorted(path.name for path in straight.iterdir())
  for seed, name in enumerate(NAMES):
    folder = shared / name
    assert sorted(path.name for path in folder.iterdir()) == files
    config = json.loads((folder / "config.json").read_text())
    assert (config["seed"], config["seeds"]) == (seed, 1)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seeds"] == 2
    assert checkpoint.held(folder)[-2:] == [4, 6]
    steps = [line["step"] for line in metrics.read(folder / "metrics.jsonl")]
    assert steps == [2, 4, 6, 8, 10, 12]
  done = bitzero("evaluate", f"--workdir={shared / 'seed1'}", "--json")
  assert done.returncode == 0, done.stderr
  scores = json.loads(done.stdout.splitlines()[-1])
  last = metrics.read(shared / "seed1" / "metrics.jsonl")[-1]
  assert scores["deduction"] == pytest.approx(last["eval/deduction"])
  assert scores["constant"] == pytest.approx(last["eval/constant"])


def test_a_seed_is_what_it_is_alone(shared, straight, lasting):
  folder = shared / "seed0"
  # The head starts at zero, so nothing is rounded before the first proposals
  # and which of them are sound: these are the same tasks.
  for mine, alone in zip(
    metrics.read(folder / "tasks.jsonl"),
    metrics.read(straight / "tasks.jsonl"),
    strict=True,
  ):
    if mine["round"] == 1:
      rates = mine.pop("solve_rate"), alone.pop("solve_rate")
      assert rates[0] == pytest.approx(rates[1], abs=1e-6)
      assert mine == alone
  # A batched product adds up in another order. Two rounds are four updates,
  # after which no sample has changed for that.
  close(lasting(folder)[:2], lasting(straight)[:2], 1e-4)
  config = json.loads((folder / "config.json").read_text())
  assert config == json.loads((straight / "config.json").read_text())


def test_seeds_differ_in_weights_tasks_and_exam(shared, saved):
  one, other = (saved(shared / name) for name in NAMES)
  differ = [
    path for path in one if one[path].tobytes() != other[path].tobytes()
  ]
  for part in ("embedding", "barred", "pool", "key"):
    assert any(part in path for path in differ), part
  exams = [
    {line["exam"] for line in metrics.read(shared / name / "graded.jsonl")}
    for name in NAMES
  ]
  assert len(exams[0] | exams[1]) == 2


def test_speeds_are_those_of_each(shared):
  one, other = (metrics.read(shared / name / "metrics.jsonl") for name in NAMES)
  for mine, theirs in zip(one, other, strict=True):
    for name in ("speed/rows_per_s", "seconds/verify", "seconds/device"):
      assert mine[name] == theirs[name]


def test_runs_go_on_from_the_round_that_both_hold(
  shared, copied, experiment, same, capfd
):
  """As after a kill between two saves."""
  forget(copied / "seed1", 6)
  assert main.main([*command(experiment, copied)]) == 0
  said = capfd.readouterr().err
  assert "resuming after round 4" in said
  assert "seed 0: rounds 5 to 6 are run again" in said
  for name in NAMES:
    same(copied / name, shared / name)


def test_runs_that_stand_far_apart_are_refused(copied, experiment, bitzero):
  forget(copied / "seed1", *checkpoint.held(copied / "seed1"))
  done = bitzero(*command(experiment, copied))
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert "seed0 at 6" in line and "seed1 at 0" in line


def test_a_seed_may_go_on_alone(shared, copied, experiment, lasting):
  folder = copied / "seed1"
  forget(folder, 6)
  alone = ["train", f"--config={experiment}", f"--workdir={folder}"]
  assert main.main([*alone, "--config.seed=1"]) == 0
  assert checkpoint.held(folder)[-1] == 6
  close(lasting(folder)[:5], lasting(shared / "seed1")[:5], 1e-4)


@pytest.mark.slow
def test_a_signal_saves_all(bitzero, experiment, tmp_path):
  folder = tmp_path / "runs"
  number, both = int(signal.SIGTERM), command(experiment, folder)
  stopped = bitzero(number, *both, script=MEETS_A_SIGNAL)
  assert stopped.returncode == 0, stopped.stderr
  (last,) = {checkpoint.held(folder / name)[-1] for name in NAMES}
  assert f"SIGTERM: saved after round {last}" in stopped.stderr
  for name in NAMES:
    assert (folder / name / "report.html").is_file()


def test_a_loss_that_is_not_finite_names_its_seed(
  experiment, tmp_path, monkeypatch, capfd
):
  folder = tmp_path / "runs"
  whole = build.build_round

  def broken(config, judge, background):
    one_round = whole(config, judge, background)

    def breaks_in_the_third(state):
      with jax.transfer_guard(
        "allow"
      ):  # the loop forbids what nobody asked for
        if int(state.round[1]) == 2:
          model = jax.tree.map(
            lambda x: x.at[1].set(jnp.nan), state.params["model"]
          )
          state = state.replace(params=state.params | {"model": model})
      return one_round.step(state)

    return one_round._replace(step=breaks_in_the_third)

  monkeypatch.setattr(build, "build_round", broken)
  assert main.main([*command(experiment, folder)]) == 1
  said = capfd.readouterr().err.splitlines()[-1]
  assert said.startswith("bitzero: seed 1: ") and "nan at update 6" in said
  assert "last good checkpoint is round 2" in said
  assert [checkpoint.held(folder / name) for name in NAMES] == [[2], [2]]


def test_one_run_and_several_do_not_share_a_folder(
  bitzero, experiment, straight, shared
):
  alone = ["train", f"--config={experiment}"]
  done = bitzero(*command(experiment, straight))
  assert done.returncode == 2 and "holds a run of its own" in done.stderr
  done = bitzero(*alone, f"--workdir={shared}")
  assert done.returncode == 2 and "holds no BitZero run" in done.stderr
  done = bitzero("evaluate", f"--workdir={shared}")
  assert done.returncode == 2 and "seed0 does" in done.stderr
