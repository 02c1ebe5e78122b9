"""A run so small that it takes seconds, and the command that makes it."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence

import jax
import numpy as np
import pytest

from bitzero_jax.runtime import checkpoint, metrics

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENT = """
from bitzero_jax.config import default


def get_config():
  c = default()
  c.name = "tiny"
  c.rounds = 6
  c.wiring = "host"
  c.language.pairs, c.language.shown, c.language.spare = 6, 2, 2
  c.model.width, c.model.layers, c.model.hidden = 16, 1, 16
  c.model.heads, c.model.kv_heads = 2, 2
  c.propose.candidates, c.propose.model_share = 24, 0.5
  c.propose.references = 0
  c.solve.fresh_rows = 8
  c.learn.updates = 2
  c.learn.rows = (4, 4, 4)
  c.pool.capacity = 64
  c.optimizer.warmup = 2
  c.heldout.candidates, c.heldout.tasks = 512, 4
  c.heldout.output_share = 0.5
  c.every.tasks, c.every.evaluate, c.every.save = 2, 2, 2
  return c
"""
# Of the clock, the machine or one process: no two runs agree on these.
PASSING = ("seconds", "speed/", "memory/", "executor/")

Command = Callable[..., subprocess.CompletedProcess[str]]


def run(
  arguments: Sequence[str],
  given: str = "",
  script: str | None = None,
  timeout: int = 300,
) -> subprocess.CompletedProcess[str]:
  """The command in a process, and a process group, of its own."""
  start = ["-m", "bitzero_jax.main"] if script is None else ["-c", script]
  return subprocess.run(
    [sys.executable, *start, *map(str, arguments)],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    input=given,
    capture_output=True,
    text=True,
    timeout=timeout,
    start_new_session=True,
    check=False,
  )


@pytest.fixture(scope="session")
def bitzero() -> Command:
  """Runs `bitzero ARGUMENTS`, or a script in its place."""

  def command(*arguments, given="", script=None, timeout=300):
    return run(arguments, given, script, timeout)

  return command


@pytest.fixture(scope="session")
def experiment(tmp_path_factory) -> pathlib.Path:
  path = tmp_path_factory.mktemp("experiment") / "tiny.py"
  path.write_text(EXPERIMENT)
  return path


@pytest.fixture(scope="session")
def straight(tmp_path_factory, experiment) -> pathlib.Path:
  """The workdir of six rounds that nothing interrupted. Not to be changed."""
  folder = tmp_path_factory.mktemp("straight") / "run"
  done = run(["train", f"--config={experiment}", f"--workdir={folder}"])
  assert done.returncode == 0, done.stderr
  return folder


@pytest.fixture(scope="session")
def saved() -> Callable[..., dict[str, np.ndarray]]:
  """Reads every leaf of a checkpoint: (workdir, round or None for the last)."""

  def leaves(folder, number=None):
    with checkpoint.opened(folder, create=False) as checkpoints:
      state = checkpoints.read(checkpoints.last() if number is None else number)
    found = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(p): np.asarray(leaf) for p, leaf in found}

  return leaves


@pytest.fixture(scope="session")
def lasting() -> Callable[[pathlib.Path], list[dict]]:
  """Metric lines without what a second run cannot repeat."""

  def lines(folder):
    return [
      {k: v for k, v in line.items() if not k.startswith(PASSING)}
      for line in metrics.read(folder / metrics.METRICS_FILE)
    ]

  return lines


@pytest.fixture(scope="session")
def same(saved, lasting) -> Callable[[pathlib.Path, pathlib.Path], None]:
  """Asserts that two runs ended in the same state, bit for bit."""

  def check(one, other):
    mine, theirs = saved(one), saved(other)
    assert mine.keys() == theirs.keys()
    for path, leaf in mine.items():
      assert leaf.dtype == theirs[path].dtype, path
      assert leaf.tobytes() == theirs[path].tobytes(), path
    assert lasting(one) == lasting(other)

  return check
