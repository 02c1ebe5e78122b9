"""Programs for a person's examples: sampled by the model, verified, ranked."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from bitzero_jax.evaluate import induce
from bitzero_jax.language import render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level
from bitzero_jax.language.render import Tokens
from bitzero_jax.models.network import Network
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds
from bitzero_jax.verify.verdict import Job

Example = tuple[str, str]  # canonical input and output
# Examples of the prompt, how many programs -> programs, whole ones.
Writer = Callable[[list[Example], int], Sequence[Tokens]]


class Answer(NamedTuple):
  """A program that the model wrote.

  Attributes:
    program: Python expression of `x`.
    right: examples that it gets right, by the executor's word.
    times: how often it was sampled.
    tokens: its length.
  """

  program: str
  right: int
  times: int
  tokens: int


def read_examples(text: str) -> list[Example]:
  """Reads '[3,1,2]->[1,2,3]; [5,4]->[4,5]'.

  Raises:
    ValueError: an example is not `list -> list or int`, of ints in -99 ... 99,
      or two of them give different results for one input.
  """
  examples = []
  for part in filter(None, (piece.strip() for piece in text.split(";"))):
    sides = [_canonical(side) for side in part.split("->")]
    given, result = sides if len(sides) == 2 else (None, None)
    if given is None or result is None or not given.startswith("["):
      raise ValueError(
        f"example {part!r} must be a list of ints, then -> and a list or int, "
        "with ints from -99 to 99"
      )
    examples.append((given, result))
  results: dict[str, str] = {}
  for given, result in examples:
    if results.setdefault(given, result) != result:
      raise ValueError(
        f"examples give {given} both {results[given]} and {result}: no "
        "function does"
      )
  if not examples:
    raise ValueError("no example given; write one as '[3,1,2]->[1,2,3]'")
  return examples


def _canonical(text: str) -> str | None:
  """`[3,1]` as `[3, 1]`, or None when it is no value."""
  tight = re.sub(r"\s*([\[\],])\s*", r"\1", text.strip())
  spaced = tight.replace(",", ", ")
  return spaced if render.value_tokens(spaced) else None


def solve(
  write: Writer,
  level: Level,
  sizes: Sizes,
  executor: Executor,
  examples: list[Example],
  samples: int,
) -> list[Answer]:
  """Has programs written and ranks them: most examples right, then shortest.

  The prompt holds `sizes.shown` of the examples that the level can say; fewer
  are repeated. All of them are used for verification.

  Raises:
    ValueError: no samples are asked for, or the level can say none of the
      examples.
  """
  if samples < 1:
    raise ValueError(f"--samples={samples} must be at least 1")
  bounds = Bounds(level.items, level.low, level.high)
  shown = induce.shown(examples, bounds, sizes.shown)
  if not shown:
    raise ValueError(
      f"this model reads lists of at most {level.items} ints from {level.low} "
      f"to {level.high}: none of the examples fits"
    )
  return _rank(executor, examples, write(shown, samples))


def by_network(
  network: Network, params: Any, level: Level, sizes: Sizes, seed: int
) -> Writer:
  """Programs that a model writes in JAX."""

  def write(shown: list[Example], samples: int) -> Sequence[Tokens]:
    key = jax.random.key(seed)
    (written,) = induce.programs(
      network, params, [shown], level, sizes, samples, key
    )
    return written

  return write


def _rank(
  executor: Executor, examples: list[Example], written: Sequence[Tokens]
) -> list[Answer]:
  """Runs programs on all examples: most right first, then the shortest."""
  found = Counter(written)
  programs = list(found)
  inputs = tuple(f"[{given}]" for given, _ in examples)
  results = executor.run([Job(render.source(p), inputs) for p in programs])
  answers = [
    Answer(
      program=render.expression(p),
      right=sum(
        v.status == "ok" and v.value == wanted
        for v, (_, wanted) in zip(verdicts, examples, strict=True)
      ),
      times=found[p],
      tokens=len(p),
    )
    for p, verdicts in zip(programs, results, strict=True)
  ]
  return sorted(
    answers, key=lambda a: (-a.right, a.tokens, -a.times, a.program)
  )


def table(answers: list[Answer], examples: int, most: int = 10) -> list[str]:
  """Lines for the terminal: programs that fit, or the nearest ones."""
  fit = [a for a in answers if a.right == examples]
  if fit:
    lines = [f"{len(fit)} different programs fit all {examples} examples:"]
  else:
    lines = [f"no sampled program fits all {examples} examples; the nearest:"]
  for a in (fit or answers)[:most]:
    lines.append(
      f"  {a.right}/{examples} right, sampled {a.times:3}x   {a.program}"
    )
  return lines
