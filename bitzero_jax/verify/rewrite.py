"""Adds meters to a checked program before it is compiled.

Loops and calls spend fuel, operators and methods that can build something huge
go through `guards.py`, and no handler can swallow a limit. Added names start
with "@", which no program can spell.
"""

import ast

from methods import GUARDED_METHODS  # type: ignore[import-not-found]
from policy import MODULES  # type: ignore[import-not-found]

_OPERATORS = {
  ast.Add: "add",
  ast.Mult: "mul",
  ast.Pow: "pow",
  ast.LShift: "shift",
  ast.Mod: "mod",
  ast.BitOr: "union",
  ast.BitAnd: "common",
  ast.BitXor: "either",
  ast.Sub: "without",
}
# A number on one side makes these cheap.
_OF_NUMBERS = frozenset(("add", "without"))


def add_meters(tree: ast.Module) -> ast.Module:
  """Rewrites a program that the policy allows.

  Args:
    tree: the program; it is changed.

  Returns:
    the tree, ready to compile.
  """
  return ast.fix_missing_locations(_Meters().visit(tree))


def _name(name: str) -> ast.Name:
  return ast.Name(name, ast.Load())


def _call(name: str, *args: ast.expr) -> ast.Call:
  return ast.Call(_name(name), list(args), [])


def _is_number(node: ast.AST) -> bool:
  return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _assign(target: str, value: ast.expr) -> ast.Assign:
  return ast.Assign([ast.Name(target, ast.Store())], value)


class _Meters(ast.NodeTransformer):
  def visit_Constant(self, node):
    return node

  def visit_Name(self, node):
    return node

  def visit_FunctionDef(self, node):
    self.generic_visit(node)
    node.returns = None
    node.body.insert(0, ast.Expr(_call("@tick")))
    return node

  def visit_Lambda(self, node):
    self.generic_visit(node)
    node.body = ast.BoolOp(ast.And(), [_call("@tick"), node.body])
    return node

  def visit_arg(self, node):
    node.annotation = None
    return node

  def visit_AnnAssign(self, node):
    self.generic_visit(node)
    if node.value is None:
      return ast.Pass()
    return _unpacked(ast.Assign([node.target], node.value))

  def visit_For(self, node):
    self.generic_visit(node)
    node.iter = _each(node)
    return node

  def visit_comprehension(self, node):
    self.generic_visit(node)
    node.iter = _each(node)
    return node

  def visit_While(self, node):
    self.generic_visit(node)
    node.test = ast.BoolOp(ast.And(), [_call("@tick"), node.test])
    return node

  def visit_YieldFrom(self, node):
    self.generic_visit(node)
    node.value = _call("@delegate", node.value)
    return node

  def visit_Try(self, node):
    self.generic_visit(node)
    for handler in node.handlers:
      handler.type = handler.type or _name("@Exception")
    node.handlers[:0] = _marks()
    if node.finalbody:  # it could swallow what a handler or `else` raises
      inner = ast.Try(node.body, node.handlers, node.orelse, [])
      return ast.Try([inner], _marks(), [], node.finalbody)
    return node

  def visit_Match(self, node):
    self.generic_visit(node)
    if any(isinstance(part, ast.MatchStar) for part in ast.walk(node)):
      node.subject = _call("@eager", node.subject)
    return node

  def visit_BinOp(self, node):
    self.generic_visit(node)
    guard = _OPERATORS.get(type(node.op))
    if guard is None:
      return node
    if guard in _OF_NUMBERS and (
      _is_number(node.left) or _is_number(node.right)
    ):
      return node
    return _call(f"@{guard}", node.left, node.right)

  def visit_AugAssign(self, node):
    self.generic_visit(node)
    guard = _OPERATORS.get(type(node.op))
    if guard is None or (guard in _OF_NUMBERS and _is_number(node.value)):
      return node
    guard = f"@i{guard}"
    target = node.target
    if isinstance(target, ast.Name):
      return _assign(target.id, _call(guard, _name(target.id), node.value))
    assert isinstance(target, ast.Subscript)  # the policy has no other
    index = target.slice
    if isinstance(index, ast.Slice):
      index = _call("@slice", *_bounds(index))

    def item(ctx):
      return ast.Subscript(_name("@object"), _name("@index"), ctx)

    result = _call(guard, item(ast.Load()), node.value)
    return [
      _assign("@object", target.value),
      _assign("@index", index),
      ast.Assign([item(ast.Store())], result),
    ]

  def visit_Assign(self, node):
    self.generic_visit(node)
    return _unpacked(node)

  def visit_Starred(self, node):
    self.generic_visit(node)
    if isinstance(node.ctx, ast.Load):
      node.value = _call("@spread", node.value)
    return node

  def visit_Compare(self, node):
    self.generic_visit(node)
    right = node.comparators
    if len(right) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
      if isinstance(right[0], ast.Constant | ast.List | ast.Tuple | ast.Set):
        return node
      found = _call("@contains", node.left, right[0])
      negated = isinstance(node.ops[0], ast.NotIn)
      return ast.UnaryOp(ast.Not(), found) if negated else found
    for i, op in enumerate(node.ops):
      if isinstance(op, ast.In | ast.NotIn):
        right[i] = _call("@eager", right[i])
    return node

  def visit_Subscript(self, node):
    self.generic_visit(node)
    if isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Slice):
      return _call("@cut", node.value, *_bounds(node.slice))
    return node

  def visit_Attribute(self, node):
    self.generic_visit(node)
    if node.attr == "args":
      return _call("@args", node.value)
    if node.attr in GUARDED_METHODS:
      return _call("@method", node.value, ast.Constant(node.attr))
    return node

  def visit_FormattedValue(self, node):
    self.generic_visit(node)
    spec = node.format_spec or ast.Constant("")
    code = "" if node.conversion < 0 else chr(node.conversion)
    text = _call("@field", node.value, ast.Constant(code), spec)
    return ast.FormattedValue(text, -1, None)

  def visit_Import(self, node):
    return [
      _assign(alias.asname or alias.name, _name(f"@{alias.name}"))
      for alias in node.names
    ]

  def visit_ImportFrom(self, node):
    if node.module == "__future__":
      return ast.Pass()
    if node.module not in MODULES:
      return [
        _assign(alias.asname or alias.name, _name("@typing"))
        for alias in node.names
      ]
    return [
      _assign(
        alias.asname or alias.name,
        ast.Attribute(_name(f"@{node.module}"), alias.name, ast.Load()),
      )
      for alias in node.names
    ]


def _bounds(part: ast.Slice) -> list[ast.expr]:
  bounds = (part.lower, part.upper, part.step)
  return [bound or ast.Constant(None) for bound in bounds]


def _each(loop: ast.For | ast.comprehension) -> ast.expr:
  walked = _call("@each", loop.iter)
  return _call("@spread_each", walked) if _consumes(loop.target) else walked


def _unpacked(node: ast.Assign) -> ast.Assign:
  if not isinstance(node.value, ast.Tuple | ast.List) and any(
    map(_consumes, node.targets)
  ):
    node.value = _call("@spread", node.value)
  return node


def _marks() -> list[ast.ExceptHandler]:
  return [_mark("@MemoryError"), _mark("@RecursionError")]


def _mark(name: str) -> ast.ExceptHandler:
  """A handler that notes an exception and lets it go on."""
  key = ast.Subscript(_name("@caught"), _name(name), ast.Store())
  body = [ast.Assign([key], ast.Constant(True)), ast.Raise()]
  return ast.ExceptHandler(_name(name), None, body)


def _consumes(target: ast.expr) -> bool:
  """Whether assigning to this target reads an iterable to its end."""
  if isinstance(target, ast.Subscript):
    return isinstance(target.slice, ast.Slice)
  return isinstance(target, ast.List | ast.Tuple)
