"""Whether a curriculum won: every family of tasks, paired with the control.

The rule: better than the control outside the 95 % interval on at least two
families of held-out tasks and worse on none, at equal rows and at equal
wall-clock.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bitzero_jax.evaluate import paired
from bitzero_jax.evaluate.arms import Arm, Run, Sitting
from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.evaluate.paired import Difference
from bitzero_jax.evaluate.primary import PRIMARY

EQUAL = ("rows", "wall-clock")
NOT_MEASURED = "not measured"
BETTER_ON = 2  # families, for a win
ENOUGH_SEEDS = 3
ENOUGH_TASKS = 500  # of each type at the trained lengths, in each seed


class Family(NamedTuple):
  """Tasks that are judged together.

  Attributes:
    name: of the family.
    suite: whose tasks they are.
    where: Graded -> bool [n], which of the suite's tasks.
  """

  name: str
  suite: str
  where: Callable[[Graded], np.ndarray]


FAMILIES = (
  Family("trained lengths", "heldout", lambda g: ~g.beyond),
  Family("longer than trained", "heldout", lambda g: g.beyond),
  Family("human", "human", lambda g: ~g.beyond),
  Family("list functions", "list_functions", lambda g: g.bucket >= 0),
)


class Row(NamedTuple):
  """One family, or one task type of it.

  Attributes:
    family: its name.
    kind: the task type, or "mean".
    accuracy: arm minus control.
    log_loss: the same in nats a token; None where there is none.
  """

  family: str
  kind: str
  accuracy: Difference
  log_loss: Difference | None


class Judgement(NamedTuple):
  """An arm against its control in one way of being equal.

  Attributes:
    equal: "rows" or "wall-clock".
    rows: of the families that both arms sat.
    steps: updates of each arm's sittings on the held-out exam, by seed: the
      arm's and the control's.
    by_log_loss: whether the rule goes by log-loss and not by accuracy.
  """

  equal: str
  rows: list[Row]
  steps: list[tuple[int, int]]
  by_log_loss: bool

  def verdicts(self) -> dict[str, str]:
    """Family -> what the rule takes it for."""
    result = {family.name: NOT_MEASURED for family in FAMILIES}
    for row in self.rows:
      decides = row.log_loss if self.by_log_loss else row.accuracy
      if row.kind == "mean" and decides is not None:
        result[row.family] = decides.verdict(self.by_log_loss)
    return result

  def wins(self) -> bool:
    """Whether the rule holds, on the families that were measured."""
    said = list(self.verdicts().values())
    return said.count("better") >= BETTER_ON and "worse" not in said


def judge(arm: Arm, control: Arm, equal: str) -> Judgement:
  """Pairs every seed that both arms have, family by family.

  Args:
    arm, control: the arms.
    equal: "rows" takes the last step at which both sat the exam; "wall-clock"
      the arm's last sitting within the seconds of the control's last one, both
      without what came before their first metric line: compiling.

  Raises:
    ValueError: the arms share no seed, or `equal` is neither word.
  """
  if equal not in EQUAL:
    raise ValueError(f"equal={equal!r} must be one of {', '.join(EQUAL)}")
  seeds = sorted(arm.runs.keys() & control.runs.keys())
  if not seeds:
    raise ValueError(f"{arm.name!r} and {control.name!r} share no seed")
  runs = [(arm.runs[seed], control.runs[seed]) for seed in seeds]
  rows = []
  steps: list[tuple[int, int]] = []
  for family in FAMILIES:
    met = [_sittings(*both, family.suite, equal) for both in runs]
    both = [pair for pair in met if pair is not None]
    if len(both) < len(runs):
      continue
    if family.suite == "heldout":
      steps = [(mine.step, theirs.step) for mine, theirs in both]
    rows += _rows(family, [(a.graded, b.graded) for a, b in both])
  measure = PRIMARY[runs[0][1].primary]
  return Judgement(equal, rows, steps, measure.log_loss)


def shortfalls(arm: Arm, control: Arm, judgement: Judgement) -> list[str]:
  """What a win at equal rows would still lack, in words."""
  verdicts = judgement.verdicts().items()
  said = [f"{name}: {word}" for name, word in verdicts if word == NOT_MEASURED]
  seeds = sorted(arm.runs.keys() & control.runs.keys())
  if len(seeds) < ENOUGH_SEEDS:
    said.append(f"{len(seeds)} of at least {ENOUGH_SEEDS} seeds")
  for seed in seeds:
    sat = control.runs[seed].sittings.get("heldout", [])
    tasks = int((~sat[-1].graded.beyond).sum()) if sat else 0
    if tasks < ENOUGH_TASKS:
      said.append(f"seed {seed}: {tasks} of at least {ENOUGH_TASKS} tasks")
  return said


def _sittings(
  arm: Run, control: Run, suite: str, equal: str
) -> tuple[Sitting, Sitting] | None:
  """The sittings to compare, or None where there are none."""
  mine = {s.step: s for s in arm.sittings.get(suite, [])}
  theirs = {s.step: s for s in control.sittings.get(suite, [])}
  if equal == "rows":
    common = mine.keys() & theirs.keys()
    return (mine[max(common)], theirs[max(common)]) if common else None
  if not theirs:
    return None
  last = theirs[max(theirs)]
  within = [step for step, s in mine.items() if s.seconds <= last.seconds]
  return (mine[max(within)], last) if within else None


def _rows(family: Family, both: Sequence[tuple[Graded, Graded]]) -> list[Row]:
  kinds = list(both[0][0].grade)
  shared = len({control.exam for _, control in both}) == 1
  scored = all(len(control.nats) for _, control in both)

  def compare(which: Sequence[str], log_loss: bool) -> Difference:
    seeds = [
      paired.pair(arm, control, family.where(control), which, log_loss)
      for arm, control in both
    ]
    return paired.difference(seeds, shared)

  def row(name: str, which: Sequence[str]) -> Row:
    log_loss = compare(which, True) if scored else None
    return Row(family.name, name, compare(which, False), log_loss)

  types = [row(kind, [kind]) for kind in kinds] if len(kinds) > 1 else []
  return [row("mean", kinds), *types]
