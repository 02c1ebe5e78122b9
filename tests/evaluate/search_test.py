import itertools

import jax
import numpy as np
import pytest

from bitzero_jax.evaluate import search
from bitzero_jax.language import grammar, levels, render
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job

TINY = levels.Level(3, 5, 0, 20, 1, ("small",))
INPUTS = ("[]", "[1, 2, 3]", "[3, 1, 2, 2]", "[5]")


def log_prior(tables, tokens):
  """Log-probability of a program, token by token."""
  stack, total = [grammar.NONTERMINAL_OF["program"]], 0.0
  for token in tokens:
    top = stack.pop()
    total += float(tables.log_prior[top, token])
    stack += [n for n in tables.pushed[top, token].tolist()[::-1] if n]
  assert not stack
  return total


def every_program(tables, longest):
  """All programs by plain enumeration."""
  partial = [((), (grammar.NONTERMINAL_OF["program"],))]
  for _ in range(longest):
    grown = []
    for tokens, stack in partial:
      for token in np.flatnonzero(tables.allowed[stack[0]]).tolist():
        pushed = [n for n in tables.pushed[stack[0], token].tolist() if n]
        rest = (*pushed, *stack[1:])
        if rest:
          grown.append(((*tokens, token), rest))
        else:
          yield (*tokens, token)
    partial = grown


@pytest.mark.parametrize("weights", ["hand", "uniform"])
def test_every_program_comes_once_and_in_order(weights):
  tables = levels.build(TINY, weights)
  found = list(search.programs(TINY, weights))
  assert len(found) == len(set(found))
  assert set(found) == set(every_program(tables, TINY.program))
  scores = [log_prior(tables, p) for p in found]
  assert all(a >= b - 1e-5 for a, b in itertools.pairwise(scores))


def test_programs_of_a_real_level_fit_it():
  level = levels.LEVELS["full"]
  for tokens in itertools.islice(search.programs(level), 500):
    assert len(tokens) <= level.program
    assert render.parse(render.source(tokens)) == tokens


def test_behaviours_differ_and_the_first_of_each_stands():
  with Executor() as executor:
    found = search.behaviours(executor, TINY, 30, INPUTS)
    arguments = tuple(f"[{text}]" for text in INPUTS)
    results = executor.run([Job(render.source(p), arguments) for p in found])
    all_of_them = search.behaviours(executor, TINY, 10**6, INPUTS)
  outputs = {tuple(v.value or v.error for v in row) for row in results}
  assert len(outputs) == len(found) == 30
  assert all_of_them[:30] == found
  order = list(search.programs(TINY))
  assert found == sorted(found, key=order.index)
  assert found[0] == order[0]


def test_samples_are_programs_of_the_level():
  level = levels.LEVELS["small"]
  drawn = search.sample(level, 64, jax.random.key(0))
  assert len(drawn) == 64 and len(set(drawn)) > 32
  for tokens in drawn:
    assert len(tokens) <= level.program
    assert render.parse(render.source(tokens)) == tokens
