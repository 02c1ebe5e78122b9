"""One device, eight devices and several processes are the same run.

Integers are equal to the last bit: tasks, pool, counters, keys. Floats are
summed in another order, and held to `CLOSE` over six rounds.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore:the load_module"),
]

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
SECONDS = 900  # after which a process counts as hung
ALL_AXES = [f"--config.mesh.{axis}=2" for axis in ("data", "fsdp", "tensor")]
# The command, whose judge writes down what it is asked, by process.
REMEMBERS = """
import json, sys
import jax
from bitzero_jax import main
from bitzero_jax.language.levels import LEVELS
from bitzero_jax.verify import judge

folder = sys.argv[1]

def remembering(name, rows_of):
  asked = getattr(judge.Judge, name)
  def ask(self, *arguments):
    rows = rows_of(arguments[0])
    if rows:
      with open(f"{folder}/{name}{jax.process_index()}", "a") as file:
        file.write(json.dumps(rows) + "\\n")
    return asked(self, *arguments)
  setattr(judge.Judge, name, ask)

def training(record):  # and not of an exam, whose programs are longer
  if record.program.shape[1] == LEVELS["small"].program:
    return record.program.tolist()

remembering("check", training)
remembering("grade", training)
sys.exit(main.main(sys.argv[2:]))
"""
# The same, which in process 1 sends itself a signal after its third check.
SIGNALLED = """
import os, signal, sys
import jax
from bitzero_jax import main
from bitzero_jax.verify import judge

check, calls = judge.Judge.check, []

def check_and_meet(self, *arguments):
  calls.append(len(arguments[0].kind))
  if jax.process_index() == 1 and len(calls) == 3:
    os.kill(os.getpid(), signal.SIGTERM)
  return check(self, *arguments)

judge.Judge.check = check_and_meet
sys.exit(main.main(sys.argv[1:]))
"""
# The same, whose executor in process 1 dies for good at its third check.
DYING = """
import os, signal, sys
import jax
from bitzero_jax import main, run
from bitzero_jax.verify import dispatch, judge

run.ENOUGH_VERDICTS = 40
check, calls = judge.Judge.check, []

def no_worker(*arguments):
  raise OSError("no room for a process")

def check_or_die(self, *arguments):
  calls.append(len(arguments[0].kind))
  if jax.process_index() == 1 and len(calls) == 3:
    dispatch.Worker, dispatch._RETRY_SECONDS = no_worker, 0.0
    for pid in self.executor.worker_pids():
      os.kill(pid, signal.SIGKILL)
  return check(self, *arguments)

judge.Judge.check = check_or_die
sys.exit(main.main(sys.argv[1:]))
"""


def launch(arguments, *, processes=1, devices, script=None):
  """Runs the command in each of several processes; returns them, ended."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  flags = f"--xla_force_host_platform_device_count={devices}"
  start = ["-m", "bitzero_jax.main"] if script is None else ["-c", script]
  together = ["--distributed", f"--coordinator=127.0.0.1:{port}"]
  together += [f"--processes={processes}"]
  running = []
  with contextlib.ExitStack() as ended:
    for number in range(processes):
      mine = [*together, f"--process={number}"] if processes > 1 else []
      process = subprocess.Popen(
        [sys.executable, *start, *map(str, arguments), *mine],
        env=os.environ | {"XLA_FLAGS": flags},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
      )
      ended.callback(process.kill)
      running.append(process)
    for process in running:
      process.said = process.communicate(timeout=SECONDS)[1]
  return running


def train(experiment, folder, *more):
  return ["train", f"--config={experiment}", f"--workdir={folder}", *more]


def assert_same_run(saved, lasting, folder, other):
  mine, theirs = saved(folder), saved(other)
  assert mine.keys() == theirs.keys()
  for path, leaf in mine.items():
    if np.issubdtype(leaf.dtype, np.floating):
      np.testing.assert_allclose(leaf, theirs[path], **CLOSE, err_msg=path)
    else:
      np.testing.assert_array_equal(leaf, theirs[path], err_msg=path)
  for one, two in zip(lasting(folder), lasting(other), strict=True):
    for name in ("loss/total", "accept/rate", "solve_rate/deduction"):
      np.testing.assert_allclose(one[name], two[name], **CLOSE, err_msg=name)


def asked(folder, name, process):
  path = folder / f"{name}{process}"
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_eight_devices_are_one(experiment, straight, saved, lasting, tmp_path):
  folder = tmp_path / "run"
  (done,) = launch(train(experiment, folder, *ALL_AXES), devices=8)
  assert done.returncode == 0, done.said[-3000:]
  assert_same_run(saved, lasting, folder, straight)
  said = json.loads((folder / "environment.json").read_text())
  assert said["device"].startswith("8 x ")


@pytest.mark.parametrize("wiring", ["host", "callback"])
def test_two_processes_are_one_and_verify_each_row_once(
  wiring, experiment, straight, saved, lasting, tmp_path
):
  folder = tmp_path / "run"
  axes = ["--config.mesh.fsdp=4", "--config.mesh.tensor=2"]
  axes += [f"--config.wiring={wiring}"]
  both = launch(
    [tmp_path, *train(experiment, folder, *axes)],
    processes=2,
    devices=4,
    script=REMEMBERS,
  )
  for process in both:
    assert process.returncode == 0, process.said[-3000:]
  assert_same_run(saved, lasting, folder, straight)
  steps = [line["step"] for line in metrics.read(folder / "metrics.jsonl")]
  assert steps == [2, 4, 6, 8, 10, 12]  # written by one alone
  assert "done: step 12/12" in both[0].said
  assert "done:" not in both[1].said

  # A round asks of 24 candidates and 24 answers; a process of half of them.
  calls = 1 if wiring == "host" else 4  # a device, in one compiled round
  for name in ("check", "grade"):
    every = [asked(tmp_path, name, process) for process in (0, 1)]
    for mine in every:
      assert {len(rows) for rows in mine} == {12 // calls}
    rounds = 7 if (name, wiring) == ("check", "host") else 6  # one is ahead
    assert [len(mine) for mine in every] == [rounds * calls] * 2
  programs = saved(folder)["['proposed']['candidates']['program']"]
  if wiring == "host":
    last = [mine[-1] for mine in (asked(tmp_path, "check", p) for p in (0, 1))]
    np.testing.assert_array_equal(np.concatenate(last), programs)


def test_a_signal_to_one_process_saves_all_and_other_devices_go_on(
  bitzero, experiment, straight, saved, lasting, tmp_path
):
  folder = tmp_path / "run"
  both = launch(
    train(experiment, folder, "--config.mesh.fsdp=4", "--config.mesh.tensor=2"),
    processes=2,
    devices=4,
    script=SIGNALLED,
  )
  for process in both:
    assert process.returncode == 0, process.said[-3000:]
  (last,) = [
    line for line in both[0].said.splitlines() if "saved after" in line
  ]
  number = int(last.rpartition(" ")[2])
  assert last == f"process 1: SIGTERM: saved after round {number}"
  assert number < 6
  with checkpoint.opened(folder, create=False) as checkpoints:
    assert checkpoints.last() == number

  more = bitzero(*train(experiment, folder))
  assert more.returncode == 0, more.stderr
  assert f"resuming after round {number}\n" in more.stderr
  assert_same_run(saved, lasting, folder, straight)


def test_an_executor_that_dies_on_one_host_stops_all(experiment, tmp_path):
  both = launch(
    train(
      experiment,
      tmp_path / "run",
      "--config.mesh.data=2",
      "--config.rounds=40",
      "--config.every.evaluate=40",
    ),
    processes=2,
    devices=1,
    script=DYING,
  )
  for process in both:
    assert process.returncode == 1, process.said[-3000:]
    last = process.said.splitlines()[-1]
    assert "verdicts are Unknown at update" in last
    assert "above executor.unknown_limit=0.005" in last


def test_what_is_wrong_in_one_process_is_told_by_all(experiment, tmp_path):
  (tmp_path / "run").mkdir()
  (tmp_path / "run" / "thesis.tex").write_text("mine")
  both = launch(
    train(experiment, tmp_path / "run", "--config.mesh.data=2"),
    processes=2,
    devices=1,
  )
  for process in both:
    assert process.returncode == 2, process.said[-3000:]
    assert "is not empty and holds no BitZero run" in process.said
