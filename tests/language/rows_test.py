"""A task posed as each type."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language import grammar as g
from bitzero_jax.language import levels, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.rows import plan_of, rows_of
from bitzero_jax.state import ABDUCTION, DEDUCTION, INDUCTION, Task

SIZES = Sizes(program=8, value=7, shown=2, hidden=2, references=1)
SOURCES = ("sorted(x)", "len(x)")
INPUTS = (("[3, 1]", "[]", "[2]"), ("[5]", "[1, 1]", "[4, 4, 4]"))
OUTPUTS = (("[1, 3]", "[]", "[2]"), ("1", "2", "3"))


def values(texts):
  rows = [[render.pad(render.value_tokens(t), 7) for t in row] for row in texts]
  return jnp.array(rows, jnp.int32)


@pytest.fixture(scope="module")
def tasks():
  programs = [render.pad(render.parse(text), 8) for text in SOURCES]
  nothing = jnp.zeros(2, jnp.int32)
  return Task(
    program=jnp.array(programs, jnp.int32),
    inputs=values(INPUTS),
    outputs=values(OUTPUTS),
    behaviour=jnp.zeros((2, 2), jnp.uint32),
    kind=nothing,
    source=nothing,
  )


def parts(prompt, *widths):
  """What fills each slot; a slot of one column is the marker."""
  ends = np.cumsum([0, *widths])
  assert ends[-1] == len(prompt)
  return [
    render.strip(prompt[a:b].tolist()) for a, b in itertools.pairwise(ends)
  ]


@pytest.mark.parametrize("kind", [DEDUCTION, ABDUCTION])
def test_a_value_is_asked_about_the_named_pair(tasks, kind):
  pair = jnp.array([2, 1], jnp.int32)
  prompt, gold = rows_of(kind, tasks, pair, 2)
  assert (prompt.shape[1], gold.shape[1]) == SIZES.answer_value
  for i, j in enumerate((2, 1)):
    program, marker, shown, last = parts(prompt[i], 8, 1, 7, 1)
    assert last == (g.ANSWER,)
    assert render.source(program).endswith(f"return {SOURCES[i]}\n")
    texts = INPUTS[i][j], OUTPUTS[i][j]
    given, asked = texts if kind == DEDUCTION else reversed(texts)
    assert marker == ((g.DEDUCE if kind == DEDUCTION else g.ABDUCE),)
    assert render.value_text(shown) == given
    assert render.value_text(render.strip(gold[i].tolist())) == asked


def test_induction_shows_the_first_pairs_and_asks_for_the_program(tasks):
  prompt, gold = rows_of(INDUCTION, tasks, jnp.zeros(2, jnp.int32), 2)
  assert (prompt.shape[1], gold.shape[1]) == SIZES.answer_program
  np.testing.assert_array_equal(gold, tasks.program)
  for i in range(2):
    *cut, marker = parts(prompt[i], 7, 7, 7, 7, 1)
    assert marker == (g.INDUCE,)
    shown = [t for j in range(2) for t in (INPUTS[i][j], OUTPUTS[i][j])]
    assert [render.value_text(t) for t in cut] == shown


def test_answers_have_the_form_of_their_type():
  tables = levels.build(levels.LEVELS["small"])
  for kind, name in (
    (DEDUCTION, "value"),
    (ABDUCTION, "argument"),
    (INDUCTION, "program"),
  ):
    plan = plan_of(kind, tables, 2)
    np.testing.assert_array_equal(plan.start, [[g.NONTERMINAL_OF[name]]] * 2)
