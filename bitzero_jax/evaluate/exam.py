"""The held-out exam: behaviours that training is barred from ever seeing."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.language import grammar, layout, prior, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level, build
from bitzero_jax.state import REASON, Candidates, Task
from bitzero_jax.verify.judge import Bounds, Judge

DISTINCT = 5  # different outputs among a task's pairs: no near-constants
BUCKETS = 4  # of program length; the last is longer than any trained
INPUTS = 8192  # inputs drawn; each program is run on a few of them
LONGER = 6  # tokens beyond the trained length, in the "long" bucket


class Exam(NamedTuple):
  """Tasks to be examined on. n = tasks; each is posed as every type.

  Attributes:
    tasks: Task with numpy arrays and B = n.
    pair: int32 [n], the pair that deduction and abduction ask about.
    bucket: int32 [n], index into `names`.
    names: buckets of program length; the last is longer than any trained.
    sizes: lengths, wide enough for the longest program.
    level: the language's level, with room for the longest program.
  """

  tasks: Task
  pair: np.ndarray
  bucket: np.ndarray
  names: tuple[str, ...]
  sizes: Sizes
  level: Level


def _buckets(level: Level) -> list[tuple[str, int, int]]:
  """Name, shortest and longest program of each bucket."""
  top = level.program
  cuts = [2, 4, 6, top + 1]
  rows = [
    (f"{low}-{high - 1}", low, high - 1)
    for low, high in itertools.pairwise(cuts)
  ]
  assert len(rows) == BUCKETS - 1
  return [*rows, (f"long {top + 1}-{top + LONGER}", top + 1, top + LONGER)]


def draw_candidates(
  level: Level, sizes: Sizes, weights: str, tried: int, rows: int, seed: int
) -> Candidates:
  """Different programs of every length, from the grammar's prior.

  Of `rows` programs drawn, each counts once; `tried` inputs for each.
  """
  key = jax.random.fold_in(jax.random.key(seed), 0x0E7A)
  budget_key, program_key, input_key = jax.random.split(key, 3)
  write_programs, write_inputs = _writers(level, sizes, weights, rows)
  programs = np.unique(write_programs(budget_key, program_key), axis=0)
  count = len(programs)
  which = np.random.default_rng(seed).integers(INPUTS, size=(count, tried))
  inputs = np.asarray(write_inputs(input_key))[which]
  zeros = np.zeros(count, np.int32)
  return Candidates(program=programs, inputs=inputs, kind=zeros, source=zeros)


@functools.lru_cache(maxsize=1)
def _writers(
  level: Level, sizes: Sizes, weights: str, rows: int
) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
  """Who writes programs and inputs: compiled once for the exams of all seeds.

  Returns:
    ((budget key, key) -> int32 [rows, Lp], key -> int32 [INPUTS, Lv]).
  """
  wide = level._replace(program=level.program + LONGER)
  tables = jax.tree.map(jnp.asarray, build(wide, weights))

  @jax.jit
  def write_programs(budget_key, key):
    budget = jax.random.randint(budget_key, (rows, 1), 2, wide.program + 1)
    plan = layout.program_plan(tables, rows)._replace(budget=budget)
    return prior.sample(tables, plan, key, sizes.program, sizes.slots)

  @jax.jit
  def write_inputs(key):
    plan = layout.argument_plan(tables, INPUTS)
    return prior.sample(tables, plan, key, sizes.value, sizes.slots)

  return write_programs, write_inputs


def build_exam(
  judge: Judge,
  level: Level,
  sizes: Sizes,
  bounds: Bounds,
  *,
  weights: str,
  tried: int,
  candidates: int,
  tasks: int,
  bar_share: float,
  output_share: float,
  seed: int,
) -> Exam:
  """Draws, runs and chooses the exam's tasks.

  Constants and the identity are left out, and each behaviour counts once, in
  the bucket of its shortest program. Outputs are kept diverse, so that no
  constant answer scores well.

  Args:
    judge: runs the programs.
    level: last level of the run.
    sizes: lengths of the run; the exam widens the program's.
    bounds: of values.
    weights: of the grammar's prior.
    tried: inputs drawn for each program.
    candidates: programs drawn.
    tasks: wanted for each bucket. The shortest bucket has too few behaviours:
      what it lacks is shared among the other trained lengths.
    bar_share: most of a bucket's behaviours that may be taken from training.
    output_share: most tasks, of all, that may share one output.
    seed: of the draw and of the choice.

  Raises:
    ValueError: too few behaviours were found; the message says what to raise.
  """
  sizes = sizes._replace(program=level.program + LONGER)
  drawn = draw_candidates(level, sizes, weights, tried, candidates, seed)
  drawn = _one_a_behaviour(judge, drawn, bounds)
  outcome = judge.check(drawn, bounds)
  if judge.failure is not None:
    raise judge.failure
  length = (drawn.program != grammar.PAD).sum(1)
  good = outcome.reason == REASON["accepted"]
  good &= _distinct_rows(outcome.outputs) >= DISTINCT
  found = np.flatnonzero(good)
  rng = np.random.default_rng(seed)

  known = sizes.shown + sizes.hidden
  buckets = _buckets(level)
  most = max(1, int(output_share * tasks * len(buckets)))
  outputs: dict[tuple[int, ...], int] = {}
  chosen: list[tuple[int, int, int]] = []
  lacking = 0
  for number, (_, low, high) in enumerate(buckets):
    mine = found[(length[found] >= low) & (length[found] <= high)]
    rng.shuffle(mine)
    trained = number < len(buckets) - 1
    left = max(1, len(buckets) - 1 - number)
    want = tasks + (lacking // left if trained else 0)
    room = int(bar_share * len(mine)) if trained else len(mine)
    taken = 0
    for i in mine[:room] if trained else mine:
      if taken == want:
        break
      pair = _uncommon(outcome.outputs[i, :known], outputs, most)
      if pair is not None:
        chosen.append((int(i), pair, number))
        taken += 1
    if trained:
      lacking += tasks - taken
  wanted = tasks * (len(buckets) - 1)
  trained_tasks = sum(number < len(buckets) - 1 for _, _, number in chosen)
  if trained_tasks < wanted:
    raise ValueError(
      f"only {trained_tasks} of {wanted} held-out tasks found: raise "
      f"heldout.candidates={candidates} or lower heldout.tasks={tasks}"
    )
  index, pair, bucket = (
    np.array(v, np.int32) for v in zip(*chosen, strict=True)
  )
  return Exam(
    tasks=Task(
      program=drawn.program[index],
      inputs=outcome.inputs[index, :known],
      outputs=outcome.outputs[index, :known],
      behaviour=outcome.behaviour[index],
      kind=drawn.kind[index],
      source=drawn.source[index],
    ),
    pair=pair,
    bucket=bucket,
    names=tuple(name for name, _, _ in buckets),
    sizes=sizes,
    level=level._replace(program=sizes.program),
  )


def _one_a_behaviour(
  judge: Judge, drawn: Candidates, bounds: Bounds
) -> Candidates:
  """The shortest program of each behaviour, constants and identities left out.

  One input each is enough to be told that, and most programs end here.
  """
  first = dataclasses.replace(drawn, inputs=drawn.inputs[:, :1])
  outcome = judge.check(first, bounds)
  dull = np.logical_or(outcome.constant, outcome.identity)
  length = (drawn.program != grammar.PAD).sum(1)
  shortest: dict[tuple[int, ...], int] = {}
  for i in np.flatnonzero(~dull):
    digest = tuple(outcome.behaviour[i].tolist())
    if digest not in shortest or length[i] < length[shortest[digest]]:
      shortest[digest] = int(i)
  return jax.tree.map(lambda leaf: leaf[sorted(shortest.values())], drawn)


def _distinct_rows(outputs: np.ndarray) -> np.ndarray:
  """Different outputs of each task: int [n] from [n, N, Lv]."""
  return np.array([len(np.unique(rows, axis=0)) for rows in outputs])


def _uncommon(
  outputs: np.ndarray, counts: dict[tuple[int, ...], int], most: int
) -> int | None:
  """The first pair whose output fewer than `most` tasks have, or None."""
  for pair, row in enumerate(outputs):
    text = render.strip(row)
    if counts.get(text, 0) < most:
      counts[text] = counts.get(text, 0) + 1
      return pair
  return None


def trained_lengths(exam: Exam) -> np.ndarray:
  """Which tasks have a program no longer than training's: bool [n]."""
  return exam.bucket < len(exam.names) - 1
