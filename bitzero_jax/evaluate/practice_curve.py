"""Solved functions against seconds of practice, drawn from saved evaluations.

`python -m bitzero_jax.evaluate.practice_curve OUT.svg LABEL=FILE...` takes
files that `bitzero evaluate --practice=SECONDS --save` wrote; those of one
label are seeds of one arm.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitzero_jax.state import RIGHT

_POINTS = 241  # places in time where the curves are read


class Curve(NamedTuple):
  """When one run of one arm solved what it solved.

  Attributes:
    label: of the arm.
    solved_at: float [K], seconds, rising.
    seconds: that the run took.
  """

  label: str
  solved_at: np.ndarray
  seconds: float


def read(argument: str) -> Curve:
  """Reads LABEL=FILE.

  Raises:
    ValueError: there is no label, or the file holds no practice.
    OSError: it cannot be read.
  """
  label, _, path = argument.partition("=")
  if not path:
    raise ValueError(f"{argument!r} must be LABEL=FILE")
  saved = json.loads(Path(path).read_text(encoding="utf-8"))
  try:
    tasks, seconds = saved["tasks"], saved["scores"]["seconds"]
    rows = zip(tasks["grade/induction"], tasks["seconds"], strict=True)
    solved = sorted(at for grade, at in rows if grade == RIGHT)
  except (KeyError, TypeError):
    raise ValueError(f"{path}: no practised evaluation") from None
  return Curve(label, np.array(solved, float), float(seconds))


def counts(curves: Sequence[Curve], times: np.ndarray) -> np.ndarray:
  """Solved functions of each curve by each time: [C, T] from [T] seconds."""
  return np.array(
    [np.searchsorted(c.solved_at, times, side="right") for c in curves]
  )


def draw(curves: Sequence[Curve], out: Path) -> None:
  """Draws the mean of each arm, and the range of its seeds."""
  from matplotlib.figure import Figure

  times = np.linspace(0, max(c.seconds for c in curves), _POINTS)
  figure = Figure(figsize=(7, 4), layout="constrained")
  axes = figure.subplots()
  for label in dict.fromkeys(c.label for c in curves):
    mine = counts([c for c in curves if c.label == label], times)
    mean = mine.mean(axis=0)
    (line,) = axes.plot(times, mean, label=f"{label}: {mean[-1]:.3g}")
    if len(mine) > 1:
      axes.fill_between(
        times,
        mine.min(axis=0),
        mine.max(axis=0),
        color=line.get_color(),
        alpha=0.2,
        linewidth=0,
      )
  axes.set_xlabel("seconds, for all functions together")
  axes.set_ylabel("functions solved")
  axes.set_xlim(0, times[-1])
  axes.set_ylim(bottom=0)
  axes.grid(alpha=0.3)
  axes.legend(frameon=False)
  figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def main(arguments: Sequence[str]) -> int:
  """Entry point; returns the exit status."""
  if len(arguments) < 2:
    sys.stderr.write("practice_curve: OUT.svg LABEL=FILE...\n")
    return 2
  try:
    draw([read(argument) for argument in arguments[1:]], Path(arguments[0]))
  except (OSError, ValueError) as error:
    sys.stderr.write(f"practice_curve: {error}\n")
    return 2
  return 0


if __name__ == "__main__":
  raise SystemExit(main(sys.argv[1:]))
