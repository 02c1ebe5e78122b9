"""The micro-language as an engine's tokenizer, and its grammar in GBNF.

Each token is a word that ends in a space, so a text is read in one way only: a
program is its productions in prefix order, `filter x less v 3 `. Whatever is
no such word is dropped by the tokenizer.
"""

from collections.abc import Sequence

import numpy as np

from bitzero_jax.language import grammar as g
from bitzero_jax.language.levels import Level, build

END = g.PAD  # what a complete answer is followed by

_FORMS = {"value": ("list", "number"), "argument": ("list",)}


def word(token: int) -> str:
  """A token's text."""
  return f"{g.token_name(token)} "


def words() -> list[str]:
  """The text of every token, in order."""
  return [word(token) for token in range(g.VOCABULARY)]


def text(tokens: Sequence[int]) -> str:
  """What a row is to the engine's tokenizer."""
  return "".join(map(word, tokens))


def is_control(token: int) -> bool:
  """Whether a token is a marker, which no answer holds."""
  return token < len(g.MARKERS)


def gbnf(level: Level, start: str) -> str:
  """The grammar of an answer, for llama.cpp's sampler.

  It holds what the automaton holds but one thing: a program's length, which
  whoever samples cuts at the level's.

  Args:
    level: whose productions, literals, ints and items may be used.
    start: "program", "value" (a list or an int), or "argument" (a list).
  """
  if start in _FORMS:
    return _value(level, _FORMS[start])
  tables = build(level)
  rules: dict[str, str] = {}
  waiting = [g.NONTERMINAL_OF[start]]
  while waiting:
    row = waiting.pop()
    name = _name(row)
    if name in rules:
      continue
    forms = []
    for token in np.flatnonzero(tables.allowed[row]):
      inner = [int(i) for i in tables.pushed[row, token] if i]
      waiting += inner
      forms.append(" ".join([f'"{word(int(token))}"', *map(_name, inner)]))
    rules[name] = " | ".join(forms)
  body = "".join(f"{name} ::= {form}\n" for name, form in rules.items())
  return f"root ::= {_name(g.NONTERMINAL_OF[start])}\n{body}"


def _name(row: int) -> str:
  return g.NONTERMINALS[row].replace("_", "-")  # GBNF has no underscore


def _value(level: Level, forms: Sequence[str]) -> str:
  numbers = " | ".join(
    f'"{word(g.int_token(n))}"' for n in range(level.low, level.high + 1)
  )
  left, right = word(g.LIST_OPEN), word(g.LIST_CLOSE)
  return (
    f"root ::= {' | '.join(forms)}\n"
    f'list ::= "{left}" number{{0,{level.items}}} "{right}"\n'
    f"number ::= {numbers}\n"
  )
