"""Depth, against a reader that follows the tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language import grammar as g
from bitzero_jax.language import layout, levels, prior, render
from bitzero_jax.language.depth import depth


@pytest.mark.parametrize(
  ("text", "levels_deep"),
  [
    ("sorted(x)", 2),
    ("sorted(x)[::-1]", 3),
    ("x + sorted(x)", 3),
    ("sorted(x) + x", 3),
    ("[v + 1 for v in x]", 3),
    ("[max(x) - v for v in x[1:]]", 4),
  ],
)
def test_depth_is_that_of_the_expression(text, levels_deep):
  program = jnp.asarray([render.pad(render.parse(text), 12)])
  assert depth(program).tolist() == [levels_deep]


def by_recursion(tokens, at=0):
  """(depth, next position) of the expression that begins at `at`."""
  token = int(tokens[at])
  count = 0
  if token >= g.FIRST_PRODUCTION:
    count = len(g.PRODUCTIONS[token - g.FIRST_PRODUCTION].arguments)
  deepest, at = 0, at + 1
  for _ in range(count):
    below, at = by_recursion(tokens, at)
    deepest = max(deepest, below)
  return deepest + 1, at


def test_depth_agrees_with_recursion_on_random_programs():
  tables = jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["full"]))
  plan = layout.program_plan(tables, 300)
  programs = prior.sample(tables, plan, jax.random.key(0), 20, 20)
  expected = [by_recursion(row)[0] for row in np.asarray(programs)]
  np.testing.assert_array_equal(jax.jit(depth)(programs), expected)
  assert max(expected) > 5


def test_padding_has_no_depth():
  assert depth(jnp.zeros((2, 5), jnp.int32)).tolist() == [0, 0]
