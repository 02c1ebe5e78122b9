"""Micro-Python: typed productions over ints and lists of ints, as one table.

A token is a production in prefix order, so a program is a sequence of tokens
and every complete sequence is a well-typed Python expression. To add a
production, add one row to `PRODUCTIONS`: rendering, parsing, the automaton's
tables, the prior and the vocabulary all read it from there.
"""

from typing import NamedTuple

PAD = 0
ANSWER = 1
DEDUCE, ABDUCE, INDUCE = 2, 3, 4
PROPOSE_DEDUCE, PROPOSE_ABDUCE, PROPOSE_INDUCE = 5, 6, 7
MARKERS = (
  "<pad>",
  "<answer>",
  "<deduce>",
  "<abduce>",
  "<induce>",
  "<propose-deduce>",
  "<propose-abduce>",
  "<propose-induce>",
)

LIST_OPEN, LIST_CLOSE = len(MARKERS), len(MARKERS) + 1
INT_MIN, INT_MAX = -99, 99
FIRST_INT = LIST_CLOSE + 1
FIRST_PRODUCTION = FIRST_INT + INT_MAX - INT_MIN + 1


class Production(NamedTuple):
  """One row of the grammar.

  Attributes:
    name: unique word for tables and error messages.
    template: Python source. `{i}` is argument i where anything may stand,
      `<i>` is argument i in a place that needs parentheses around operators.
    result: type that the row produces: "list", "int", "bool", or "int_v" for
      what exists only inside a comprehension, where `v` is bound.
    arguments: types of the arguments. "int" and "bool" stay in the scope of
      the row; "body" (an int other than plain `v`) and "bool_v" open the scope
      of `v`; a list never sees `v`.
    weight: share among the rows of its type in the grammar's prior.
    level: first level that holds the row, "small" or "full".
  """

  name: str
  template: str
  result: str
  arguments: tuple[str, ...]
  weight: float
  level: str = "small"


PRODUCTIONS = (
  Production("x", "x", "list", (), 5.0),
  Production("sorted", "sorted({0})", "list", ("list",), 1.2),
  Production("reversed", "<0>[::-1]", "list", ("list",), 1.2),
  Production("drop", "<0>[{1}:]", "list", ("list", "int"), 1.2),
  Production("take", "<0>[:{1}]", "list", ("list", "int"), 1.2),
  Production("every_other", "<0>[::2]", "list", ("list",), 0.7),
  Production("all_but_last", "<0>[:-1]", "list", ("list",), 0.7),
  Production("concat", "<0> + <1>", "list", ("list", "list"), 1.2),
  Production("wrap", "[{0}]", "list", ("int",), 0.8),
  Production("map", "[{1} for v in <0>]", "list", ("list", "body"), 2.5),
  Production(
    "filter", "[v for v in <0> if {1}]", "list", ("list", "bool_v"), 2.5
  ),
  Production("sorted_set", "sorted(set({0}))", "list", ("list",), 0.5),
  Production(
    "choose_list",
    "<1> if {0} else <2>",
    "list",
    ("bool", "list", "list"),
    0.4,
    "full",
  ),
  Production("repeat", "<0> * <1>", "list", ("list", "int"), 0.2, "full"),
  Production("range", "list(range({0}))", "list", ("int",), 0.3, "full"),
  Production(
    "unique", "list(dict.fromkeys({0}))", "list", ("list",), 0.4, "full"
  ),
  Production("v", "v", "int_v", (), 10.0),
  Production("len", "len({0})", "int", ("list",), 0.7),
  Production("sum", "sum({0})", "int", ("list",), 0.7),
  Production("max", "max({0})", "int", ("list",), 0.7),
  Production("min", "min({0})", "int", ("list",), 0.7),
  Production("index", "<0>[{1}]", "int", ("list", "int"), 0.7),
  Production("last", "<0>[-1]", "int", ("list",), 0.7),
  Production("count", "<0>.count({1})", "int", ("list", "int"), 0.4),
  Production("add", "<0> + <1>", "int", ("int", "int"), 1.5),
  Production("subtract", "<0> - <1>", "int", ("int", "int"), 0.8),
  Production("multiply", "<0> * <1>", "int", ("int", "int"), 0.8),
  Production("modulo", "<0> % <1>", "int", ("int", "int"), 0.6),
  Production("divide", "<0> // <1>", "int", ("int", "int"), 0.3),
  Production("larger", "max({0}, {1})", "int", ("int", "int"), 0.3),
  Production("smaller", "min({0}, {1})", "int", ("int", "int"), 0.3),
  Production("absolute", "abs({0})", "int", ("int",), 0.2, "full"),
  Production(
    "choose_int",
    "<1> if {0} else <2>",
    "int",
    ("bool", "int", "int"),
    0.4,
    "full",
  ),
  Production("less", "<0> < <1>", "bool", ("int", "int"), 1.5),
  Production("greater", "<0> > <1>", "bool", ("int", "int"), 1.5),
  Production("equal", "<0> == <1>", "bool", ("int", "int"), 1.0),
  Production("unequal", "<0> != <1>", "bool", ("int", "int"), 0.7),
  Production("in", "<0> in <1>", "bool", ("int", "list"), 0.5),
  Production("and", "<0> and <1>", "bool", ("bool", "bool"), 0.3, "full"),
  Production("or", "<0> or <1>", "bool", ("bool", "bool"), 0.3, "full"),
  Production("not", "not <0>", "bool", ("bool",), 0.2, "full"),
)
LITERAL_WEIGHT = 6.0  # all int literals of a program together, in the prior

VOCABULARY = FIRST_PRODUCTION + len(PRODUCTIONS)
TOKEN_OF = {row.name: FIRST_PRODUCTION + i for i, row in enumerate(PRODUCTIONS)}

# What may stand on the automaton's stack. "program" is a list or an int; "body"
# is an int in the scope of `v`, but not plain `v`. The last four make values:
# an argument (always a list), any value, a list's first item and further ones.
NONTERMINALS = (
  "none",
  "program",
  "list",
  "int",
  "bool",
  "int_v",
  "bool_v",
  "body",
  "argument",
  "value",
  "first",
  "items",
)
NONTERMINAL_OF = {name: i for i, name in enumerate(NONTERMINALS)}


def int_token(value: int) -> int:
  """Token of an int in [INT_MIN, INT_MAX], as a literal or inside a value."""
  return FIRST_INT + value - INT_MIN


def token_name(token: int) -> str:
  """Readable name of a token, for logs and tables."""
  if token < len(MARKERS):
    return MARKERS[token]
  if token in (LIST_OPEN, LIST_CLOSE):
    return "[" if token == LIST_OPEN else "]"
  if token < FIRST_PRODUCTION:
    return str(token - FIRST_INT + INT_MIN)
  return PRODUCTIONS[token - FIRST_PRODUCTION].name
