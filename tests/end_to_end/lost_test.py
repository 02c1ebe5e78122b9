"""Of two processes one is killed: the other says so, and both resume."""

import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore:the load_module"),
]

KILLED = (1, 0, 1, 0)  # by turns
ROUNDS, SAVE = 400, 2
MOST_SECONDS = 1.5  # of a life, after its first round
OF_JAX = "another task died"  # when its coordinator, process 0, is gone
DEADLINE = 150  # JAX notices a process that is gone after up to 100 seconds


def launch(command, folder):
  """Both processes; what they say goes into files beside the folder."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  start = [sys.executable, "-m", "bitzero_jax.main", *command, "--distributed"]
  start += [f"--coordinator=127.0.0.1:{port}", "--processes=2"]
  both = []
  for number in (0, 1):
    with (folder.parent / f"said{number}").open("w") as said:
      process = subprocess.Popen(
        [*start, f"--process={number}"],
        env=os.environ | {"XLA_FLAGS": ""},
        stdout=subprocess.DEVNULL,
        stderr=said,
        start_new_session=True,
      )
    both.append(process)
  return both


def written(folder):
  """The newest round that left a line."""
  path = folder / "metrics.jsonl"
  lines = metrics.read(path) if path.is_file() else []
  return max((line["round"] for line in lines), default=0)


def test_whoever_is_left_says_so_and_the_same_command_goes_on(
  experiment, tmp_path, capsys
):
  folder, chance = tmp_path / "run", random.Random(8)
  command = ["train", f"--config={experiment}", f"--workdir={folder}"]
  command += ["--config.mesh.data=2", f"--config.rounds={ROUNDS}"]
  command += [f"--config.every.save={SAVE}", "--config.every.tasks=1000000"]
  command += ["--config.every.evaluate=1000000"]
  saved, told = 0, []
  for victim in KILLED:
    due = written(folder) + chance.randrange(1, 4)
    both = launch(command, folder)
    try:
      while written(folder) < due:
        assert [process.poll() for process in both] == [None, None]
        time.sleep(0.05)
      time.sleep(chance.uniform(0, MOST_SECONDS))
      both[victim].send_signal(signal.SIGKILL)
      begin = time.monotonic()
      status = both[1 - victim].wait(timeout=DEADLINE)
      seconds = time.monotonic() - begin
    finally:
      for process in both:
        process.kill()
        process.wait()
    said = [(tmp_path / f"said{number}").read_text() for number in (0, 1)]
    left = said[1 - victim]
    assert status != 0, left[-3000:]
    ours = f"bitzero: process {1 - victim} could not go on with the others"
    assert ours in left or (victim == 0 and OF_JAX in left), left[-3000:]
    # This life began where the one before had ended.
    assert (f"resuming after round {saved}\n" in said[0]) == (saved > 0)
    saved = max(checkpoint.held(folder), default=0)
    lost = written(folder) - saved
    assert lost <= 2 * SAVE  # as in `kill_test.py`
    told.append(
      f"process {victim} killed: the other left after {seconds:.1f} s with "
      f"{status}, {'in our words' if ours in left else 'in those of JAX'}; "
      f"{saved} rounds saved, {lost} lost"
    )
  assert saved > 0
  with capsys.disabled():
    print("", *told, sep="\n")
