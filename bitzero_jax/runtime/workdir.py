"""The folder of a run: what makes it one, and who made it."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import jax

from bitzero_jax.config import BESIDE
from bitzero_jax.runtime import bucket

CONFIG_FILE = "config.json"
ENVIRONMENT_FILE = "environment.json"
PARAMETERS_FILE = "parameters.json"
EVALUATIONS_FOLDER = "evaluations"  # one file a suite
# A run may go on on other devices, and fit there in another way.
_MAY_CHANGE = ("mesh", "model.scan", "model.remat", *BESIDE)
_OF_SEED = re.compile(r"seed\d+")
_UNFINISHED = f"{CONFIG_FILE}.part"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def is_run(workdir: Path) -> bool:
  """Whether a run was started in this folder."""
  return (workdir / CONFIG_FILE).is_file()


def check(workdir: Path, config: dict[str, Any]) -> bool:
  """Whether the folder holds this very run, to be resumed. Writes nothing.

  Raises:
    ValueError: it is or lies in a file or a folder that cannot be written, has
      other things in it, or holds a run with another config; the message names
      the first difference.
  """
  if bucket.is_address(workdir):
    bucket.check(workdir)
  else:
    _check_disk(workdir)
  if not is_run(workdir):
    # A kill inside `begin` may leave its unfinished file.
    if workdir.is_dir() and {p.name for p in workdir.iterdir()} - {_UNFINISHED}:
      raise ValueError(
        f"--workdir={workdir} is not empty and holds no BitZero run"
      )
    return False
  saved = read_config(workdir)
  wanted = json.loads(json.dumps(config))
  for path, (old, new) in _differences(saved, wanted):
    if path.startswith(_MAY_CHANGE):
      continue
    raise ValueError(
      f"--workdir={workdir} holds a run with {path}={old!r}, not {new!r}: "
      "choose another --workdir, or the same config to resume"
    )
  return True


def _check_disk(workdir: Path) -> None:
  nearest = next(p for p in (workdir, *workdir.parents) if p.exists())
  if not nearest.is_dir():
    where = "" if nearest == workdir else f": {nearest}"
    raise ValueError(f"--workdir={workdir}{where} is not a folder")
  if not os.access(nearest, os.W_OK | os.X_OK):
    raise ValueError(f"--workdir={workdir}: {nearest} cannot be written")


def of_seed(workdir: Path, seed: int) -> Path:
  """Where the run of a seed lies, of several that are trained side by side."""
  return workdir / f"seed{seed}"


def check_shared(workdir: Path) -> None:
  """Refuses a folder that holds more than runs of several seeds.

  Raises:
    ValueError: it holds a run of its own, or other things.
  """
  if is_run(workdir):
    raise ValueError(
      f"--workdir={workdir} holds a run of its own: runs of several seeds need "
      "another"
    )
  names = [p.name for p in workdir.iterdir()] if workdir.is_dir() else []
  if not all(_OF_SEED.fullmatch(name) for name in names):
    raise ValueError(
      f"--workdir={workdir} holds other things than runs of several seeds"
    )


def read_config(workdir: Path) -> dict[str, Any]:
  """The frozen config of a run.

  Raises:
    ValueError: the folder holds no run, or its config is not JSON.
  """
  if not is_run(workdir):
    inner = sorted(workdir.glob(f"seed*/{CONFIG_FILE}"))
    hint = f", but {inner[0].parent} does" if inner else ""
    raise ValueError(f"--workdir={workdir} holds no BitZero run{hint}")
  try:
    return json.loads((workdir / CONFIG_FILE).read_text())
  except json.JSONDecodeError as error:
    raise ValueError(f"{workdir / CONFIG_FILE} is broken: {error}") from None


def _differences(old: Any, new: Any, path: str = ""):
  if isinstance(old, dict) and isinstance(new, dict):
    for name in sorted(set(old) | set(new)):
      inner = f"{path}.{name}" if path else name
      yield from _differences(old.get(name), new.get(name), inner)
  elif old != new:
    yield path, (old, new)


def begin(workdir: Path, config: str) -> None:
  """Creates the folder and freezes the config in it.

  Raises:
    OSError: the folder cannot be written.
  """
  with bucket.telling(workdir):
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = workdir / _UNFINISHED
    temporary.write_text(config)
    temporary.replace(workdir / CONFIG_FILE)


def write_json(path: Path, value: Any) -> None:
  """Writes indented JSON, whole or not at all."""
  temporary = path.with_suffix(".unfinished")
  with bucket.telling(path):
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.replace(path)


def check_engine(workdir: Path, engine: str) -> None:
  """Refuses to go on with another engine than the one that wrote the gold.

  Args:
    workdir: a run's folder.
    engine: name and version of the executor's engine, such as "cpython-3.11.7";
      the last number may differ.

  Raises:
    ValueError: the run's answers were made by another engine.
  """
  before = read_environment(workdir).get("engine", engine)
  if before.rpartition(".")[0] != engine.rpartition(".")[0]:
    raise ValueError(
      f"--workdir={workdir} holds answers of {before}, and this is {engine}: "
      "answers of two engines are not compared"
    )


def read_environment(workdir: Path) -> dict[str, Any]:
  """What `environment` was in the run's last process; empty where unknown."""
  path = workdir / ENVIRONMENT_FILE
  return json.loads(path.read_text()) if path.exists() else {}


def environment(engine: str, tier: str, seeds: int) -> dict[str, Any]:
  """Versions, revision, device, engine, sandbox and runs of this process."""
  device = jax.devices()[0]
  return {
    "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    "revision": _revision(),
    "python": platform.python_version(),
    "platform": platform.platform(),
    "cores": len(os.sched_getaffinity(0))
    if hasattr(os, "sched_getaffinity")
    else os.cpu_count(),
    "device": f"{len(jax.devices())} x {device.device_kind}",
    "engine": engine,
    "executor": tier,
    "seeds": seeds,
    **{name: importlib.metadata.version(name) for name in _PACKAGES},
  }


def _revision() -> str:
  here = Path(__file__).resolve().parent
  try:
    done = subprocess.run(
      ["git", "describe", "--always", "--dirty", "--abbrev=12"],
      cwd=here,
      capture_output=True,
      text=True,
      timeout=5,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return "unknown"
  return done.stdout.strip()
