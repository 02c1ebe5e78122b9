"""A run that is killed again and again ends as one that nothing touched."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module")

KILLS = 20
ROUNDS, SAVE = 600, 5
MOST_SECONDS = 1.5  # of a life, after its first round


def written(folder):
  """The newest round that left a line."""
  path = folder / "metrics.jsonl"
  lines = metrics.read(path) if path.is_file() else []
  return max((line["round"] for line in lines), default=0)


def start(command):
  return subprocess.Popen(
    [sys.executable, "-m", "bitzero_jax.main", *command],
    env=dict(os.environ),
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )


def live(process, folder, chance):
  """Waits for a moment that nobody chose: one life in four has no round."""
  before = written(folder)
  if chance.random() < 0.25:
    time.sleep(chance.uniform(0, 15))
    return
  while written(folder) <= before and process.poll() is None:
    time.sleep(0.05)
  time.sleep(chance.uniform(0, MOST_SECONDS))


@pytest.mark.slow
def test_kills_at_random_moments_lose_no_checkpoint(
  bitzero, experiment, same, tmp_path, capsys
):
  rounds = [f"--config.rounds={ROUNDS}", f"--config.every.save={SAVE}"]
  rounds += ["--config.every.evaluate=1000000", "--config.every.tasks=1000000"]
  folder, chance = tmp_path / "run", random.Random(8)
  command = ["train", f"--config={experiment}", *rounds]
  lost, saved = [], 0
  for _ in range(KILLS):
    process = start([*command, f"--workdir={folder}"])
    try:
      live(process, folder, chance)
      before = checkpoint.held(folder)
      ended = process.poll()
    finally:
      process.send_signal(signal.SIGKILL)
      said = process.communicate()[1]
    assert ended is None, f"it had ended by itself:\n{said[-3000:]}"
    assert "cannot be read" not in said
    if "resuming after" in said:
      assert f"resuming after round {saved}\n" in said
    held = checkpoint.held(folder)
    saved = max(held, default=0)
    assert saved >= max(before, default=0)  # what was whole is still there
    lost.append(written(folder) - saved)
    # The next save's round leaves its line, then waits for this one's end.
    assert lost[-1] <= 2 * SAVE
  done = bitzero(*command, f"--workdir={folder}")
  assert done.returncode == 0, done.stderr
  assert "cannot be read" not in done.stderr
  torn = [p.name for p in (folder / "checkpoints").iterdir()]
  assert all(name.isdigit() for name in torn), torn
  whole = bitzero(*command, f"--workdir={tmp_path / 'whole'}")
  assert whole.returncode == 0, whole.stderr
  same(folder, tmp_path / "whole")
  with capsys.disabled():
    print(f"\n{KILLS} kills, rounds lost by each: {lost}, saved at {saved}")
