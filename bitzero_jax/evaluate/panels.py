"""The page's line charts as data: which metrics share one, and its words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bitzero_jax.evaluate.figure import GREY
from bitzero_jax.evaluate.line_chart import line_chart
from bitzero_jax.evaluate.number_format import number, percent
from bitzero_jax.evaluate.series import Lines, readings

TYPES = ("deduction", "abduction", "induction")
COLORS = {
  "deduction": 0,
  "abduction": 1,
  "induction": 2,
  "propose": 3,
  "solve": 4,
  "model's tasks": 3,
  "random tasks": GREY,
}


class Panel(NamedTuple):
  """One line chart of the page.

  Attributes:
    title: its heading.
    axis: what the vertical axis counts.
    curves: legend name -> metric.
    note: a line below it.
    share: whether values are shares, shown in percent.
    from_zero: whether the axis must reach zero.
    smoothed: whether long curves show a running mean.
  """

  title: str
  axis: str
  curves: Mapping[str, str]
  note: str = ""
  share: bool = False
  from_zero: bool = True
  smoothed: bool = True


def _by_type(prefix: str) -> dict[str, str]:
  return {kind: f"{prefix}/{kind}" for kind in TYPES}


def _by_role(prefix: str) -> dict[str, str]:
  return {role: f"{prefix}/{role}" for role in ("propose", "solve")}


HELD_OUT = (
  Panel(
    "By task type",
    "share of answers right",
    {**_by_type("eval"), "best constant answer": "eval/constant"},
    "Tasks that training never sees.",
    share=True,
  ),
  Panel(
    "Log-loss by task type",
    "nats a token",
    _by_type("eval/nll"),
    "Of the gold answers to the same tasks. It can disagree with accuracy.",
  ),
  Panel(
    "Calibration error by task type",
    "expected calibration error",
    _by_type("eval/ece"),
    "Of the answer's probability. Abduction and induction have many right"
    " answers.",
  ),
  Panel(
    "Coverage at 95 % precision",
    "share of tasks",
    _by_type("eval/coverage_95"),
    "Most confident first, as far as 95 % are right.",
    share=True,
  ),
  Panel(
    "Tasks written by people",
    "share of answers right",
    _by_type("eval/human"),
    share=True,
  ),
)
TRAINING = (
  Panel(
    "Solve rate on fresh self-made tasks",
    "share of answers right",
    _by_type("solve_rate"),
    "Thin: each reading. Bold: running mean.",
    share=True,
  ),
  Panel("Total loss", "nats a token", {"total": "loss/total"}, from_zero=False),
  Panel(
    "Hindsight loss",
    "nats a token",
    _by_type("loss/hindsight"),
    "Supervised, on the answers that the executor gave.",
    from_zero=False,
  ),
  Panel(
    "Imitation loss",
    "nats a token",
    {"proposals": "loss/imitate"},
    "Cross-entropy of the proposals that the model copies.",
    from_zero=False,
  ),
  Panel(
    "Policy loss",
    "policy-gradient loss",
    _by_role("loss/policy"),
    from_zero=False,
  ),
)
PROPOSALS = (
  Panel(
    "Novelty",
    "share of candidates",
    {
      "new behaviour": "novelty/new_share",
      "duplicate": "novelty/duplicate_share",
    },
    share=True,
  ),
  Panel(
    "Pool",
    "count",
    {"tasks": "pool/size", "behaviours met": "novelty/behaviours"},
    smoothed=False,
  ),
  Panel(
    "Learnability",
    "mean learnability",
    {
      "model's tasks": "learnability/model",
      "random tasks": "learnability/random",
      "edits": "learnability/edit",
    },
    "A proposer is worth its cost only above random tasks.",
  ),
  Panel(
    "Solve rate by writer",
    "mean probability of the gold answer",
    {
      "model's tasks": "probe/model",
      "random tasks": "probe/random",
      "edits": "probe/edit",
    },
  ),
  Panel(
    "Learning progress",
    "rise of the solve rate in a round",
    {"model's tasks": "progress/model", "random tasks": "progress/random"},
    "On the round's own tasks, over its updates.",
  ),
  Panel(
    "Level of the language",
    "index",
    {"level": "level/index"},
    smoothed=False,
  ),
  Panel(
    "Program length",
    "mean tokens",
    {
      "model's tasks": "length/model",
      "random tasks": "length/random",
      "edits": "length/edit",
    },
  ),
  Panel(
    "Program depth",
    "mean levels",
    {
      "model's tasks": "depth/model",
      "random tasks": "depth/random",
      "edits": "depth/edit",
    },
  ),
  Panel(
    "Constant programs by source",
    "share of its candidates",
    {
      "model's tasks": "constant/model",
      "random tasks": "constant/random",
      "edits": "constant/edit",
    },
    share=True,
  ),
  Panel(
    "Known behaviour by source",
    "share of its candidates",
    {
      "model's tasks": "known/model",
      "random tasks": "known/random",
      "edits": "known/edit",
    },
    share=True,
  ),
)
COLLAPSE = (
  Panel(
    "Entropy",
    "nats a token",
    _by_role("entropy"),
    "Bad: a quick fall to near 0. Sampling stops exploring.",
  ),
  Panel(
    "Advantage collapse",
    "share of groups without signal",
    _by_role("advantage_collapse"),
    "Bad: near 100 %. All answers right or all wrong: no gradient.",
    share=True,
  ),
  Panel(
    "Duplicate share",
    "share of candidates",
    {"duplicates": "novelty/duplicate_share"},
    "Bad: rising all through. The proposer repeats itself.",
    share=True,
  ),
  Panel(
    "Ternary flip rate",
    "share of codes a round",
    {"codes changed": "ternary/flip_rate"},
    "Bad: 0 early (steps too small to move a code), or high to the end.",
    share=True,
  ),
  Panel(
    "Log-prob gap, sampler to learner",
    "nats",
    {"largest": "gap/logprob_max"},
    "Bad: anything but 0. Both must run the same quantized forward.",
    smoothed=False,
  ),
  Panel(
    "Executor doubts",
    "share of verdicts",
    {
      "unknown": "executor/unknown_rate",
      "two runs differ": "executor/flip_rate",
    },
    "Bad: unknown above 0.5 %. The machine is overloaded; a run stops.",
    share=True,
    smoothed=False,
  ),
)
CODES = (
  Panel(
    "Zero, clipped and dead",
    "share",
    {
      "zero codes": "ternary/zero_share",
      "clipped weights": "ternary/clipped_share",
      "dead outputs": "ternary/dead_outputs",
    },
    "Clipped: no gradient passes. Dead: a whole column of zeros. Bad: dead"
    " above 0.",
    share=True,
  ),
  Panel(
    "Drift of the scales",
    "mean |ln ratio| a round",
    {"scales": "ternary/scale_drift"},
    "Should die out with the learning rate.",
  ),
)
BITS = (
  Panel(
    "Stored bits over the run",
    "bits a weight",
    {"all weights": "bits/stored_per_weight"},
    smoothed=False,
  ),
)
SPEED = (
  Panel("Training rows", "rows a second", {"rows": "speed/rows_per_s"}),
  Panel("Tokens", "tokens a second", {"tokens": "speed/tokens_per_s"}),
  Panel("Tasks checked", "tasks a second", {"tasks": "speed/tasks_per_s"}),
  Panel("Peak memory", "MB", {"peak": "memory/peak_mb"}, smoothed=False),
  Panel(
    "Executor",
    "share of a round",
    {"device waits for it": "executor/share"},
    share=True,
  ),
)


def draw(lines: Lines, panels: Sequence[Panel]) -> list[str]:
  """The panels that have readings, as figures; "" for the others."""
  figures = []
  for panel in panels:
    curves = []
    for place, (name, key) in enumerate(panel.curves.items()):
      reference = key == "eval/constant"
      neutral = 6 if len(panel.curves) == 1 else place
      color = GREY if reference else COLORS.get(name, neutral)
      curve = readings(lines, key, name, color)
      curves.append(curve._replace(dashed=reference))
    figures.append(
      line_chart(
        panel.title,
        curves,
        axis=panel.axis,
        show=percent if panel.share else number,
        note=panel.note,
        from_zero=panel.from_zero,
        smoothed=panel.smoothed,
      )
    )
  return figures
