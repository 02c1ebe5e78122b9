"""List functions (Rule et al. 2020, BIG-bench): find a program from 8 pairs.

A function counts as solved when at least one of the programs written for it
fits every given pair, and the shortest such program is right on every hidden
pair. The model stands beside two baselines at the same number of programs for
each function: samples of the untrained grammar, and search.
"""

import ast
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from bitzero_jax.evaluate import induce, search
from bitzero_jax.evaluate.graded import Graded, digest
from bitzero_jax.evaluate.induce import Pair
from bitzero_jax.language import render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level
from bitzero_jax.language.render import Tokens
from bitzero_jax.models.network import Network
from bitzero_jax.state import INDUCTION, KINDS, RIGHT, WRONG
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, in_bounds
from bitzero_jax.verify.verdict import OK, UNKNOWN, Job

_BLOCK = 512  # programs whose verdicts are held at once
_PROBES = 16  # given inputs that tell the behaviours of search apart


class ListFunction(NamedTuple):
  """One function, by its pairs of input and output text, such as "[3, 1]".

  Attributes:
    index: number of the function in its collection.
    given: pairs that a program must fit.
    hidden: pairs that it is scored on.
  """

  index: int
  given: tuple[Pair, ...]
  hidden: tuple[Pair, ...]


class Answer(NamedTuple):
  """What was said of one function.

  Attributes:
    program: the shortest that fits every given pair, None if there is none.
    right: whether it is right on every hidden pair too.
  """

  program: Tokens | None
  right: bool


def load(path: str | Path) -> list[ListFunction]:
  """Reads one function a line: JSON with `idx`, `train` and `test`.

  `train` and `test` are lists of {"input": text, "output": text}, and each
  text is a list of ints.

  Raises:
    ValueError: a line does not have this form; the message names it.
    OSError: the file cannot be read.
  """
  functions = []
  lines = Path(path).read_text(encoding="utf-8").splitlines()
  for number, line in enumerate(lines, 1):
    try:
      row = json.loads(line)
      pairs = [
        tuple((_list_text(p["input"]), _list_text(p["output"])) for p in row[k])
        for k in ("train", "test")
      ]
      if not all(pairs):
        raise ValueError("train and test must hold at least one pair")
      functions.append(ListFunction(int(row["idx"]), *pairs))
    except KeyError as error:
      raise ValueError(f"{path}:{number}: no field {error}") from None
    except (ValueError, TypeError, SyntaxError) as error:
      raise ValueError(f"{path}:{number}: {error}") from None
  if not functions:
    raise ValueError(f"{path}: no functions")
  return functions


def _list_text(text: str) -> str:
  value = ast.literal_eval(text)
  if not isinstance(value, list) or any(type(v) is not int for v in value):
    raise ValueError(f"{text!r} must be a list of ints")
  return str(value)


def score(
  executor: Executor,
  network: Network,
  params: Any,
  functions: Sequence[ListFunction],
  level: Level,
  sizes: Sizes,
  *,
  samples: int,
  key: jax.Array,
  wide: int = 4096,
) -> tuple[dict[str, int | float], list[Answer]]:
  """Scores the model and, at equal sample count, what needs no model.

  The model writes at temperature 1 and sees the first `sizes.shown` given
  pairs that the level can say, again from the first if there are fewer. A
  function with no such pair is not posed to it and counts as not solved.

  Args:
    executor: runs every program on every pair.
    network, params: the model.
    functions: from `load`.
    level: the language's level, for the model and both baselines.
    sizes: lengths of the run.
    samples: programs for each function, of each contestant.
    key: PRNG key, consumed.
    wide: behaviours of a further, larger search (4096 took 40 s on two
      cores); 0 leaves it out.

  Returns:
    functions, representable (every value is within the level), posed,
    samples; solved functions of model, grammar (samples of the untrained
    grammar) and search (the most probable behaviours, the same for each
    function); induction, the model's share of `functions`; wide_programs and
    wide_search if asked; unknown, verdicts that the executor owes. Then the
    model's answer to each function.

  Raises:
    ValueError: the level does not fit `sizes`.
  """
  if level.program > sizes.program or level.items + 2 > sizes.value:
    raise ValueError(
      f"sizes.program={sizes.program} and sizes.value={sizes.value} must hold "
      f"the level's programs of {level.program} and lists of {level.items}"
    )
  owed = executor.stats.counts[UNKNOWN]
  limits = (level.items, level.low, level.high)
  bounds = Bounds(*map(np.int32, limits))
  shown = [induce.shown(f.given, bounds, sizes.shown) for f in functions]
  posed = [i for i, pairs in enumerate(shown) if pairs]
  model_key, grammar_key = jax.random.split(key)

  written: list[list[Tokens]] = [[] for _ in functions]
  if posed:
    pairs = [shown[i] for i in posed]
    rows = induce.programs(
      network, params, pairs, level, sizes, samples, model_key
    )
    for i, mine in zip(posed, rows, strict=True):
      written[i] = mine
  drawn = search.sample(level, len(functions) * samples, grammar_key)
  untrained = induce.deal(drawn, samples)

  every = [given for f in functions for given, _ in f.given]
  probes = every[:: max(1, len(every) // _PROBES)]
  found = search.behaviours(executor, level, max(samples, wide), probes)

  def count(programs: Sequence[Sequence[Tokens]]) -> int:
    return sum(a.right for a in answers(executor, functions, programs))

  said = answers(executor, functions, written)
  model = sum(a.right for a in said)
  result = {
    "functions": len(functions),
    "representable": sum(_representable(f, bounds) for f in functions),
    "posed": len(posed),
    "samples": samples,
    "model": model,
    "induction": model / len(functions),
    "grammar": count(untrained),
    "search": count([found[:samples]] * len(functions)),
  }
  if wide:
    result["wide_programs"] = len(found[:wide])
    result["wide_search"] = count([found[:wide]] * len(functions))
  result["unknown"] = executor.stats.counts[UNKNOWN] - owed
  return result, said


def to_graded(
  functions: Sequence[ListFunction], answers: Sequence[Answer], level: Level
) -> Graded:
  """The answers as an exam's, with what the level cannot say as "beyond"."""
  bounds = Bounds(*map(np.int32, (level.items, level.low, level.high)))
  return Graded(
    exam=digest(*[repr(f) for f in functions]),
    names=("representable", "beyond"),
    bucket=np.array([not _representable(f, bounds) for f in functions], int),
    program=np.arange(len(functions)),
    grade={
      KINDS[INDUCTION]: np.array([RIGHT if a.right else WRONG for a in answers])
    },
    nats={},
    tokens={},
    probability={},
    agreement={},
  )


def _representable(function: ListFunction, bounds: Bounds) -> bool:
  """Whether a level can say every value of a function."""
  pairs = function.given + function.hidden
  return all(in_bounds(text, bounds) for pair in pairs for text in pair)


def lines(scores: dict[str, int | float]) -> str:
  """The scores as a table to print, baselines beside the model."""
  total, samples = scores["functions"], scores["samples"]
  rows = [
    ("model", samples, scores["model"]),
    ("untrained grammar", samples, scores["grammar"]),
    ("search, no model", samples, scores["search"]),
  ]
  if "wide_search" in scores:
    row = ("search, no model", scores["wide_programs"], scores["wide_search"])
    rows.append(row)
  head = f"{'list functions':<20}{'programs':>10}{'solved':>8} of {total}"
  return "\n".join([head, *(f"{n:<20}{p:>10}{s:>8}" for n, p, s in rows)])


def answers(
  executor: Executor,
  functions: Sequence[ListFunction],
  programs: Sequence[Sequence[Tokens]],
) -> list[Answer]:
  """The shortest program that fits a function's given pairs, for each function.

  Args:
    executor: runs the programs.
    functions: what to solve.
    programs: for each function, the programs to try; of equally short ones
      the first counts.
  """
  wanted: dict[Tokens, list[int]] = {}
  for i, mine in enumerate(programs):
    for program in dict.fromkeys(mine):
      wanted.setdefault(program, []).append(i)
  # Most programs fail at once, so the first pair goes ahead of the others.
  for part in (slice(0, 1), slice(1, None)):
    wanted = _fitting(executor, wanted, [f.given[part] for f in functions])
  shortest: dict[int, Tokens] = {}
  for i, mine in enumerate(programs):
    fits = [p for p in dict.fromkeys(mine) if i in wanted.get(p, ())]
    if fits:
      shortest[i] = min(fits, key=len)
  chosen: dict[Tokens, list[int]] = {}
  for i, program in shortest.items():
    chosen.setdefault(program, []).append(i)
  right = _fitting(executor, chosen, [f.hidden for f in functions])
  return [
    Answer(shortest.get(i), i in right.get(shortest.get(i, ()), ()))
    for i in range(len(programs))
  ]


def _fitting(
  executor: Executor,
  wanted: dict[Tokens, list[int]],
  pairs: Sequence[Sequence[Pair]],
) -> dict[Tokens, list[int]]:
  """For each program, those of its functions whose pairs it fits."""
  fits: dict[Tokens, list[int]] = {}
  tried = list(wanted.items())
  for start in range(0, len(tried), _BLOCK):
    block = tried[start : start + _BLOCK]
    jobs = [
      Job(
        render.source(program),
        tuple(f"[{given}]" for i in mine for given, _ in pairs[i]),
      )
      for program, mine in block
    ]
    for (program, mine), verdicts in zip(
      block, executor.run(jobs), strict=True
    ):
      answers = iter(verdicts)
      for i in mine:
        # Every answer is taken, also after a wrong one: the next are not ours.
        right = [
          v.status == OK and v.value == output
          for v, (_, output) in zip(
            itertools.islice(answers, len(pairs[i])), pairs[i], strict=True
          )
        ]
        if all(right):
          fits.setdefault(program, []).append(i)
  return fits
