"""Programs with no model: samples of the grammar, and search in its order."""

import heapq
import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.language import grammar as g
from bitzero_jax.language import layout, prior, render
from bitzero_jax.language.levels import NEVER, Level, Tables, build
from bitzero_jax.language.render import Tokens
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import UNKNOWN, Job

_BLOCK = 2048  # programs run at once

# Cost (the least negative log-prior of any completion), serial number, tokens
# so far, nonterminals still to expand, and the option that the first one takes.
_Entry = tuple[float, int, Tokens, tuple[int, ...], int]


def sample(level: Level, count: int, key: jax.Array) -> list[Tokens]:
  """Draws `count` programs from the untrained grammar; `key` is consumed."""
  tables = jax.tree.map(jnp.asarray, build(level))

  @jax.jit
  def write(key):
    plan = layout.program_plan(tables, count)
    return prior.sample(tables, plan, key, level.program, level.program)

  return [render.strip(row) for row in np.asarray(write(key))]


def programs(level: Level, weights: str = "hand") -> Iterator[Tokens]:
  """Every program that a level allows, in the order of its log-prior.

  Best-first search (A*): what is still to write is priced at its most
  probable completion, so the first program to be finished is the best one.

  Args:
    level: the limits.
    weights: of the grammar's prior, "hand" or "uniform".

  Yields:
    Tokens of one program.
  """
  tables = build(level, weights)
  best = _completion(tables)
  options = [_options(tables, best, n) for n in range(len(best))]
  minimum = tables.minimum.tolist()
  root = g.NONTERMINAL_OF["program"]
  serial = itertools.count()  # equal costs come in the order of their entry
  heap: list[_Entry] = [(-best[root], next(serial), (), (root,), 0)]
  while heap:
    cost, _, tokens, stack, choice = heapq.heappop(heap)
    top, rest = stack[0], stack[1:]
    score, token, pushed = options[top][choice]
    if choice + 1 < len(options[top]):
      step = score - options[top][choice + 1][0]
      entry = (cost + step, next(serial), tokens, stack, choice + 1)
      heapq.heappush(heap, entry)
    tokens, stack = (*tokens, token), pushed + rest
    if len(tokens) + sum(minimum[n] for n in stack) > level.program:
      continue
    if stack:
      heapq.heappush(heap, (cost, next(serial), tokens, stack, 0))
    else:
      yield tokens


def behaviours(
  executor: Executor,
  level: Level,
  count: int,
  inputs: Sequence[str],
  weights: str = "hand",
) -> list[Tokens]:
  """The first program of each behaviour, in the order of `programs`.

  Args:
    executor: runs the programs.
    level: the limits.
    count: behaviours wanted.
    inputs: texts of lists; programs that agree on all behave alike.
    weights: of the grammar's prior.

  Returns:
    `count` programs, or fewer if the level has no more.
  """
  found: dict[tuple[str, ...], Tokens] = {}
  arguments = tuple(f"[{text}]" for text in inputs)
  stream = programs(level, weights)
  while len(found) < count and (block := [*itertools.islice(stream, _BLOCK)]):
    results = executor.run([Job(render.source(p), arguments) for p in block])
    for program, verdicts in zip(block, results, strict=True):
      if all(v.status != UNKNOWN for v in verdicts):
        outputs = tuple(v.value or v.error for v in verdicts)
        found.setdefault(outputs, program)
  return list(found.values())[:count]


def _completion(tables: Tables) -> list[float]:
  """Log-probability of the best completion of each nonterminal."""
  best = np.full(len(tables.minimum), NEVER)
  best[0] = 0.0
  for _ in range(len(best)):
    score = np.where(
      tables.allowed, tables.log_prior + best[tables.pushed].sum(-1), NEVER
    )
    best[1:] = score.max(1)[1:]
  return best.tolist()


def _options(
  tables: Tables, best: list[float], nonterminal: int
) -> list[tuple[float, int, tuple[int, ...]]]:
  """Score with best completion, token, what it pushes; best score first."""
  rows = []
  for token in np.flatnonzero(tables.allowed[nonterminal]).tolist():
    pushed = tuple(n for n in tables.pushed[nonterminal, token].tolist() if n)
    score = float(tables.log_prior[nonterminal, token])
    rows.append((score + sum(best[n] for n in pushed), token, pushed))
  return sorted(rows, key=lambda row: -row[0])
