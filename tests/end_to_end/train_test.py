"""The whole loop, with the real executor and nothing stubbed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build, main
from bitzero_jax.evaluate.examine import summarize
from bitzero_jax.evaluate.graded import from_record
from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module")

FILES = (
  "config.json environment.json parameters.json metrics.jsonl tasks.jsonl "
  "graded.jsonl"
)
KINDS = ("deduction", "abduction", "induction")
# What DESIGN promises of every run, under the names of metrics.jsonl.
EVERY_LINE = """
  round seconds loss/total norm/gradient
  solve_rate/deduction solve_rate/abduction solve_rate/induction
  solve_rate/histogram accept/rate accept/sound accept/model accept/random
  novelty/new_share novelty/duplicate_share learnability/random
  learnability/model advantage_collapse/solve advantage_collapse/propose
  entropy/solve entropy/propose gap/logprob_max ternary/flip_rate
  bits/stored_per_weight executor/unknown_rate executor/flip_rate
  speed/tasks_per_s speed/rows_per_s seconds/verify seconds/evaluate
  seconds/device pool/size novelty/behaviours trained/lengths depth/random
  learnability/histogram constant/random constant/model ternary/zero_share
  ternary/clipped_share ternary/dead_outputs ternary/scale_drift
""".split()


def test_a_run_leaves_every_file(straight):
  for name in [*FILES.split(), "report.html"]:
    assert (straight / name).stat().st_size > 0, name
  assert list((straight / "tensorboard").glob("events.*"))
  saved = {int(path.name) for path in (straight / "checkpoints").iterdir()}
  assert {4, 6} <= saved

  config = json.loads((straight / "config.json").read_text())
  assert (config["name"], config["rounds"]) == ("tiny", 6)
  environment = json.loads((straight / "environment.json").read_text())
  assert environment["jax"] == jax.__version__
  assert {"revision", "python", "device", "executor"} <= set(environment)
  rows = json.loads((straight / "parameters.json").read_text())
  assert {row["quantizer"] for row in rows} == {"absmean", "float32"}
  page = (straight / "report.html").read_text()
  assert page.lstrip().lower().startswith("<!doctype html>")
  assert "http://" not in page.replace("http://www.w3.org", "")


def test_metrics_hold_what_every_run_writes(straight):
  lines = metrics.read(straight / "metrics.jsonl")
  rows = json.loads((straight / "parameters.json").read_text())
  kernels = sum(row["quantizer"] == "absmean" for row in rows)
  assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
  assert [line["round"] for line in lines] == [1, 2, 3, 4, 5, 6]
  for line in lines:
    assert not set(EVERY_LINE) - set(line)
    assert np.isfinite(line["loss/total"])
    assert line["gap/logprob_max"] < 1e-4
    assert len(line["ternary/kernels/flip_rate"]) == kernels
  seconds = [line["seconds"] for line in lines]
  assert seconds == sorted(seconds)
  reject = {k for k in lines[0] if k.startswith("reject/")}
  for line in lines:
    shares = line["accept/rate"] + sum(line[k] for k in reject)
    assert shares == pytest.approx(1.0, abs=1e-5)


def test_held_out_scores_come_when_due(straight):
  lines = metrics.read(straight / "metrics.jsonl")
  examined = [line["round"] for line in lines if "eval/deduction" in line]
  assert examined == [1, 2, 4, 6]
  for line in lines:
    for key in [k for k in line if k.startswith("eval/")]:
      assert 0 <= line[key] <= (10 if "/nll/" in key else 1)
  assert all(f"eval/{kind}" in lines[-1] for kind in KINDS)
  assert "eval/constant" in lines[-1]


def test_every_evaluation_is_kept_task_by_task(straight):
  records = metrics.read(straight / "graded.jsonl")
  assert [record["step"] for record in records] == [2, 4, 8, 12]
  assert {record["suite"] for record in records} == {"heldout"}
  assert len({record["exam"] for record in records}) == 1
  lines = {
    line["step"]: line for line in metrics.read(straight / "metrics.jsonl")
  }
  for record in records:
    graded = from_record(record)
    for name, value in summarize(graded).items():
      logged = lines[record["step"]][name]
      assert value == pytest.approx(logged, abs=1e-4), name


def test_sample_tasks_are_readable(straight):
  tasks = metrics.read(straight / "tasks.jsonl")
  assert {task["round"] for task in tasks} == {1, 2, 4, 6}
  assert {task["source"] for task in tasks} == {"random", "model"}
  for task in tasks:
    assert task["type"] in KINDS
    compile(task["program"], "task", "exec")
    if task["status"] == "accepted":
      assert task["input"] and task["output"]


def test_callbacks_and_host_learn_the_same(
  straight, experiment, saved, lasting, tmp_path
):
  """Also: a checkpoint is whole though the next round takes its buffers."""
  folder = tmp_path / "run"
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  assert main.main([*command, "--config.wiring=callback"]) == 0
  for number in (4, 6):
    mine, theirs = saved(folder, number), saved(straight, number)
    assert mine.keys() == theirs.keys()
    for path, leaf in mine.items():
      assert leaf.tobytes() == theirs[path].tobytes(), path
  # A mean may differ in its last bit: one compiled round fuses other sums.
  for one, other in zip(lasting(folder), lasting(straight), strict=True):
    assert one.keys() == other.keys()
    for name, value in one.items():
      if value is None or other[name] is None:
        assert value == other[name], name
      else:
        np.testing.assert_allclose(value, other[name], 1e-5, 1e-6, err_msg=name)


@pytest.mark.slow
def test_a_run_by_the_prior_alone_is_saved_and_read_back(
  experiment, saved, tmp_path
):
  folder = tmp_path / "run"
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  command += ["--config.propose.model_share=0.0", "--config.rounds=2"]
  assert main.main(command) == 0
  assert not [path for path in saved(folder) if "rollout" in path]
  assert main.main(command) == 0  # nothing left to do
  tasks = metrics.read(folder / "tasks.jsonl")
  assert {task["source"] for task in tasks} == {"random"}


def test_another_seed_is_another_run(
  straight, experiment, saved, lasting, tmp_path
):
  folder = tmp_path / "run"
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  assert main.main([*command, "--config.seed=1"]) == 0
  mine, theirs = saved(folder), saved(straight)
  differ = [p for p in mine if mine[p].tobytes() != theirs[p].tobytes()]
  assert any("embedding" in p for p in differ)
  assert any("pool" in p and "program" in p for p in differ)
  assert lasting(folder)[0] != lasting(straight)[0]


def test_a_loss_that_is_not_finite_stops_the_run(
  experiment, tmp_path, monkeypatch, capfd, straight, saved
):
  folder = tmp_path / "run"
  whole = build.build_round

  def broken(config, judge, background):
    one_round = whole(config, judge, background)

    def breaks_in_the_third(state):
      if int(state.round) == 2:
        spoil = lambda x: x * jnp.nan  # noqa: E731
        with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed"):
          jax.tree.map(spoil, state.params["model"])  # a number from the host
        with jax.transfer_guard("allow"):
          model = jax.tree.map(spoil, state.params["model"])
        state = state.replace(params=state.params | {"model": model})
      return one_round.step(state)

    return one_round._replace(step=breaks_in_the_third)

  monkeypatch.setattr(build, "build_round", broken)
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  assert main.main(command) == 1
  said = capfd.readouterr().err.splitlines()[-1]
  assert "nan at update 6" in said
  assert "last good checkpoint is round 2" in said
  with checkpoint.opened(folder, create=False) as checkpoints:
    assert checkpoints.last() == 2
  assert all(np.isfinite(leaf).all() for leaf in saved(folder).values())
  steps = [line["step"] for line in metrics.read(folder / "metrics.jsonl")]
  assert steps == [2, 4]
