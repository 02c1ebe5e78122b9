"""Tokens to text and back."""

import ast

import pytest

from bitzero_jax.language import grammar as g
from bitzero_jax.language import render


def tokens(*names):
  return tuple(
    g.TOKEN_OF[n] if isinstance(n, str) else g.int_token(n) for n in names
  )


@pytest.mark.parametrize(
  ("names", "text"),
  [
    (("sorted", "x"), "sorted(x)"),
    (("subtract", 1, "subtract", 2, 3), "1 - (2 - 3)"),
    (("subtract", "subtract", 1, 2, 3), "(1 - 2) - 3"),
    (("reversed", "concat", "x", "x"), "(x + x)[::-1]"),
    (("take", "x", "add", 1, 2), "x[:1 + 2]"),
    (("drop", "sorted_set", "x", 2), "sorted(set(x))[2:]"),
    (("map", "x", "multiply", "v", "v"), "[v * v for v in x]"),
    (("filter", "x", "not", "in", "v", "x"), "[v for v in x if not (v in x)]"),
    (("choose_int", "less", 1, 2, 3, 4), "3 if 1 < 2 else 4"),
    (("add", "choose_int", "less", 1, 2, 3, 4, 5), "(3 if 1 < 2 else 4) + 5"),
    (("larger", "len", "x", 0), "max(len(x), 0)"),
    (("count", "unique", "x", 7), "list(dict.fromkeys(x)).count(7)"),
  ],
)
def test_programs_render_as_expected_and_read_back(names, text):
  program = tokens(*names)
  assert render.source(program) == f"def f(x):\n  return {text}\n"
  assert render.parse(text) == program
  assert render.parse(f"(({text}))") == program
  # The parentheses say what the tokens say, whatever precedence is.
  assert ast.unparse(ast.parse(text)) == ast.unparse(ast.parse(f"({text})"))


@pytest.mark.parametrize(
  ("bad", "message"),
  [
    ((), "ends too early"),
    (tokens("sorted"), "ends too early"),
    (tokens("x", "x"), "after the end"),
    ((g.LIST_OPEN,), r"token 8 \(\[\) is no expression"),
    ((g.PAD,), "token 0 .* is no expression"),
  ],
)
def test_what_is_no_program_is_not_rendered(bad, message):
  with pytest.raises(ValueError, match=message):
    render.source(bad)


@pytest.mark.parametrize(
  "text",
  [
    "x",
    "3",
    "v",
    "y",
    "[v for v in x]",
    "[w + 1 for w in x]",
    "[[v + 1 for v in x] for v in x]",
    "x + 1",
    "len(3)",
    "len(x) == True",
    "x[:-2]",
    "-len(x)",
    "x.append(1)",
    "__import__('os')",
    "[v + 1 for v in x for v in x]",
    "[v + 1 for v in x if v]",
    "sorted(x, reverse=True)",
    "max(x, default=0)",
    "sum(x) < 2 < 3",
    "x[0] and x[1]",
    "return",
    "1 +",
    "",
    "len(x); len(x)",
    "def g(x):\n  return len(x)",
    "def f(y):\n  return len(y)",
    "def f(x):\n  len(x)\n  return len(x)",
    "(" * 300 + "x" + ")" * 300,
    "len(x) + 100",
    "len(x) + 1.0",
    "\x00",
  ],
)
def test_what_is_outside_the_language_is_refused(text):
  with pytest.raises(ValueError):
    render.parse(text)


@pytest.mark.parametrize(
  "text", ["[]", "[0]", "[3, 1]", "7", "-99", "[-1, 99, 0]"]
)
def test_values_read_back(text):
  row = render.value_tokens(text)
  assert render.value_text(row) == text


@pytest.mark.parametrize(
  "text",
  [
    *("", "[", "[1,2]", "[1, 2", " 7", "7 ", "[1, 2,]", "[[1]]", "True"),
    *("100", "-100", "1.0", "'a'", "None", "[1, ]", "[ ]", "--1", "7\n", "٣"),
  ],
)
def test_what_the_language_cannot_say_has_no_tokens(text):
  assert render.value_tokens(text) is None


@pytest.mark.parametrize(
  "row",
  [
    (),
    (g.LIST_OPEN,),
    (g.LIST_CLOSE, g.LIST_OPEN),
    (g.LIST_OPEN, g.LIST_OPEN, g.LIST_CLOSE),
    tokens(1, 2),
    (g.LIST_OPEN, g.TOKEN_OF["x"], g.LIST_CLOSE),
  ],
)
def test_what_is_no_value_has_no_text(row):
  with pytest.raises(ValueError, match="not one complete value"):
    render.value_text(row)


def test_rows_are_stripped_and_padded():
  assert render.pad((5, 6), 4) == [5, 6, 0, 0]
  assert render.strip([0, 5, 0, 6]) == (5, 6)
  with pytest.raises(ValueError, match="3 tokens do not fit in 2"):
    render.pad((1, 2, 3), 2)
