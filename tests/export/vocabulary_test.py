"""Words are read in one way, and the grammar is the automaton's."""

import re

import jax
import numpy as np
import pytest

from bitzero_jax.export import vocabulary
from bitzero_jax.language import grammar as g
from bitzero_jax.language import layout, levels, prior, render

ROWS = 64


def rules(text):
  """GBNF of one word and then names: name -> {word: names}."""
  found = {}
  for line in text.splitlines():
    name, form = line.split(" ::= ")
    found[name] = {}
    for part in form.split(" | "):
      words = re.findall(r'"([^"]+)"', part)
      names = re.sub(r'"[^"]+"', "", part).split()
      found[name][words[0] if words else ""] = names
  return found


def reads(found, tokens):
  """Whether a grammar of `rules` reads all of a row, and nothing is left."""
  stack = ["root"]
  for token in tokens:
    while stack and "" in found[stack[-1]]:
      stack += reversed(found[stack.pop()][""])
    if not stack or vocabulary.word(token) not in found[stack[-1]]:
      return False
    stack += reversed(found[stack.pop()][vocabulary.word(token)])
  return not stack


def test_no_word_is_another_with_something_before_or_inside_it():
  words = vocabulary.words()
  assert len(set(words)) == len(words) == g.VOCABULARY
  for word in words:
    assert re.fullmatch(r"[^ ]+ ", word)
  assert vocabulary.text([g.LIST_OPEN, g.int_token(-7), g.LIST_CLOSE]) == (
    "[ -7 ] "
  )


@pytest.mark.parametrize("name", ["small", "full"])
def test_programs_of_the_prior_are_read(name):
  level = levels.LEVELS[name]
  tables = levels.build(level)
  plan = layout.program_plan(jax.tree.map(jax.numpy.asarray, tables), ROWS)
  rows = prior.sample(
    tables, plan, jax.random.key(0), level.program, level.program
  )
  found = rules(vocabulary.gbnf(level, "program"))
  for row in np.asarray(rows):
    program = render.strip(row)
    assert reads(found, program), render.source(program)
    assert not reads(found, program[:-1])
    assert not reads(found, (*program, g.TOKEN_OF["x"]))


def test_what_the_automaton_forbids_is_not_read():
  found = rules(vocabulary.gbnf(levels.LEVELS["small"], "program"))
  for words in (
    ["x"],
    ["v"],
    ["map", "x", "v"],
    ["sorted", "v"],
    ["unique", "x"],
    ["filter", "x", "x"],
  ):
    assert not reads(found, [g.TOKEN_OF[word] for word in words])
  assert not reads(
    found, [g.TOKEN_OF["drop"], g.TOKEN_OF["x"], g.int_token(10)]
  )


def test_each_rule_is_a_row_of_the_automaton():
  level = levels.LEVELS["full"]
  tables = levels.build(level)
  found = rules(vocabulary.gbnf(level, "program"))
  for number, name in enumerate(g.NONTERMINALS):
    forms = found.get(name.replace("_", "-"))
    if forms is not None:
      allowed = np.flatnonzero(tables.allowed[number])
      assert set(forms) == {vocabulary.word(int(t)) for t in allowed}


@pytest.mark.parametrize(("start", "plain"), [("value", 1), ("argument", 0)])
def test_values_have_the_level_s_limits(start, plain):
  level = levels.LEVELS["small"]
  text = vocabulary.gbnf(level, start)
  assert f"number{{0,{level.items}}}" in text
  assert text.startswith("root ::= list | number\n") == bool(plain)
  numbers = re.findall(r'"(-?\d+) "', text.splitlines()[-1])
  assert [int(n) for n in numbers] == list(range(level.low, level.high + 1))
