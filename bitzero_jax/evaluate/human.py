"""Functions that people wrote, as an exam beside the grammar's own programs.

Unlike the held-out exam, nothing bars training from meeting these behaviours.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.language import grammar as g
from bitzero_jax.language import render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level
from bitzero_jax.language.render import Tokens
from bitzero_jax.state import REASON, REASONS, Candidates, Task
from bitzero_jax.verify.judge import Bounds, Judge

FILE = Path(__file__).with_name("human.jsonl")
NAMES = ("in reach", "beyond")
ASKED = 2  # tasks of each function, with different inputs

# Inputs that a person would try: short, digits, some repeats, some sorted.
INPUTS = (
  (3, 1, 2),
  (2, 1),
  (1, 2, 3),
  (4, 0, 2, 1),
  (2, 2, 1),
  (0, 3),
  (1, 1, 2, 3),
  (5, 3, 1),
  (3, 2, 4, 2),
  (1, 4),
  (2, 0, 1, 0, 3),
  (4, 3, 2, 1),
  (3, 3),
  (1, 0, 4),
  (2, 4, 1, 3, 0),
  (6, 2, 3),
)
_STRIDE = 7  # from one first input to the next; shares no factor with 16


class HumanFunction(NamedTuple):
  """One function.

  Attributes:
    name: what it does, in words.
    tokens: its program.
  """

  name: str
  tokens: Tokens


def load(path: str | Path = FILE) -> list[HumanFunction]:
  """Reads one function a line: JSON with `name` and `program`.

  Raises:
    ValueError: a line is no such JSON, or its program is not micro-Python; the
      message names the line.
  """
  functions = []
  lines = Path(path).read_text(encoding="utf-8").splitlines()
  for number, line in enumerate(lines, 1):
    try:
      row = json.loads(line)
      tokens = render.parse(row["program"])
      functions.append(HumanFunction(row["name"], tokens))
    except KeyError as error:
      raise ValueError(f"{path}:{number}: no field {error}") from None
    except (ValueError, TypeError) as error:
      raise ValueError(f"{path}:{number}: {error}") from None
  return functions


def in_reach(tokens: Tokens, level: Level) -> bool:
  """Whether a level's programs include this one."""
  for token in tokens:
    if g.FIRST_INT <= token < g.FIRST_PRODUCTION:
      if token > g.int_token(level.literal):
        return False
    elif g.PRODUCTIONS[token - g.FIRST_PRODUCTION].level not in level.rows:
      return False
  return len(tokens) <= level.program


def human_exam(
  judge: Judge,
  level: Level,
  sizes: Sizes,
  bounds: Bounds,
  functions: list[HumanFunction] | None = None,
) -> Exam:
  """Poses every function twice, on inputs that a person chose.

  Args:
    judge: runs the programs.
    level: last level of the run.
    sizes: lengths of the run; the exam widens the program's as needed.
    bounds: of values.
    functions: default those of `human.jsonl`.

  Returns:
    The exam. Its last bucket, "beyond", holds what the level cannot say:
    programs that are longer or use other productions. The deduction and
    abduction of a task ask about its first pair.

  Raises:
    ValueError: a function has too few values within bounds.
  """
  functions = load() if functions is None else functions
  width = max(sizes.program, *(len(f.tokens) for f in functions))
  programs = [render.pad(f.tokens, width) for f in functions]
  starts = [
    [(i + _STRIDE * turn) % len(INPUTS) for turn in range(len(INPUTS))]
    for i in range(len(functions))
  ]
  values = np.array([_value(v, sizes.value) for v in INPUTS], np.int32)
  values = np.stack([np.roll(values, -s, axis=0) for s in range(len(INPUTS))])
  rows = len(functions) * len(INPUTS)
  zeros = np.zeros(rows, np.int32)
  candidates = Candidates(
    program=np.repeat(np.array(programs, np.int32), len(INPUTS), axis=0),
    inputs=values[np.array(starts).reshape(-1)],
    kind=zeros,
    source=zeros,
  )
  outcome = judge.check(candidates, bounds)
  if judge.failure is not None:
    raise judge.failure
  reasons = outcome.reason.reshape(len(functions), -1)
  chosen = []
  for i, function in enumerate(functions):
    good = np.flatnonzero(reasons[i] == REASON["accepted"])[:ASKED]
    if len(good) < ASKED:
      said = sorted({REASONS[code] for code in reasons[i]})
      raise ValueError(
        f"human function {function.name!r} has only {len(good)} of {ASKED} "
        f"tasks within bounds: {', '.join(said)}"
      )
    chosen.extend((i * len(INPUTS) + good).tolist())
  index = np.array(chosen)
  beyond = [not in_reach(f.tokens, level) for f in functions]
  return Exam(
    tasks=Task(
      program=candidates.program[index],
      inputs=outcome.inputs[index],
      outputs=outcome.outputs[index],
      behaviour=outcome.behaviour[index],
      kind=candidates.kind[index],
      source=candidates.source[index],
    ),
    pair=np.zeros(len(index), np.int32),
    bucket=np.repeat(np.array(beyond, np.int32), ASKED),
    names=NAMES,
    sizes=sizes._replace(program=width),
    level=level._replace(program=max(level.program, width)),
  )


def _value(items: tuple[int, ...], width: int) -> list[int]:
  return render.pad(
    [g.LIST_OPEN, *map(g.int_token, items), g.LIST_CLOSE], width
  )
