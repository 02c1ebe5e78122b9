"""The table of productions says what it must, once."""

import re

import pytest

from bitzero_jax.language import grammar as g

TYPES = {"list", "int", "bool", "int_v", "body", "bool_v"}


def test_tokens_are_dense_and_unique():
  ints = [g.int_token(i) for i in range(g.INT_MIN, g.INT_MAX + 1)]
  every = [
    *range(len(g.MARKERS)),
    g.LIST_OPEN,
    g.LIST_CLOSE,
    *ints,
    *g.TOKEN_OF.values(),
  ]
  assert every == list(range(g.VOCABULARY))
  assert len(g.TOKEN_OF) == len(g.PRODUCTIONS)


def test_markers_have_the_names_of_their_tokens():
  for token, name in (
    (g.PAD, "<pad>"),
    (g.ANSWER, "<answer>"),
    (g.DEDUCE, "<deduce>"),
    (g.ABDUCE, "<abduce>"),
    (g.INDUCE, "<induce>"),
    (g.PROPOSE_DEDUCE, "<propose-deduce>"),
    (g.PROPOSE_ABDUCE, "<propose-abduce>"),
    (g.PROPOSE_INDUCE, "<propose-induce>"),
    (g.LIST_OPEN, "["),
    (g.LIST_CLOSE, "]"),
    (g.int_token(-99), "-99"),
    (g.int_token(0), "0"),
    (g.TOKEN_OF["sorted"], "sorted"),
  ):
    assert g.token_name(token) == name
  names = [g.token_name(token) for token in range(g.VOCABULARY)]
  assert len(set(names)) == g.VOCABULARY


@pytest.mark.parametrize("row", g.PRODUCTIONS, ids=lambda row: row.name)
def test_a_row_is_consistent(row):
  places = re.findall(r"\{(\d)\}|<(\d)>", row.template)
  used = sorted({int(a or b) for a, b in places})
  assert used == list(range(len(row.arguments)))
  assert len(places) == len(row.arguments)
  assert {row.result, *row.arguments} <= TYPES
  assert len(row.arguments) <= 3
  assert row.weight > 0
  assert row.level in ("small", "full")


def test_a_scope_is_opened_by_comprehensions_alone():
  for row in g.PRODUCTIONS:
    opens = {"body", "bool_v"} & set(row.arguments)
    assert bool(opens) == (" for v in " in row.template), row.name
