"""Held-out score against stored bits, drawn from runs of several precisions.

`python -m bitzero_jax.evaluate.bits_curve OUT.svg FOLDER` takes every run below
the folder. Arms with a budget are joined by their allocator, where the learned
one of earlier versions is another; every other arm is a point with its name.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bitzero_jax.config import default
from bitzero_jax.evaluate.arms import Arm, read
from bitzero_jax.evaluate.compare import spread
from bitzero_jax.state import KINDS

_SHARPNESS = default().precision.sharpness
# A key of configs while learned chances were logits that Adam moved.
_EARLIER = "dual_rate"
_TICKS = (2, 2.6, 3.5, 4.5, 5.5, 8.5, 16, 32)  # bits


class Point(NamedTuple):
  """An arm after its last evaluation.

  Attributes:
    group: what it is joined with and called by: an allocator, or its own name.
    bits: mean stored bits a weight, mean over the seeds.
    accuracy: mean over the task types, of each seed.
    nats: log-loss a token in the same way.
  """

  group: str
  bits: float
  accuracy: tuple[float, ...]
  nats: tuple[float, ...]


def point(arm: Arm) -> Point:
  """Reads an arm's point off its runs' metric lines."""
  runs = list(arm.runs.values())
  last = [run.examined[max(run.examined)] for run in runs]
  return Point(
    _group(arm.name, runs[0].config.get("precision", {})),
    statistics.fmean(line["bits/stored_per_weight"] for line in last),
    tuple(_mean(line, "eval/") for line in last),
    tuple(_mean(line, "eval/nll/") for line in last),
  )


def _group(name: str, precision: Mapping[str, Any]) -> str:
  if not precision.get("budget"):
    return name
  group, usual = f"{precision['allocator']} allocation", _SHARPNESS
  if precision["allocator"] == "learned" and _EARLIER in precision:
    group, usual = f"earlier {group}", 1.0
  if precision.get("sharpness", usual) != usual:
    group += f", sharpness {precision['sharpness']:g}"
  if precision.get("groups", 1) != 1:
    group += f", {precision['groups']} groups"
  return group


def _mean(line: Mapping[str, float], prefix: str) -> float:
  return statistics.fmean(line[prefix + kind] for kind in KINDS)


def draw(points: Sequence[Point], out: Path) -> None:
  """Draws both scores, with 95 % of Student's t over the seeds."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(11, 4.5), layout="constrained")
  accuracy, nats = figure.subplots(1, 2)
  groups: dict[str, list[Point]] = {}
  for one in sorted(points, key=lambda p: p.bits):
    groups.setdefault(one.group, []).append(one)
  for place, (group, mine) in enumerate(groups.items()):
    _draw(accuracy, group, [p.accuracy for p in mine], mine, place)
    _draw(nats, group, [p.nats for p in mine], mine, place)
  accuracy.set_title("accuracy, mean of types")
  nats.set_title("log-loss, nats a token, mean of types")
  for axes in (accuracy, nats):
    axes.set_xscale("log", base=2)
    axes.set_xticks(_TICKS)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("stored bits a weight")
    axes.grid(alpha=0.3)
  handles, labels = accuracy.get_legend_handles_labels()
  figure.legend(
    handles, labels, loc="outside right upper", frameon=False, fontsize=8
  )
  figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def _draw(
  axes: Any,
  group: str,
  scores: Sequence[Sequence[float]],
  points: Sequence[Point],
  place: int,
) -> None:
  sums = [spread(score) for score in scores]
  axes.errorbar(
    [p.bits for p in points],
    [mean for mean, _ in sums],
    yerr=[half for _, half in sums],
    label=group,
    color=f"C{place % 10}",
    marker="os^Dv<>p"[place % 8],
    markersize=5,
    capsize=2,
    linewidth=1,
  )


def main(arguments: Sequence[str]) -> int:
  """Entry point; returns the exit status."""
  if len(arguments) != 2:
    sys.stderr.write("bits_curve: OUT.svg FOLDER\n")
    return 2
  out, folder = map(Path, arguments)
  try:
    draw([point(arm) for arm in read(folder)], out)
  except (OSError, ValueError) as error:
    sys.stderr.write(f"bits_curve: {error}\n")
    return 2
  return 0


if __name__ == "__main__":
  raise SystemExit(main(sys.argv[1:]))
