"""Arms beside each other, from their workdirs, as Markdown.

    python -m bitzero_jax.evaluate.compare runs/table [--control NAME]
    python -m bitzero_jax.evaluate.compare runs/table --lengths NAME

reads every run below a folder and takes runs whose configs differ in nothing
but the seed (and the name) as one arm. With a control, every other arm is
judged against it, task by task. With --lengths it prints the command of an
arm's length-matched control.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bitzero_jax.evaluate import diagnostics, primary
from bitzero_jax.evaluate.arms import Arm, differences, find, read
from bitzero_jax.evaluate.judgement import (
  BETTER_ON,
  EQUAL,
  Judgement,
  judge,
  shortfalls,
)
from bitzero_jax.evaluate.paired import Difference
from bitzero_jax.state import KINDS

# Two-sided 95 % points of Student's t by degrees of freedom.
_T95 = (math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
_MATCHED = "experiments/curriculum/length_matched.py"


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


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
  lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
  return [lines[0], "|---" * len(head) + "|", *lines[1:]]


def table(arms: Sequence[Arm]) -> list[str]:
  """The last evaluation of every arm: the primary measure, then the others."""
  head = ("arm", "seeds", "updates", "primary", *KINDS, "nll D/A/I", "constant")
  rows = []
  for arm in arms:
    runs = list(arm.runs.values())
    last = [_last(run.examined) for run in runs]
    scores = [[x[f"eval/{kind}"] for x in last] for kind in KINDS]
    declared = [
      primary.value(run.primary, x) for run, x in zip(runs, last, strict=True)
    ]
    nats = [[x.get(f"eval/nll/{kind}") for x in last] for kind in KINDS]
    rows.append(
      [
        arm.name,
        str(len(last)),
        str(max(x["step"] for x in last)),
        _cell([x for x in declared if x is not None]),
        *map(_cell, scores),
        "/".join(
          f"{statistics.fmean(known):.2f}" if known else "-"
          for known in ([x for x in row if x is not None] for row in nats)
        ),
        f"{max(x['eval/constant'] for x in last):.3f}",
      ]
    )
  return _markdown(head, rows)


def curve(arm: Arm) -> list[str]:
  """Held-out accuracy over time of one arm, mean over seeds, as Markdown."""
  rows = []
  runs = [run.examined for run in arm.runs.values()]
  for step in sorted(set.intersection(*map(set, runs))):
    here = [run[step] for run in runs]
    seconds = statistics.fmean(x["seconds"] for x in here)
    scores = [_cell([x[f"eval/{c}"] for x in here]) for c in KINDS]
    rows.append([str(step), f"{seconds:.0f}", *scores])
  return _markdown(("updates", "seconds", *KINDS), rows)


def against(arm: Arm, control: Arm) -> list[str]:
  """An arm judged against the control, at equal rows and equal wall-clock."""
  judgements = [judge(arm, control, equal) for equal in EQUAL]
  differ = differences(arm, control)
  lacks = shortfalls(arm, control, judgements[0])
  lines = [f"{arm.name} minus {control.name}", ""]
  lines += [f"WARNING: not only the curriculum differs: {x}" for x in differ]
  lines += [f"WARNING: too little for a win: {x}" for x in lacks]
  for judgement in judgements:
    lines += ["", *_judged(judgement)]
  won = not lacks and all(j.wins() for j in judgements)
  said = "yes" if won else "no"
  if won and differ:
    said = "yes, if what else differs is part of the curriculum"
  return [*lines, "", f"Win: {said}"]


def _judged(judgement: Judgement) -> list[str]:
  steps = ", ".join(f"{mine} and {theirs}" for mine, theirs in judgement.steps)
  rows = [
    [
      row.family,
      row.kind,
      *_difference(row.accuracy, False),
      *_difference(row.log_loss, True),
    ]
    for row in judgement.rows
  ]
  head = [
    "family",
    "type",
    "accuracy",
    "by seed",
    "",
    "log-loss",
    "by seed",
    "",
  ]
  named = [f"{f} {word}" for f, word in judgement.verdicts().items()]
  by = "log-loss" if judgement.by_log_loss else "accuracy"
  return [
    f"At equal {judgement.equal} (updates by seed, arm and control: {steps}):",
    "",
    *_markdown(head, rows),
    "",
    f"Rule (by {by}; better on at least {BETTER_ON} families, worse on none): "
    f"{'holds' if judgement.wins() else 'does not hold'} ({', '.join(named)})",
  ]


def _difference(found: Difference | None, less_is_better: bool) -> list[str]:
  if found is None:
    return ["-", "", ""]
  return [
    f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
    " ".join(f"{x:+.3f}" for x in found.by_seed),
    found.verdict(less_is_better),
  ]


def _seeds(arm: Arm) -> str:
  """The option that trains an arm's seeds, as its runs were trained."""
  seeds = sorted(arm.runs)
  if all(run.seeds == len(seeds) > 1 for run in arm.runs.values()):
    first = f"--config.seed={seeds[0]} " if seeds[0] else ""
    return f"{first}--config.seeds={len(seeds)}"
  return "--config.seed=SEED"


def length_command(arm: Arm) -> str:
  """The command that trains an arm's length-matched control.

  Raises:
    ValueError: the arm's runs logged no lengths.
  """
  lengths = diagnostics.trained_lengths(arm)
  if not lengths:
    raise ValueError(f"{arm.name!r} logged no trained/lengths")
  text = ",".join(f"{share:g}" for share in lengths)
  return (
    f"bitzero train --config={_MATCHED} --workdir=FOLDER {_seeds(arm)} "
    f"--config.curriculum.lengths='({text},)'"
  )


def _say(arms: list[Arm], control: str | None) -> list[str]:
  names = {run.primary for arm in arms for run in arm.runs.values()}
  said = [f"Primary measure: {primary.PRIMARY[name].words}" for name in names]
  lines = [*said, "", *table(arms), "", *diagnostics.table(arms)]
  for arm in arms:
    lines += ["", arm.name, "", *curve(arm)]
  if control is not None:
    against_it = find(arms, control)
    for arm in arms:
      if arm is not against_it:
        lines += ["", *against(arm, against_it)]
  return lines


def main(arguments: Sequence[str]) -> int:
  """Prints the tables; the exit status is 2 where they cannot be made."""
  parser = argparse.ArgumentParser(
    prog="python -m bitzero_jax.evaluate.compare", description="Compares arms."
  )
  parser.add_argument("folder", help="runs lie below it")
  parser.add_argument("--control", help="arm to judge the others against")
  parser.add_argument("--lengths", help="arm whose control's command to print")
  options = parser.parse_args(arguments)
  try:
    arms = read(Path(options.folder))
    if options.lengths is not None:
      print(length_command(find(arms, options.lengths)))
    else:
      print("\n".join(_say(arms, options.control)))
  except ValueError as error:
    sys.stderr.write(f"compare: {error}\n")
    return 2
  return 0


if __name__ == "__main__":
  raise SystemExit(main(sys.argv[1:]))
