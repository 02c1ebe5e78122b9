"""N rounds are k rounds, an end of any kind, and the same command again."""

import signal

import pytest

from bitzero_jax import main
from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module")

# The command, which after a chosen metric line meets a signal: its own, or one
# for the whole process group, as a terminal sends it. With a SIGKILL it waits
# for the save before, which would else be lost with it.
METS_A_SIGNAL = """
import os, pathlib, sys, time
from bitzero_jax import main
from bitzero_jax.runtime import metrics

number, step, wait = map(int, sys.argv[1:4])
send = os.killpg if sys.argv[4] == "group" else os.kill
folder = pathlib.Path(sys.argv[6].removeprefix("--workdir="))
write = metrics.MetricsWriter.write

def write_and_meet(self, at, values):
  write(self, at, values)
  if at == step:
    while wait and not (folder / "checkpoints" / str(wait)).is_dir():
      time.sleep(0.01)
    send(0 if send is os.killpg else os.getpid(), number)

metrics.MetricsWriter.write = write_and_meet
sys.exit(main.main(["train", *sys.argv[5:]]))
"""


@pytest.fixture
def command(experiment, tmp_path):
  return [f"--config={experiment}", f"--workdir={tmp_path / 'run'}"]


def test_a_killed_run_goes_on_bit_for_bit(
  bitzero, command, straight, same, tmp_path
):
  number, past = int(signal.SIGKILL), "10"
  killed = bitzero(number, past, 4, "own", *command, script=METS_A_SIGNAL)
  assert killed.returncode == -number, killed.stderr
  steps = [s["step"] for s in metrics.read(tmp_path / "run/metrics.jsonl")]
  assert steps == [2, 4, 6, 8, 10]  # one past the checkpoint of round 4

  again = bitzero("train", *command)
  assert again.returncode == 0, again.stderr
  assert "resuming after round 4" in again.stderr
  same(tmp_path / "run", straight)
  tasks = (tmp_path / "run/tasks.jsonl").read_text()
  assert tasks == (straight / "tasks.jsonl").read_text()
  with (
    checkpoint.opened(tmp_path / "run", create=False) as mine,
    checkpoint.opened(straight, create=False) as theirs,
  ):
    assert mine.best() == theirs.best()


@pytest.mark.slow
def test_what_a_curriculum_remembers_survives_a_kill(
  bitzero, command, same, tmp_path
):
  adds = [
    "--config.curriculum.name=progress",
    "--config.language.levels=('small','small','small','medium')",
    "--config.language.widen_rate=1e-9",
    "--config.language.widen_rounds=3",
  ]
  whole = [command[0], f"--workdir={tmp_path / 'whole'}", *adds]
  done = bitzero("train", *whole)
  assert done.returncode == 0, done.stderr
  number = int(signal.SIGKILL)
  killed = bitzero(number, 6, 2, "own", *command, *adds, script=METS_A_SIGNAL)
  assert killed.returncode == -number, killed.stderr
  again = bitzero("train", *command, *adds)
  assert "resuming after round 2" in again.stderr
  same(tmp_path / "run", tmp_path / "whole")
  levels = [
    line["level/index"] for line in metrics.read(tmp_path / "run/metrics.jsonl")
  ]
  assert levels == [1, 2, 3, 3, 3, 3]  # the third one after the kill


@pytest.mark.slow
def test_a_run_killed_before_any_save_starts_over(
  bitzero, command, straight, same, tmp_path
):
  number = int(signal.SIGKILL)
  killed = bitzero(number, 2, 0, "own", *command, script=METS_A_SIGNAL)
  assert killed.returncode == -number, killed.stderr
  assert main.main(["train", *command]) == 0
  same(tmp_path / "run", straight)


@pytest.mark.parametrize(
  ("number", "to"),
  [
    (signal.SIGTERM, "own"),
    pytest.param(signal.SIGINT, "group", marks=pytest.mark.slow),
  ],
)
def test_a_signal_saves_and_leaves(
  bitzero, command, saved, straight, tmp_path, number, to
):
  stopped = bitzero(int(number), 6, 0, to, *command, script=METS_A_SIGNAL)
  assert stopped.returncode == 0, stopped.stderr
  with checkpoint.opened(tmp_path / "run", create=False) as checkpoints:
    last = checkpoints.last()
  assert last in (3, 4)  # the round that ran, or the one that had begun
  assert f"{number.name}: saved after round {last}" in stopped.stderr
  assert (tmp_path / "run/report.html").is_file()

  assert main.main(["train", *command]) == 0
  steps = [s["step"] for s in metrics.read(tmp_path / "run/metrics.jsonl")]
  assert steps == [2, 4, 6, 8, 10, 12]
  mine, theirs = saved(tmp_path / "run"), saved(straight)
  assert mine.keys() == theirs.keys()
  for path, leaf in mine.items():
    assert leaf.tobytes() == theirs[path].tobytes(), path


def test_a_finished_run_has_nothing_left_to_do(bitzero, experiment, straight):
  kept = ("config.json", "metrics.jsonl", "tasks.jsonl")
  before = [(straight / name).read_bytes() for name in kept]
  rounds = sorted(p.name for p in (straight / "checkpoints").iterdir())
  again = bitzero("train", f"--config={experiment}", f"--workdir={straight}")
  assert again.returncode == 0, again.stderr
  assert "nothing left to do" in again.stderr
  assert "done: step 12/12" in again.stderr
  assert "compiling" not in again.stderr
  assert [(straight / name).read_bytes() for name in kept] == before
  assert sorted(p.name for p in (straight / "checkpoints").iterdir()) == rounds
