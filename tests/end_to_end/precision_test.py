"""Runs whose precision moves: what they say, keep and leave behind."""

import json
import shutil

import pytest

from bitzero_jax.runtime import metrics

pytestmark = pytest.mark.filterwarnings("ignore:the load_module")
KINDS = ("deduction", "abduction", "induction")
BUDGET = ["--config.precision.budget=3.0", "--config.precision.freeze=0.5"]


@pytest.fixture(scope="module")
def train(bitzero, experiment):
  def run(folder, *options):
    done = bitzero(
      "train", f"--config={experiment}", f"--workdir={folder}", *options
    )
    assert done.returncode == 0, done.stderr
    return metrics.read(folder / "metrics.jsonl")

  return run


@pytest.fixture(scope="module")
def allocated(train, tmp_path_factory):
  folder = tmp_path_factory.mktemp("allocated") / "run"
  return folder, train(folder, *BUDGET)


def test_a_budget_is_kept_from_the_freeze_on(allocated):
  folder, lines = allocated
  bits = [line["bits/stored_per_weight"] for line in lines]
  assert all(b > 3.0 for b in bits[:2])  # as many as the chances expect
  assert all(b <= 3.0 for b in bits[2:])
  rows = json.loads((folder / "parameters.json").read_text())
  kernels = [row for row in rows if row["path"].endswith("kernel")]
  assert [row["planes"] for row in kernels] == lines[-1]["precision/planes"]
  size = sum(row["parameters"] for row in kernels)
  spent = sum(row["parameters"] * row["stored_bits"] for row in kernels)
  assert spent / size == pytest.approx(bits[-1])
  assert {row["planes"] for row in kernels} > {1}


def test_sampler_and_learner_agree_while_precision_moves(allocated):
  _, lines = allocated
  assert all(line["gap/logprob_max"] < 1e-4 for line in lines)


def test_what_was_allocated_is_sat_and_solved(allocated, bitzero):
  folder, lines = allocated
  done = bitzero("evaluate", f"--workdir={folder}", "--suite=heldout", "--json")
  assert done.returncode == 0, done.stderr
  scores = json.loads(done.stdout)
  assert scores["deduction"] == pytest.approx(lines[-1]["eval/deduction"])


def test_until_the_freeze_a_model_is_said_to_be_unfinished(
  allocated, bitzero, tmp_path
):
  folder, _ = allocated
  early = tmp_path / "early"
  shutil.copytree(folder, early)
  config = json.loads((early / "config.json").read_text())
  config["rounds"] = 60  # so that all of its rounds lie before the freeze
  (early / "config.json").write_text(json.dumps(config))
  example = "[1]->[2]"
  done = bitzero("solve", example, f"--workdir={early}", "--samples=1")
  assert done.returncode in (0, 3), done.stderr
  assert "round 6: precision still moves" in done.stderr
  done = bitzero("solve", example, f"--workdir={folder}", "--samples=1")
  assert "still moves" not in done.stderr


def test_an_allocation_resumes_to_the_last_bit(
  allocated, train, same, tmp_path
):
  folder, _ = allocated
  again = tmp_path / "again"
  shutil.copytree(folder, again)
  shutil.rmtree(again / "checkpoints" / "6")
  train(again, *BUDGET)
  same(folder, again)


@pytest.mark.slow
@pytest.mark.parametrize(
  "allocator", ["learned", "measured", "sensitivity", "random"]
)
def test_groups_of_outputs_have_planes_of_their_own(
  train, bitzero, tmp_path, allocator
):
  folder = tmp_path / "run"
  lines = train(
    folder,
    *BUDGET,
    "--config.precision.groups=4",
    f"--config.precision.allocator={allocator}",
  )
  assert all(line["gap/logprob_max"] < 1e-4 for line in lines)
  bits = lines[-1]["bits/stored_per_weight"]
  assert 2.0625 < bits <= 3.0
  rows = json.loads((folder / "parameters.json").read_text())
  kernels = [row for row in rows if row["path"].endswith("kernel")]
  planes = [k for row in kernels for k in row["groups"]]
  assert planes == lines[-1]["precision/planes"]
  assert any(len(set(row["groups"])) > 1 for row in kernels)
  size = sum(row["parameters"] for row in kernels)
  spent = sum(row["parameters"] * row["stored_bits"] for row in kernels)
  assert spent / size == pytest.approx(bits)
  done = bitzero("evaluate", f"--workdir={folder}", "--suite=heldout", "--json")
  assert done.returncode == 0, done.stderr
  scores = json.loads(done.stdout)
  assert scores["deduction"] == pytest.approx(lines[-1]["eval/deduction"])
  assert (
    "planes of groups of its outputs" in (folder / "report.html").read_text()
  )
  out = tmp_path / "model"
  done = bitzero(
    "export", f"--workdir={folder}", "--format=packed", f"--out={out}"
  )
  assert done.returncode == 2
  assert "config.precision.groups=4 must be 1 for export" in done.stderr
  assert not out.exists()


@pytest.mark.slow
def test_one_weight_set_says_what_fewer_planes_cost(
  train, bitzero, allocated, tmp_path
):
  folder = tmp_path / "run"
  lines = train(
    folder, "--config.precision.depths=(1,3)", "--config.precision.gap=0.5"
  )
  for line in lines:
    assert line["loss/planes/1"] > 0
    assert abs(line["precision/gap/random"]) <= 1
  tasks = (tmp_path / "run" / "tasks.jsonl").read_text().splitlines()
  assert all("gap" in json.loads(task) for task in tasks)
  command = ["evaluate", "--suite=heldout", "--dynamic"]
  done = bitzero(*command, f"--workdir={folder}", "--save")
  assert done.returncode == 0, done.stderr
  saved = json.loads(
    (folder / "evaluations" / "heldout_dynamic.json").read_text()
  )
  static = [p for p in saved["scores"]["points"] if p["rule"] == "static"]
  mean = sum(lines[-1][f"eval/{kind}"] for kind in KINDS) / 3
  assert static[-1]["accuracy"] == pytest.approx(mean)
  assert [p["bits"] for p in static] == [2.0625, 5.5]
  assert all(p["seconds"] > 0 for p in saved["scores"]["points"])
  done = bitzero("solve", "[1]->[1]", f"--workdir={folder}", "--samples=64")
  assert "planes of the model's weights" in done.stderr
  assert bitzero("report", f"--workdir={folder}").returncode == 0
  assert "planes follow the task" in (folder / "report.html").read_text()
  done = bitzero(*command, f"--workdir={allocated[0]}")
  assert done.returncode == 2
  assert "--dynamic needs a run with precision.depths" in done.stderr


@pytest.mark.slow
def test_stairs_and_ramps_end_in_full_quantization(train, tmp_path):
  lines = train(
    tmp_path / "run",
    "--config.precision.planes=(3,1)",
    "--config.precision.planes_at=(0.5,)",
    "--config.precision.ramp_weights=0.5",
    "--config.precision.ramp_activations=0.5",
  )
  flips = [line["ternary/flip_rate"] for line in lines]
  assert flips[2] > 0.3  # three planes become one
  bits = [line["bits/stored_per_weight"] for line in lines]
  assert bits == pytest.approx([5.5, 5.5, 2.0625, 2.0625, 2.0625, 2.0625])
  rows = json.loads((tmp_path / "run" / "parameters.json").read_text())
  kernels = [row for row in rows if row["path"].endswith("kernel")]
  assert {row["planes"] for row in kernels} == {1}
