"""Bad input is one line and exit status 2, and nothing is written."""

import json
import shutil

import pytest

from bitzero_jax.evaluate import arms
from bitzero_jax.state import KINDS

PAIR = "[3,1,2]->[1,2,3]"
TOGETHER = (
  "train --config=x.py --workdir=x --distributed --coordinator=y:1".split()
)


def refused(done):
  """The one line that a refusal is."""
  assert done.returncode == 2, done.stderr
  assert done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert line.startswith("bitzero: ")
  return line


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    ([], "VERB"),
    (["frobnicate"], "invalid choice: 'frobnicate'"),
    (["train"], "--config"),
    (["train", "--config=x.py"], "--workdir"),
    (["evaluate"], "--workdir"),
    (["evaluate", "--workdir=x", "--suite=nope"], "invalid choice: 'nope'"),
    (["evaluate", "--workdir=x", "--samples=many"], "invalid int value"),
    (["evaluate", "--workdir=x", "--config.seed=1"], "unknown argument"),
    (
      ["evaluate", "--workdir=x", "--config.practice.kept=1"],
      "--config.practice.kept needs --practice=SECONDS",
    ),
    (["evaluate", "--workdir=x", "--practice=1", "--fast"], "unknown argument"),
    (
      ["evaluate", "--workdir=x", "--practice=1", "--samples=4"],
      "--practice takes no --samples",
    ),
    (["solve", "--workdir=x", PAIR, "--practice=long"], "invalid float value"),
    (
      ["solve", "--workdir=x", PAIR, "--practice=1", "--samples=4"],
      "--practice takes no --samples",
    ),
    (
      ["solve", "--workdir=x", PAIR, "--keep=y"],
      "--keep=y needs --practice=SECONDS",
    ),
    (
      ["train", "--config=x.py", "--workdir=x", "--practice=1"],
      "unknown argument '--practice=1'",
    ),
    (
      ["train", "--config=x.py", "--workdir=x", "--process=0"],
      "--process go with --distributed",
    ),
    (
      [*TOGETHER, "--processes=2"],
      "--distributed needs --process too",
    ),
    (
      [*TOGETHER, "--processes=2", "--process=2"],
      "--process=2 must be in 0 ... --processes - 1 = 1",
    ),
    (
      ["train", "--config=x.py", "--workdir=s3://bucket/run"],
      "--workdir=s3://bucket/run must be a folder or gs://BUCKET/FOLDER",
    ),
    (["report", "--workdir=x", "--fast"], "unknown argument '--fast'"),
    (["solve", "--workdir=x"], "examples"),
    (["solve", "--workdir=x", "[1 2]->[2]"], "example '[1 2]->[2]'"),
    (["solve", "--workdir=x", "[1]->[100]"], "ints from -99 to 99"),
    (["verify"], "file"),
    (["verify", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
  ],
)
def test_a_wrong_command_is_refused(bitzero, arguments, said):
  assert said in refused(bitzero(*arguments))


@pytest.mark.parametrize(
  ("override", "said"),
  [
    ("--config.learn.lr=1", "learn.lr: there is no such key"),
    ("--config.optimizer.learning_rat=1", "did you mean --config.optimizer."),
    ("--config.quant.weights=int5", "quant.weights='int5' must be one of"),
    ("--config.rounds=-1", "rounds=-1 must be above 0"),
    ("--config.rounds=1.5", "rounds=1.5"),
    ("--config.rounds=many", "rounds=many"),
    ("--config.learn.rows=(1,2)", "learn.rows=(1, 2) must be three"),
    ("--config.optimizer.learning_rate=nan", "learning_rate=nan"),
    ("--config.propose.candidates=25", "candidates=25 must be a multiple of 3"),
    ("--config.executor.workers=3", "workers=3"),
    ("--config.profile.steps=5,7", "profile.steps=(5, 7) must be the first"),
    ("--config.profile.steps=3,2", "profile.steps=(3, 2) must be the first"),
    ("--rounds=3", "unknown argument '--rounds=3'"),
  ],
)
def test_a_wrong_key_or_value_is_refused(
  bitzero, experiment, tmp_path, override, said
):
  folder = tmp_path / "run"
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  assert said in refused(bitzero(*command, override))
  assert not folder.exists()


def test_a_kernel_of_another_device_is_refused(bitzero, experiment, tmp_path):
  folder = tmp_path / "run"
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  options = "rollout=packed", "quant.product=integer", "quant.kernel=mosaic_tpu"
  changes = [f"--config.{option}" for option in options]
  said = refused(bitzero(*command, *changes))
  assert "quant.kernel='mosaic_tpu' runs on a tpu, and this process has" in said
  assert not folder.exists()


@pytest.mark.parametrize(
  ("text", "said"),
  [
    (None, "no such file"),
    ("x = = 1", "invalid syntax"),
    ("def get_config():\n  return 3", "int"),
    ("def get_config():\n  raise RuntimeError('odd')", "odd"),
    (
      "from bitzero_jax.config import default\n"
      "def get_config():\n  c = default()\n  c.learn.lr = 1.0\n  return c",
      "lr",
    ),
  ],
)
def test_a_wrong_experiment_file_is_refused(bitzero, tmp_path, text, said):
  file, folder = tmp_path / "mine.py", tmp_path / "run"
  if text is not None:
    file.write_text(text)
  done = bitzero("train", f"--config={file}", f"--workdir={folder}")
  assert said in refused(done)
  assert not folder.exists()


@pytest.mark.parametrize(
  ("inner", "said"),
  [
    ("thesis", "is not a folder"),
    ("thesis/run", "is not a folder"),
    ("", "no"),
  ],
)
def test_a_folder_of_somebody_else_is_left_alone(
  bitzero, experiment, tmp_path, inner, said
):
  (tmp_path / "thesis").write_text("mine")
  done = bitzero(
    "train", f"--config={experiment}", f"--workdir={tmp_path / inner}"
  )
  assert said in refused(done)
  assert [p.name for p in tmp_path.iterdir()] == ["thesis"]
  assert (tmp_path / "thesis").read_text() == "mine"


def test_a_run_with_another_config_is_left_alone(
  bitzero, experiment, straight, tmp_path
):
  folder = tmp_path / "run"
  folder.mkdir()
  shutil.copy(straight / "config.json", folder)
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  line = refused(bitzero(*command, "--config.seed=7"))
  assert "holds a run with seed=0, not 7" in line
  assert [p.name for p in folder.iterdir()] == ["config.json"]


def test_what_only_the_device_or_the_exam_shows_writes_nothing(
  bitzero, experiment, tmp_path
):
  folder = tmp_path / "run"
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  done = bitzero(*command, "--config.mesh.data=3")
  assert "is 3 devices, but this process has" in refused(done)
  done = bitzero(*command, "--config.heldout.tasks=4000")
  assert done.returncode == 2
  assert "held-out tasks found" in done.stderr.splitlines()[-1]
  assert not folder.exists()


@pytest.mark.parametrize("verb", ["evaluate", "report", "solve"])
def test_a_folder_that_holds_no_run_is_refused(bitzero, tmp_path, verb):
  folder = tmp_path / "nowhere"
  extra = [PAIR] if verb == "solve" else []
  assert str(folder) in refused(bitzero(verb, f"--workdir={folder}", *extra))
  assert not folder.exists()


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--suite=list_functions"], "--suite=list_functions needs --data=FILE"),
    (["--suite=cruxeval", "--data=nowhere"], "nowhere: No such file"),
    (["--data=nowhere"], "--suite=heldout takes no --data"),
    (["--samples=0"], "--samples=0 must be at least 1"),
  ],
)
def test_a_suite_without_its_data_is_refused(
  bitzero, straight, arguments, said
):
  done = bitzero("evaluate", f"--workdir={straight}", *arguments)
  assert said in refused(done)


@pytest.mark.parametrize("suite", ["heldout", "human"])
def test_evaluate_ends_in_one_json_object(bitzero, straight, suite):
  command = ["evaluate", f"--workdir={straight}", f"--suite={suite}"]
  done = bitzero(*command, "--json")
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  scores = json.loads(done.stdout.splitlines()[-1])
  assert (scores["suite"], scores["round"]) == (suite, 6)
  assert scores["tasks"] > 0
  for name in ("deduction", "abduction", "induction", "constant"):
    assert 0 <= scores[name] <= 1


def test_an_evaluation_is_saved_where_that_is_asked(
  bitzero, straight, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(straight, folder)
  command = ["evaluate", f"--workdir={folder}", "--suite=human"]
  done = bitzero(*command)
  assert done.returncode == 0, done.stderr
  assert not (folder / "evaluations").exists()
  assert "coverage at 95 %" in done.stdout
  assert "agreement" not in done.stdout
  done = bitzero(*command, "--samples=2", "--save")
  assert done.returncode == 0, done.stderr
  rows = [line.split() for line in done.stdout.splitlines()]
  assert [row[0] for row in rows if row[1:2] == ["agreement"]] == list(KINDS)
  saved = json.loads((folder / "evaluations" / "human.json").read_text())
  assert (saved["scores"]["round"], saved["scores"]["step"]) == (6, 12)
  for field in ("grade", "probability", "agreement"):
    assert len(saved["tasks"][f"{field}/abduction"]) == 172


def test_solve_says_whether_it_found_a_program(bitzero, straight):
  easy = bitzero("solve", f"--workdir={straight}", "--samples=64", "[1]->[1]")
  nothing = easy.stdout.startswith("no sampled program fits")
  assert easy.returncode == (3 if nothing else 0), easy.stderr
  odd = "[3,1,2]->[20,7,11,2]; [1]->0; [2]->[19]; [5,5]->13"
  hard = bitzero("solve", f"--workdir={straight}", "--samples=8", odd)
  assert hard.returncode == 3, hard.stderr
  assert hard.stdout.startswith("no sampled program fits all 4 examples")


def test_report_is_written_again(bitzero, straight, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(straight, folder)
  (folder / "report.html").unlink()
  done = bitzero("report", f"--workdir={folder}")
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == str(folder / "report.html")
  assert (folder / "report.html").stat().st_size > 0


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--practice=0", "--config.practice.kept=1"], "=0 must be above 0"),
    (["--practice=nan"], "--practice=nan must be above 0 seconds"),
    (
      ["--practice=9", "--config.seed=1"],
      "--config.seed: only --config.practice.KEY may change",
    ),
    (
      ["--practice=9", "--config.practice.keep=1"],
      "there is no such key; did you mean --config.practice.kept",
    ),
    (
      ["--practice=9", "--config.practice.programs=100"],
      "practice.programs=100 must be a multiple of 256",
    ),
    (["--practice=9", "--config.practice.kept=few"], "kept=few"),
    (["--practice=9", "--keep=."], "--keep=. is not empty"),
  ],
)
def test_practice_that_cannot_be_is_refused(bitzero, straight, arguments, said):
  done = bitzero("solve", f"--workdir={straight}", PAIR, *arguments)
  assert said in refused(done)


def test_practice_says_what_it_found_and_keeps_what_it_learned(
  bitzero, straight, saved, tmp_path
):
  folder = tmp_path / "kept"
  done = bitzero(
    "solve",
    f"--workdir={straight}",
    "[3,1,2]->[2,3]; [5,4]->[5]; [9,1,4,2]->[2,4,9]",
    "--practice=60",
    "--config.practice.writer=search",
    "--config.practice.updates=1",
    "--config.practice.rows=(2,2,4)",
    f"--keep={folder}",
  )
  assert done.returncode == 0, done.stderr
  first, answer = done.stdout.splitlines()
  assert first.startswith("a program fits all 3 examples, found after")
  assert answer.strip() == "sorted(x)[1:]"
  assert done.stderr.splitlines()[0].startswith("compiling")
  old, new = saved(straight), saved(folder)
  assert old.keys() == new.keys()
  changed = {path for path in old if (old[path] != new[path]).any()}
  assert changed
  assert all("params" in path for path in changed)
  again = bitzero("solve", f"--workdir={folder}", "--samples=8", PAIR)
  assert again.returncode in (0, 3), again.stderr
  hard = "[3,1,2]->[20,7,11,2]; [1]->0; [2]->[19]; [5,5]->13"
  command = ["--practice=0.5", "--config.practice.lessons=none"]
  done = bitzero("solve", f"--workdir={folder}", hard, *command)
  assert done.returncode == 3, done.stderr
  assert done.stdout.startswith("no program fits all 4 examples after")


def test_a_practised_suite_is_saved_beside_the_others(
  bitzero, straight, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(straight, folder)
  done = bitzero(
    "evaluate",
    f"--workdir={folder}",
    "--practice=0.5",
    "--config.practice.writer=search",
    "--config.practice.lessons=none",
    "--json",
    "--save",
  )
  assert done.returncode == 0, done.stderr
  scores = json.loads(done.stdout.splitlines()[-1])
  assert scores["solved"] > 0
  path = folder / "evaluations" / "heldout_practised.json"
  assert json.loads(path.read_text())["scores"] == scores
  (run,) = arms.read(folder)[0].runs.values()
  (sitting,) = run.sittings["heldout_practised"]
  assert sitting.step == 12
