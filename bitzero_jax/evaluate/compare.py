"""Arms beside each other: held-out accuracy over seeds, from their workdirs.

    python -m bitzero_jax.evaluate.compare runs/table

reads every run below a folder, takes runs whose configs differ in nothing but
the seed (and the name) as one arm, and prints a Markdown table.
"""

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bitzero_jax.runtime import metrics, workdir

COLUMNS = ("deduction", "abduction", "induction")
# Two-sided 95 % points of Student's t by degrees of freedom.
_T95 = (math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


class Arm(NamedTuple):
  """Runs that differ in their seed alone.

  Attributes:
    name: of the config.
    runs: for each seed, step -> evaluation line.
  """

  name: str
  runs: tuple[dict[int, dict[str, Any]], ...]


def read(folder: Path) -> list[Arm]:
  """Finds the runs below a folder and groups them into arms.

  Raises:
    ValueError: there is no run with an evaluation below the folder.
  """
  groups: dict[str, list[dict[int, dict[str, Any]]]] = {}
  names: dict[str, str] = {}
  for path in sorted(folder.rglob(workdir.CONFIG_FILE)):
    config = workdir.read_config(path.parent)
    lines = metrics.read(path.parent / metrics.METRICS_FILE)
    examined = {x["step"]: x for x in lines if "eval/deduction" in x}
    if not examined:
      continue
    name, _ = config.pop("name"), config.pop("seed")
    key = json.dumps(config, sort_keys=True)
    names.setdefault(key, name)
    groups.setdefault(key, []).append(examined)
  if not groups:
    raise ValueError(f"no run with an evaluation below {folder}")
  return [Arm(names[key], tuple(runs)) for key, runs in groups.items()]


def spread(values: Sequence[float]) -> tuple[float, float]:
  """Mean, and half the width of its 95 % interval (NaN for one value)."""
  mean = statistics.fmean(values)
  freedom = len(values) - 1
  if not 0 < freedom < len(_T95):
    return mean, math.nan
  return mean, _T95[freedom] * statistics.stdev(values) / math.sqrt(len(values))


def _cell(values: Sequence[float]) -> str:
  mean, half = spread(values)
  return f"{mean:.3f}" if math.isnan(half) else f"{mean:.3f} ± {half:.3f}"


def _last(run: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
  return run[max(run)]


def table(arms: Sequence[Arm]) -> list[str]:
  """The last evaluation of every arm, as lines of Markdown."""
  head = ("arm", "seeds", "updates", *COLUMNS, "mean of 3", "best constant")
  lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
  for arm in arms:
    last = [_last(run) for run in arm.runs]
    scores = [[x[f"eval/{c}"] for x in last] for c in COLUMNS]
    mean = [statistics.fmean(row) for row in zip(*scores, strict=True)]
    constant = max(x["eval/constant"] for x in last)
    cells = [
      arm.name,
      str(len(last)),
      str(max(x["step"] for x in last)),
      *map(_cell, scores),
      _cell(mean),
      f"{constant:.3f}",
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return lines


def curve(arm: Arm) -> list[str]:
  """Held-out accuracy over time of one arm, mean over seeds, as Markdown."""
  head = ("updates", "seconds", *COLUMNS)
  lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
  common = sorted(set.intersection(*(set(run) for run in arm.runs)))
  for step in common:
    here = [run[step] for run in arm.runs]
    seconds = statistics.fmean(x["seconds"] for x in here)
    scores = [_cell([x[f"eval/{c}"] for x in here]) for c in COLUMNS]
    lines.append(
      "| " + " | ".join([str(step), f"{seconds:.0f}", *scores]) + " |"
    )
  return lines


def main(arguments: Sequence[str]) -> int:
  """Prints the table and every arm's curve."""
  if len(arguments) != 1:
    sys.stderr.write("usage: python -m bitzero_jax.evaluate.compare FOLDER\n")
    return 2
  try:
    arms = read(Path(arguments[0]))
  except ValueError as error:
    sys.stderr.write(f"compare: {error}\n")
    return 2
  print("\n".join(table(arms)))
  for arm in arms:
    print(f"\n{arm.name}\n\n" + "\n".join(curve(arm)))
  return 0


if __name__ == "__main__":
  raise SystemExit(main(sys.argv[1:]))
