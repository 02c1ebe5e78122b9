"""Tokens to Python source and back, values to tokens and back. Host only."""

import ast
import functools
import re
from collections.abc import Iterable, Sequence

from bitzero_jax.language import grammar as g

Tokens = tuple[int, ...]


def strip(row: Iterable[int]) -> Tokens:
  """A row without its PAD tokens, as a hashable tuple of Python ints."""
  return tuple([t for t in map(int, row) if t != g.PAD])


@functools.lru_cache(maxsize=65536)
def source(tokens: Tokens) -> str:
  """Renders a complete program as Python source.

  Args:
    tokens: one program in prefix order, no PAD.

  Returns:
    `def f(x):` and one return statement, with a newline at the end.

  Raises:
    ValueError: the tokens are not one complete program.
  """
  text, _, end = _expression(tokens, 0)
  if end != len(tokens):
    raise ValueError(f"tokens after the end of the program: {tokens[end:]}")
  return f"def f(x):\n  return {text}\n"


def _expression(tokens: Tokens, at: int) -> tuple[str, bool, int]:
  """Text from position `at`, whether it is loose, and the next position."""
  if at >= len(tokens):
    raise ValueError(f"program {tokens} ends too early")
  token = tokens[at]
  if g.FIRST_INT <= token < g.FIRST_PRODUCTION:
    return str(token - g.FIRST_INT + g.INT_MIN), False, at + 1
  if not g.FIRST_PRODUCTION <= token < g.VOCABULARY:
    name = g.token_name(token) if 0 <= token < g.VOCABULARY else "unknown"
    raise ValueError(f"token {token} ({name}) is no expression")
  row = g.PRODUCTIONS[token - g.FIRST_PRODUCTION]
  text, at = row.template, at + 1
  pieces = []
  for _ in row.arguments:
    piece, loose, at = _expression(tokens, at)
    pieces.append((piece, f"({piece})" if loose else piece))
  text = _PLACE.sub(
    lambda m: pieces[int(m[0][1])][m[0][0] == "<"], row.template
  )
  return text, _is_loose(row.template), at


_PLACE = re.compile(r"\{\d\}|<\d>")
_LOOSE = (ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.UnaryOp)


@functools.cache
def _pattern(template: str) -> ast.expr:
  """The template's syntax tree, with names _0, _1, _2 for the arguments."""
  text = _PLACE.sub(lambda m: f"_{m[0][1]}", template)
  return ast.parse(text, mode="eval").body


@functools.cache
def _is_loose(template: str) -> bool:
  return isinstance(_pattern(template), _LOOSE)


def parse(text: str) -> Tokens:
  """Reads a program: the inverse of `source`.

  Args:
    text: source with one function `f` of one argument `x` whose body is one
      return statement, or such an expression alone. Spacing and redundant
      parentheses do not matter; the comprehension variable is `v`.

  Returns:
    Its tokens.

  Raises:
    ValueError: the text is not in micro-Python; the message shows the part.
  """
  try:
    body = ast.parse(text.strip()).body
  except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    raise ValueError(f"not Python: {text.strip()!r} ({error})") from None
  node = body[0] if len(body) == 1 else None
  if isinstance(node, ast.FunctionDef) and len(node.body) == 1:
    if [a.arg for a in node.args.args] != ["x"] or node.name != "f":
      raise ValueError("the function must be f(x)")
    node = node.body[0]
  if not isinstance(node, ast.Return | ast.Expr) or node.value is None:
    raise ValueError(f"not one return expression: {text.strip()!r}")
  for result in ("list", "int"):
    tokens = _parse(node.value, result)
    if tokens is not None and len(tokens) > 1:
      return tokens
  raise ValueError(f"not in micro-Python: {ast.unparse(node.value)}")


_OUTER = {"int_v": "int", "bool_v": "bool"}


def _parse(node: ast.expr, wanted: str) -> Tokens | None:
  """Tokens of `node` read as type `wanted`, or None."""
  if wanted == "body":
    tokens = _parse(node, "int_v")
    return None if tokens == (g.TOKEN_OF["v"],) else tokens
  plain = _OUTER.get(wanted, wanted)
  if plain == "int" and isinstance(node, ast.Constant):
    value = node.value
    if type(value) is int and 0 <= value <= g.INT_MAX:
      return (g.int_token(value),)
    return None
  for row in g.PRODUCTIONS:
    if row.result != wanted and row.result != plain:
      continue
    found: dict[int, ast.expr] = {}
    if not _match(_pattern(row.template), node, found):
      continue
    tokens: Tokens | None = (g.TOKEN_OF[row.name],)
    for i, argument in enumerate(row.arguments):
      inner = argument
      if wanted != plain and argument in ("int", "bool"):
        inner = argument + "_v"
      part = _parse(found[i], inner)
      tokens = None if part is None or tokens is None else tokens + part
    if tokens is not None:
      return tokens
  return None


def _match(pattern: object, node: object, found: dict[int, ast.expr]) -> bool:
  """Unifies a template's tree with a program's tree, filling `found`."""
  if isinstance(pattern, ast.Name) and re.fullmatch(r"_\d", pattern.id):
    if not isinstance(node, ast.expr):
      return False
    found[int(pattern.id[1:])] = node
    return True
  if type(pattern) is not type(node):
    return False
  if isinstance(pattern, ast.AST):
    names = [n for n in pattern._fields if n not in ("ctx", "kind")]
    return all(
      _match(getattr(pattern, n, None), getattr(node, n, None), found)
      for n in names
    )
  if isinstance(pattern, list) and isinstance(node, list):
    return len(pattern) == len(node) and all(
      _match(p, n, found) for p, n in zip(pattern, node, strict=True)
    )
  return pattern == node


@functools.lru_cache(maxsize=65536)
def value_text(tokens: Tokens) -> str:
  """Canonical text of a value: `[3, 1]` or `7`.

  Raises:
    ValueError: the tokens are not one complete value.
  """
  ints = [
    t - g.FIRST_INT + g.INT_MIN
    for t in tokens
    if g.FIRST_INT <= t < g.FIRST_PRODUCTION
  ]
  if len(tokens) == 1 and len(ints) == 1:
    return str(ints[0])
  closed = tokens[:1] == (g.LIST_OPEN,) and tokens[-1:] == (g.LIST_CLOSE,)
  if not closed or len(ints) != len(tokens) - 2:
    raise ValueError(f"tokens {tokens} are not one complete value")
  return f"[{', '.join(map(str, ints))}]"


def expression(tokens: Tokens) -> str:
  """Renders a complete program as a Python expression of `x`."""
  return source(tokens).split("return ")[1].strip()


_LIST = re.compile(r"\[(-?\d{1,2}(?:, -?\d{1,2})*)?\]|-?\d{1,2}", re.ASCII)


@functools.lru_cache(maxsize=65536)
def value_tokens(text: str) -> Tokens | None:
  """Tokens of a canonical value, or None if the language cannot say it.

  Limits of a level (length, range) are the caller's to check.
  """
  if not _LIST.fullmatch(text):
    return None
  if text[0] != "[":
    return (g.int_token(int(text)),)
  items = [int(t) for t in text[1:-1].split(", ")] if len(text) > 2 else []
  return (g.LIST_OPEN, *map(g.int_token, items), g.LIST_CLOSE)


def pad(tokens: Sequence[int], length: int) -> list[int]:
  """Fills a row with PAD on the right.

  Raises:
    ValueError: the tokens do not fit.
  """
  if len(tokens) > length:
    raise ValueError(f"{len(tokens)} tokens do not fit in {length}")
  return [*tokens, *[g.PAD] * (length - len(tokens))]
