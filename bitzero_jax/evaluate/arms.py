"""Finished runs, read from their workdirs and grouped into arms."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bitzero_jax.config import BESIDE
from bitzero_jax.evaluate.graded import Graded, from_record
from bitzero_jax.runtime import metrics, workdir

# What arms of one comparison may differ in without a warning.
FREE = ("name", "seed", "curriculum.", "propose.", *BESIDE)
OWN = ("name", "seed", "seeds", *BESIDE)  # what runs of one arm may differ in


class Sitting(NamedTuple):
  """One model on one exam, after `step` updates.

  `seconds` are those of the run since its first metric line: what was compiled
  before, or found in the cache, is left out.
  """

  step: int
  seconds: float
  graded: Graded


class Run(NamedTuple):
  """One run.

  Attributes:
    config: as it was frozen.
    seeds: runs that its process trained side by side, which share its seconds.
    lines: of `metrics.jsonl`.
    sittings: suite -> sittings, in the order of their steps.
  """

  config: dict[str, Any]
  seeds: int
  lines: list[dict[str, Any]]
  sittings: dict[str, list[Sitting]]

  @property
  def examined(self) -> dict[int, dict[str, Any]]:
    """Step -> the metric line of each held-out evaluation."""
    return {x["step"]: x for x in self.lines if "eval/deduction" in x}

  @property
  def primary(self) -> str:
    """The declared measure; runs from before there was one have accuracy."""
    return self.config["heldout"].get("primary", "accuracy")


class Arm(NamedTuple):
  """Runs that differ in their seed alone: seed -> run."""

  name: str
  runs: dict[int, Run]


def read(folder: Path) -> list[Arm]:
  """Finds the runs below a folder and groups them into arms.

  Two arms of one name are told apart by a number behind it.

  Raises:
    ValueError: there is no run with an evaluation below the folder, or two runs
      are alike in everything.
  """
  arms: dict[str, Arm] = {}
  for path in sorted(folder.rglob(workdir.CONFIG_FILE)):
    run = _read_run(path.parent)
    if run is None:
      continue
    shared = {k: v for k, v in run.config.items() if k not in OWN}
    key = json.dumps(shared, sort_keys=True)
    if key not in arms:
      taken = {arm.name for arm in arms.values()}
      arms[key] = Arm(_free_name(run.config["name"], taken), {})
    if run.config["seed"] in arms[key].runs:
      raise ValueError(
        f"{path.parent} has the config of another run below {folder}, its seed "
        "too: move one away"
      )
    arms[key].runs[run.config["seed"]] = run
  if not arms:
    raise ValueError(f"no run with an evaluation below {folder}")
  return list(arms.values())


def find(arms: list[Arm], name: str) -> Arm:
  """The arm of that name.

  Raises:
    ValueError: there is none; the message lists those that there are.
  """
  for arm in arms:
    if arm.name == name:
      return arm
  names = ", ".join(repr(arm.name) for arm in arms)
  raise ValueError(f"no arm is called {name!r}; there are {names}")


def differences(arm: Arm, control: Arm) -> list[str]:
  """Config keys, beyond what a curriculum is, in which two arms differ.

  Also how many runs shared a process, and so its seconds.
  """
  one, other = (next(iter(a.runs.values())) for a in (arm, control))
  mine, theirs = (
    dict(_flat(run.config)) | {"environment.seeds": run.seeds}
    for run in (one, other)
  )
  keys = sorted(mine.keys() | theirs.keys())
  return [
    f"{key}: {mine.get(key)!r} and {theirs.get(key)!r}"
    for key in keys
    if not key.startswith(FREE) and mine.get(key) != theirs.get(key)
  ]


def _read_run(folder: Path) -> Run | None:
  """A run, or None where nothing was evaluated yet."""
  path = folder / metrics.METRICS_FILE
  lines = metrics.read(path) if path.is_file() else []
  environment = workdir.read_environment(folder)
  run = Run(workdir.read_config(folder), environment.get("seeds", 1), lines, {})
  if not run.examined:
    return None
  begin = lines[0]["seconds"]
  seconds = {line["step"]: line["seconds"] - begin for line in lines}
  records = []
  path = folder / metrics.GRADED_FILE
  if path.is_file():
    records = metrics.read(path)
  for path in sorted((folder / workdir.EVALUATIONS_FOLDER).glob("*.json")):
    saved = json.loads(path.read_text())
    if saved["tasks"]:
      records.append(saved["tasks"] | {"step": saved["scores"]["step"]})
  for record in records:
    mine = run.sittings.setdefault(record["suite"], [])
    step = record["step"]
    if step in seconds and step not in [sitting.step for sitting in mine]:
      mine.append(Sitting(step, seconds[step], from_record(record)))
      mine.sort(key=lambda sitting: sitting.step)
  return run


def _free_name(name: str, taken: set[str]) -> str:
  names = (f"{name} ({number})" for number in itertools.count(2))
  return next(n for n in itertools.chain([name], names) if n not in taken)


def _flat(
  tree: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f"{prefix}{name}.")
    else:
      yield prefix + name, value
