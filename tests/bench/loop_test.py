"""The phases of a round are timed on the round that training runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bitzero_jax.bench import loop

ROOT = Path(__file__).parents[2]
SMOKE = "--config=experiments/smoke.py"


def bitzero(*arguments):
  return subprocess.run(
    [sys.executable, "-m", "bitzero_jax.main", "bench", "loop", *arguments],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def test_a_round_is_measured_phase_by_phase():
  done = bitzero(SMOKE, "--rounds=2", "--warm=1", "--config.learn.updates=2")
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  names = [line.split("|")[1].strip() for line in lines[2:-4]]
  assert names == list(loop.PHASES)
  seconds = dict(re.findall(r"^\| (\w+) \| ([\d.]+) \|", done.stdout, re.M))
  phases = sum(float(seconds[name]) for name in loop.PHASES)
  assert phases == pytest.approx(float(seconds["all"]), abs=0.004)
  assert "rows/s" in lines[-1] and "executor" in lines[-1]
  assert "round 3 of 3, phase by phase" in done.stderr
  assert "round 2 of 2, whole" in done.stderr


@pytest.mark.parametrize(
  "arguments",
  [
    [SMOKE, "--rounds=0"],
    [SMOKE, "--warm=-1"],
    [SMOKE, "--config.no.key=1"],
    ["--config=nowhere.py"],
  ],
)
def test_bad_input_is_one_line(arguments):
  done = bitzero(*arguments)
  assert done.returncode == 2
  assert done.stdout == ""
  assert len(done.stderr.splitlines()) == 1
