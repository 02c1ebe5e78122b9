"""A run that is killed again and again ends as one that nothing touched."""

import os
import random
import signal
import subprocess
import sys
import time

import orbax.checkpoint as ocp
import pytest

from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module")

KILLS, SAVE = 20, 5
LIFE = 2 * SAVE  # rounds that no life before has seen, at most, but for MOMENT
ROUNDS = 2 * KILLS * LIFE  # so that no machine is too fast to be killed
MOMENT = 0.1  # seconds at most: some rounds, or a save
START = 15  # seconds at most


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


def saving(folder):
  """Whether a save is under way, or was cut off."""
  found = (folder / "checkpoints").glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*")
  return any(found)


def live(process, folder, end, chance):
  """Waits for a moment that nobody chose.

  Args:
    end: of the life. "start" is before its first round; "round" after a number
      of rounds that no life before has seen; "save" in the save after these.
  """
  before, begin = written(folder), time.monotonic()
  due, until = before + chance.randint(1, LIFE), chance.uniform(0, START)

  def still(going):
    return going and process.poll() is None

  if end == "start":
    while still(written(folder) <= before) and time.monotonic() - begin < until:
      time.sleep(0.01)
    return
  while still(written(folder) < due):
    time.sleep(0.01)
  while still(end == "save" and not saving(folder)):
    time.sleep(0.001)
  time.sleep(chance.uniform(0, MOMENT))


@pytest.mark.slow
def test_kills_at_random_moments_lose_no_checkpoint(
  bitzero, experiment, same, tmp_path, capsys
):
  rounds = [f"--config.rounds={ROUNDS}", f"--config.every.save={SAVE}"]
  rounds += ["--config.every.evaluate=1000000", "--config.every.tasks=1000000"]
  folder, chance = tmp_path / "run", random.Random(8)
  command = ["train", f"--config={experiment}", *rounds]
  lost, saved, torn = [], 0, 0
  for _ in range(KILLS):
    end = chance.choice(("start", "round", "round", "save"))
    process = start([*command, f"--workdir={folder}"])
    try:
      live(process, folder, end, chance)
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
    torn += saving(folder)
    lost.append(written(folder) - saved)
    # The next save's round leaves its line, then waits for this one's end.
    assert lost[-1] <= 2 * SAVE
  done = bitzero(*command, f"--workdir={folder}")
  assert done.returncode == 0, done.stderr
  assert "cannot be read" not in done.stderr
  left = [p.name for p in (folder / "checkpoints").iterdir()]
  assert all(name.isdigit() for name in left), left
  whole = bitzero(*command, f"--workdir={tmp_path / 'whole'}")
  assert whole.returncode == 0, whole.stderr
  same(folder, tmp_path / "whole")
  assert torn  # or nothing is said of saves
  with capsys.disabled():
    print(f"\n{KILLS} kills, {torn} in a save, rounds lost by each: {lost}")
    print(f"saved round {saved} of {ROUNDS} at the last")
