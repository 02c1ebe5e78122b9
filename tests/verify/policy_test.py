import ast

import pytest

from bitzero_jax.verify import policy


def broken_rule(source):
  try:
    policy.check_program(ast.parse(source))
  except policy.Forbidden as error:
    return str(error)
  return None


@pytest.mark.parametrize(
  "source",
  [
    "def f(x): return [v * 2 for v in x if v % 2]",
    "import math\ndef f(x): return math.gcd(x, 6)",
    "from math import sqrt as root\ndef f(x): return root(x)",
    "from typing import List, Optional\ndef f(x: List[int]) -> int: return 1",
    "def f(x):\n  input = 3\n  id = input\n  return id",
    "def f(_, __): return _ + __",
    "match 1:\n  case [a, *b]: pass\n  case {'k': v, **w}: pass\ndef f(): 1",
    "def f(x):\n  try: return x[0]\n  except (IndexError, KeyError): pass",
    "def f(x):\n  def g():\n    nonlocal x\n    yield from x\n  return g()",
    "def f(x): return f'{x!r:>{5}}' if (y := x) else -y",
    "def f(x, /, *a, k=1, **kw): return dict(a=1)",
    "from __future__ import annotations\ndef f(x: tuple[int, ...]): ...",
    "if __name__ == '__main__': f([1])\ndef f(x): return x",
  ],
)
def test_allowed(source):
  assert broken_rule(source) is None


@pytest.mark.parametrize(
  ("source", "rule"),
  [
    ("import os", "import os"),
    ("from __future__ import division", "import __future__.division"),
    ("__name__ = 'f'", "name __name__"),
    (
      "try: 1\nfinally:\n try: 1\n finally:\n  try: 1\n  finally:\n"
      "   try: 1\n   finally: 1",
      "nested finally",
    ),
    (
      "def f(x):\n  try:\n"
      + "    if x: return 1\n" * 300
      + "  finally:\n"
      + "    x = 1\n" * 60,
      "finally is too long",
    ),
    ("import os.path", "import os.path"),
    ("import math, sys", "import sys"),
    ("from os import *", "import os"),
    ("from math import *", "import math.*"),
    ("from collections import _sys", "import collections._sys"),
    ("from . import math", "import None"),
    ("import typing", "import typing"),
    ("import math\nmath.pi = 3", "attribute store"),
    ("import math\nmath.pi += 3", "attribute store"),
    ("import math\ndel math.pi", "attribute store"),
    ("for math.pi in [3]: pass", "attribute store"),
    ("[0 for x.y in [3]]", "attribute store"),
    ("().__class__", "attribute __class__"),
    ("x.__\uff43lass__", "attribute __class__"),
    ("g.gi_frame", "attribute gi_frame"),
    ("e.__traceback__", "attribute __traceback__"),
    ("re.enum", "attribute enum"),
    ("x.mro", "attribute mro"),
    ("p.func", "attribute func"),
    ("__builtins__", "name __builtins__"),
    ("__builtins__ = {}", "name __builtins__"),
    ("def f(__class__): pass", "name __class__"),
    ("global __builtins__\n__builtins__ = 1", "name __builtins__"),
    ("try: pass\nexcept E as __x__: pass", "name __x__"),
    ("match 1:\n  case __x__: pass", "name __x__"),
    ("match 1:\n  case [*__x__]: pass", "name __x__"),
    ("match 1:\n  case {**__x__}: pass", "name __x__"),
    ("import math as __m__", "name __m__"),
    ("f(__x__=1)", "name __x__"),
    ("eval('1')", "name eval"),
    ("open('a')", "name open"),
    ("getattr(x, 'a')", "name getattr"),
    ("raise SystemExit", "name SystemExit"),
    ("try: pass\nexcept BaseException: pass", "name BaseException"),
    ("try: pass\nexcept* ValueError: pass", "syntax TryStar"),
    ("class A: pass", "syntax ClassDef"),
    ("async def f(): pass", "syntax AsyncFunctionDef"),
    ("with x: pass", "syntax With"),
    ("match 1:\n  case int(real=r): pass", "syntax MatchClass"),
    ("a @ b", "syntax MatMult"),
    ("1j", "constant complex"),
    ("lambda: open", "name open"),
    ("@open\ndef f(): pass", "name open"),
    ("def f(x: open): pass", "name open"),
    ("def f(x=open): pass", "name open"),
    ("f'{open}'", "name open"),
    ("f'{1:{open}}'", "name open"),
  ],
)
def test_forbidden(source, rule):
  assert broken_rule(source) == rule


def test_no_attribute_is_private_or_leads_to_a_frame():
  doors = {"gi_frame", "cr_frame", "tb_frame", "f_back", "f_globals", "mro"}
  assert not any(name.startswith("_") for name in policy.ATTRIBUTES)
  assert not policy.ATTRIBUTES & doors


def test_every_exported_name_exists():
  for name, exports in policy.MODULES.items():
    module = __import__(name)
    missing = {export for export in exports if not hasattr(module, export)}
    assert not missing, f"{name} has no {missing}"


@pytest.mark.parametrize(
  "text",
  [
    "[]",
    "[[1, 2], -3]",
    "[{'a': (1.5, None)}, {1}, b'x', set()]",
    "[+1, True]",
  ],
)
def test_literal_inputs(text):
  policy.check_input(ast.parse(text, mode="eval"))


@pytest.mark.parametrize(
  "text",
  [
    "1",
    "(1, 2)",
    "[x]",
    "[f(1)]",
    "[set([1])]",
    "[set]",
    "[1 + 1]",
    "[9**9**9]",
    "[(f := 3)]",
    "[*range(3)]",
    "[0 for _ in [1]]",
    "[lambda: 0]",
    "[f'{1}']",
    "[{**{}}]",
    "[1] if 1 else []",
    "[--1]",
    "[-True]",
    "[...]",
    "[1j]",
    "[a.b]",
    "[a[0]]",
  ],
)
def test_other_inputs_are_forbidden(text):
  with pytest.raises(policy.Forbidden):
    policy.check_input(ast.parse(text, mode="eval"))
