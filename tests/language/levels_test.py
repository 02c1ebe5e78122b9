"""Tables of a level, against facts worked out by hand or by brute force."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitzero_jax.language import grammar as g
from bitzero_jax.language import levels

ROOM = Path(levels.__file__).parent
BY_HAND = {
  "none": 0,
  "program": 2,  # len(x)
  "list": 1,  # x
  "int": 1,  # a literal
  "bool": 3,  # 0 < 0
  "int_v": 1,
  "bool_v": 3,
  "body": 1,  # a literal
  "argument": 2,  # [ ]
  "value": 1,  # an int
  "first": 1,  # ]
  "items": 1,  # ]
}


@pytest.mark.parametrize("weights", ["hand", "uniform"])
@pytest.mark.parametrize("name", levels.LEVELS)
def test_the_fewest_tokens_are_those_counted_by_hand(name, weights):
  tables = levels.build(levels.LEVELS[name], weights)
  found = dict(zip(g.NONTERMINALS, tables.minimum.tolist(), strict=True))
  assert found == BY_HAND
  need = np.array([BY_HAND[n] for n in g.NONTERMINALS])[tables.pushed].sum(-1)
  np.testing.assert_array_equal(tables.need, need)


def read(tokens, at, wanted, scope):
  """Position after one `wanted`, by recursive descent over the rows; None if
  there is none.
  """
  if at >= len(tokens):
    return None
  token = tokens[at]
  if g.FIRST_INT <= token < g.FIRST_PRODUCTION:
    small = 0 <= token - g.FIRST_INT + g.INT_MIN <= 9
    return at + 1 if small and wanted in ("int", "body") else None
  row = g.PRODUCTIONS[token - g.FIRST_PRODUCTION]
  if row.name == "v":
    return at + 1 if scope and wanted == "int" else None
  plain = "int" if wanted == "body" else wanted
  if row.level != "small" or row.result != plain:
    return None
  at += 1
  for argument in row.arguments:
    opens = argument in ("body", "bool_v")
    inner = argument.removesuffix("_v")
    mine = opens or (scope and argument != "list")
    at = read(tokens, at, inner, mine)
    if at is None:
      return None
  return at


def generated(tables, length):
  """All programs of exactly `length` tokens that the tables can write."""
  done = set()
  stack = [((), (g.NONTERMINAL_OF["program"],))]
  while stack:
    tokens, pending = stack.pop()
    if not pending:
      if len(tokens) == length:
        done.add(tokens)
      continue
    if len(tokens) + sum(tables.minimum[list(pending)]) > length:
      continue
    for token in np.flatnonzero(tables.allowed[pending[0]]):
      pushed = [int(n) for n in tables.pushed[pending[0], token] if n]
      stack.append(((*tokens, int(token)), (*pushed, *pending[1:])))
  return done


@pytest.mark.parametrize("length", [2, 3])
def test_the_tables_hold_every_short_typed_program_and_no_other(length):
  tables = levels.build(levels.LEVELS["small"])
  alphabet = [*range(g.FIRST_PRODUCTION, g.VOCABULARY)]
  alphabet += [g.int_token(i) for i in (-1, *range(11))]
  typed = {
    tokens
    for tokens in itertools.product(alphabet, repeat=length)
    if length in (read(tokens, 0, "list", False), read(tokens, 0, "int", False))
  }
  assert typed == generated(tables, length)
  assert len(typed) > 10


@pytest.mark.parametrize("name", levels.LEVELS)
def test_every_row_of_a_level_fits_into_a_program(name):
  level = levels.LEVELS[name]
  tables = levels.build(level)
  start = g.NONTERMINAL_OF["program"]
  around = {start: 0}  # fewest tokens elsewhere in a program that holds it
  for _ in g.NONTERMINALS:
    for top, cost in list(around.items()):
      for token in np.flatnonzero(tables.allowed[top]):
        pushed = [n for n in tables.pushed[top, token] if n]
        for n in pushed:
          rest = sum(tables.minimum[pushed]) - tables.minimum[n]
          best = around.get(int(n), 1 << 20)
          around[int(n)] = min(best, int(cost + 1 + rest))
  for row in g.PRODUCTIONS:
    token = g.TOKEN_OF[row.name]
    costs = [
      cost + 1 + tables.need[top, token]
      for top, cost in around.items()
      if tables.allowed[top, token]
    ]
    if row.level in level.rows:
      assert min(costs) <= level.program, row.name
    else:
      assert costs == [], row.name


@pytest.mark.parametrize("name", levels.LEVELS)
def test_each_prior_is_a_distribution(name):
  level = levels.LEVELS[name]
  for weights in ("hand", "uniform"):
    tables = levels.build(level, weights)
    share = np.where(tables.allowed, np.exp(tables.log_prior), 0)
    np.testing.assert_allclose(share[1:].sum(1), 1, atol=1e-5)
    assert (tables.log_prior[~tables.allowed] == levels.NEVER).all()
    assert not tables.allowed[:, : len(g.MARKERS)].any()
    if weights == "uniform":
      count = tables.allowed.sum(1, keepdims=True)
      expected = (tables.allowed / np.maximum(count, 1))[1:]
      np.testing.assert_allclose(share[1:], expected, atol=1e-6)


def test_hand_weights_are_the_shares_of_the_rows():
  tables = levels.build(levels.LEVELS["small"])
  rows = [r for r in g.PRODUCTIONS if r.result == "list" and r.level == "small"]
  total = sum(r.weight for r in rows)
  for row in rows:
    got = tables.log_prior[g.NONTERMINAL_OF["list"], g.TOKEN_OF[row.name]]
    assert np.exp(got) == pytest.approx(row.weight / total)
  int_row = np.exp(tables.log_prior[g.NONTERMINAL_OF["int"]])
  literals = int_row[g.FIRST_INT : g.FIRST_PRODUCTION]
  ints = [r for r in g.PRODUCTIONS if r.result == "int" and r.level == "small"]
  whole = g.LITERAL_WEIGHT + sum(r.weight for r in ints)
  assert literals.sum() == pytest.approx(g.LITERAL_WEIGHT / whole, rel=1e-5)
  # A body is never plain `v`, a program never plain `x` or a literal.
  body, program = (g.NONTERMINAL_OF[n] for n in ("body", "program"))
  assert not tables.allowed[body, g.TOKEN_OF["v"]]
  assert not tables.allowed[program, g.TOKEN_OF["x"]]
  assert not tables.allowed[program, g.FIRST_INT : g.FIRST_PRODUCTION].any()


def test_an_unknown_weighting_is_refused():
  with pytest.raises(ValueError, match="weights='flat' must be 'hand' or"):
    levels.build(levels.LEVELS["small"], "flat")


_NEW_ROW = """
from bitzero_jax.language import grammar as g, levels, render
token = g.TOKEN_OF["odd_places"]
tables = levels.build(levels.LEVELS["small"])
assert tables.allowed[g.NONTERMINAL_OF["program"], token]
assert tables.allowed.shape[1] == g.VOCABULARY == token + 43
program = (token, g.TOKEN_OF["sorted"], g.TOKEN_OF["x"])
text = render.source(program)
assert text == "def f(x):\\n  return sorted(x)[1::2]\\n", text
assert render.parse(text) == program
assert g.token_name(token) == "odd_places"
"""


def test_one_row_is_all_that_a_new_production_needs(tmp_path):
  package = tmp_path / "bitzero_jax" / "language"
  package.mkdir(parents=True)
  for file in ("grammar.py", "levels.py", "render.py"):
    text = (ROOM / file).read_text()
    if file == "grammar.py":
      row = '  Production("odd_places", "<0>[1::2]", "list", ("list",), 1.0),\n'
      text = text.replace("PRODUCTIONS = (\n", "PRODUCTIONS = (\n" + row, 1)
    (package / file).write_text(text)
  state = (ROOM.parent / "state.py").read_text()
  (package.parent / "state.py").write_text(state)
  count = f"token + {len(g.PRODUCTIONS) + 1}"
  code = _NEW_ROW.replace("token + 43", count)
  subprocess.run(
    [sys.executable, "-c", code],
    check=True,
    cwd=tmp_path,
    env={"PYTHONPATH": str(tmp_path)},
  )
