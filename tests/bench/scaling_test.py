"""More devices have more rows, and one round of them is the same round."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bitzero_jax import config as config_lib
from bitzero_jax.bench import scaling

ROOT = Path(__file__).parents[2]
FAKE = "--xla_force_host_platform_device_count=8"
TINY = [
  "--config=experiments/smoke.py",
  "--config.learn.updates=2",
  "--config.propose.candidates=24",
  "--config.solve.fresh_rows=8",
]
# Two rounds on as many devices, and of the same rows on one.
ROUNDS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import jax, numpy as np
from bitzero_jax import arguments, build
from bitzero_jax.bench import scaling
from bitzero_jax.verify.judge import Judge

devices = int(sys.argv[1])
config = arguments.read_config(sys.argv[2].partition("=")[2], sys.argv[3:])
config.wiring = "host"
with build.build_executor(config) as executor, ThreadPoolExecutor(1) as pool:
  for count in (devices, 1):
    grown = scaling.grown(config, devices)
    grown.mesh.data = count
    judge = Judge(executor, grown.language.pairs)
    one_round = build.build_round(grown, judge, pool)
    where = build.build_shardings(grown, build.build_mesh(grown))
    nobody = [np.zeros((0, 2), np.uint32)]
    (state,) = build.build_states(grown, nobody, where)
    state = one_round.begin(state)
    for _ in range(2):
      state, measured, _ = one_round.step(state)
    print(json.dumps({
      "loss": float(measured["loss/total"]),
      "rows": int(state.proposed.candidates.kind.shape[0]),
      "pool": np.asarray(state.pool.tasks.program).tolist(),
      "verdicts": int(state.verdicts),
    }))
"""


def process(*command):
  return subprocess.run(
    [sys.executable, *command],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": FAKE},
    capture_output=True,
    text=True,
    timeout=1800,
    check=False,
  )


def test_rows_grow_with_the_devices():
  config = config_lib.default()
  made = scaling.grown(config, 4)
  assert made.mesh.to_dict() == {"data": 4, "fsdp": 1, "tensor": 1}
  assert made.learn.rows == tuple(4 * rows for rows in config.learn.rows)
  assert made.propose.candidates == 4 * config.propose.candidates
  assert made.model == config.model
  assert config == config_lib.default()


def test_a_mesh_of_its_own_is_refused():
  config = config_lib.default()
  config.mesh.fsdp = 2
  with pytest.raises(ValueError, match=r"mesh\.fsdp=2, .* must be 1"):
    scaling.grown(config, 2)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4, 8])
def test_split_rows_make_the_same_round(devices):
  done = process("-c", ROUNDS, str(devices), *TINY)
  assert done.returncode == 0, done.stderr[-2000:]
  split, whole = map(json.loads, done.stdout.splitlines())
  assert split.pop("loss") == pytest.approx(whole.pop("loss"), rel=1e-4)
  assert split == whole  # programs, and what was asked, to the last bit
  assert split["rows"] == 24 * devices


@pytest.mark.slow
def test_a_line_for_each_number_of_devices():
  command = ["-m", "bitzero_jax.main", "bench", "loop", *TINY]
  done = process(*command, "--rounds=1", "--warm=1", "--devices=1,2")
  assert done.returncode == 0, done.stderr[-2000:]
  lines = done.stdout.splitlines()
  assert [line.split("|")[1].strip() for line in lines[2:4]] == [
    "1 x cpu",
    "2 x cpu",
  ]
  rows = [int(line.split("|")[2].replace(",", "")) for line in lines[2:4]]
  assert rows[1] == 2 * rows[0]
  assert lines[-1] == (
    "Devices of one CPU share its cores: these speeds say nothing."
  )


@pytest.mark.parametrize("devices", ["9", "1,two"])
def test_devices_that_are_not_there_are_refused(devices):
  command = ["-m", "bitzero_jax.main", "bench", "loop", *TINY]
  done = process(*command, f"--devices={devices}")
  assert done.returncode == 2
  assert done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert f"--devices={devices}" in line
