"""What a program may say: an allow-list over its syntax tree.

Pure functions. What is not listed is forbidden, so a new Python brings no new
holes. The kernel's wall stands behind this one, see `lockdown.py`.
"""

import ast
import builtins


class Forbidden(Exception):
  """A program or an input breaks a rule; the text names the rule."""


BUILTINS = frozenset(
  """
  abs all any ascii bin bool bytes callable chr dict divmod enumerate filter
  float format frozenset hex int isinstance issubclass iter len list map max
  min next oct ord pow print range repr reversed round set slice sorted str sum
  tuple type zip
  Exception ArithmeticError AssertionError AttributeError IndexError KeyError
  LookupError NameError NotImplementedError OverflowError RuntimeError
  StopIteration TypeError UnicodeDecodeError UnicodeEncodeError UnicodeError
  ValueError ZeroDivisionError
  """.split()
)

MODULES = {
  name: frozenset(exports.split())
  for name, exports in {
    "math": """
      acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh
      degrees dist e erf erfc exp exp2 expm1 fabs factorial floor fmod frexp
      fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp
      lgamma log log10 log1p log2 modf nan perm pi pow prod radians remainder
      sin sinh sqrt tan tanh tau trunc""",
    "string": """
      ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits
      octdigits printable punctuation whitespace""",
    "collections": "Counter OrderedDict defaultdict deque",
    "itertools": """
      accumulate chain combinations combinations_with_replacement compress
      count cycle dropwhile filterfalse groupby islice pairwise permutations
      product repeat starmap takewhile tee zip_longest""",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "operator": """
      add and_ contains eq floordiv ge gt itemgetter le lt mod mul ne neg not_
      or_ sub truediv xor""",
    "re": """
      DOTALL I IGNORECASE M MULTILINE S compile escape findall finditer
      fullmatch match search split sub subn""",
    "bisect": """
      bisect bisect_left bisect_right insort insort_left insort_right""",
    "heapq": """
      heapify heappop heappush heappushpop heapreplace merge nlargest
      nsmallest""",
    "copy": "copy deepcopy",
  }.items()
}

# Names for annotations, which are dropped before the program is compiled.
TYPING = frozenset(
  """
  Any Callable Counter DefaultDict Deque Dict FrozenSet Generator Hashable
  Iterable Iterator List Mapping Optional Sequence Set Tuple Type TypeVar Union
  """.split()
)

_DECLARED = {"typing": TYPING, "__future__": frozenset(("annotations",))}

_VALUE_TYPES = (str, bytes, int, float, list, tuple, dict, set, frozenset)
_EXTRA_METHODS = """
  appendleft args elements extendleft from_iterable group groupdict groups
  end most_common move_to_end popleft rotate send span start subtract total
""".split()
_HIDDEN = {"from_bytes", "fromhex", "maxlen"}

ATTRIBUTES = frozenset(
  {
    name
    for kind in _VALUE_TYPES
    for name in dir(kind)
    if not name.startswith("_")
  }.union(_EXTRA_METHODS, *MODULES.values()).difference(_HIDDEN)
)

_NODES = frozenset(
  getattr(ast, name)
  for name in """
  Module FunctionDef Lambda arguments arg Return Delete Assign AugAssign
  AnnAssign For While If Raise Try Assert Import ImportFrom Global Nonlocal Expr
  Pass Break Continue alias ExceptHandler
  BoolOp NamedExpr BinOp UnaryOp IfExp Dict Set ListComp SetComp DictComp
  GeneratorExp Yield YieldFrom Compare Call keyword FormattedValue JoinedStr
  Constant Attribute Subscript Starred Name List Tuple Slice comprehension
  Load Store Del And Or Add Sub Mult Div Mod Pow LShift RShift BitOr BitXor
  BitAnd FloorDiv Invert Not UAdd USub Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn
  Match match_case MatchValue MatchSingleton MatchSequence MatchMapping
  MatchStar MatchAs MatchOr
  """.split()
)
_SCALARS = frozenset((int, bool, float, str, bytes, type(None)))
_CONSTANTS = _SCALARS | {type(...)}  # as in `def f(x): ...`
_LITERALS = (
  *(ast.Expression, ast.List, ast.Tuple, ast.Dict, ast.Set),
  *(ast.Load, ast.UAdd, ast.USub),
)
_MAIN = {"__name__"}  # as in `if __name__ == "__main__"`, which is never so
_JUMPS = frozenset((ast.Return, ast.Break, ast.Continue))
_MOST_FINALLY = 3  # `finally` inside `finally`: the code doubles each time
_MOST_COPIED = 20_000
_EVERY_BUILTIN = frozenset(dir(builtins))


def check_program(tree: ast.Module) -> None:
  """Refuses a tree that leaves the allowed language.

  Args:
    tree: a parsed program.

  Raises:
    Forbidden: with the rule that the program breaks.
  """
  loaded: set[str] = set()
  bound: set[str] = set()
  todo: list[ast.AST] = [tree]
  jumps = copied = 0
  while todo:
    node = todo.pop()
    kind = type(node)
    if kind not in _NODES:
      raise Forbidden(f"syntax {kind.__name__}")
    jumps += kind in _JUMPS
    if isinstance(node, ast.Try):
      copied += _size_of_finally(node)
    if isinstance(node, ast.Name):
      (loaded if type(node.ctx) is ast.Load else bound).add(node.id)
      continue
    if isinstance(node, ast.Constant):
      if type(node.value) not in _CONSTANTS:
        raise Forbidden(f"constant {type(node.value).__name__}")
      continue
    if isinstance(node, ast.Attribute):
      _check_attribute(node)
    elif kind in _BINDERS:
      _BINDERS[kind](node, bound)
    for field in kind._fields:
      child = getattr(node, field, None)
      if isinstance(child, list):
        todo += [c for c in child if isinstance(c, ast.AST)]
      elif isinstance(child, ast.AST):
        todo.append(child)
  if copied * jumps > _MOST_COPIED:
    raise Forbidden("finally is too long")
  hidden = {n for n in loaded | bound if n[:2] == "__" and n.strip("_")}
  hidden |= (loaded & _EVERY_BUILTIN) - BUILTINS - bound
  hidden -= _MAIN - bound
  if hidden:
    raise Forbidden(f"name {min(hidden)}")


def _size_of_finally(node: ast.Try, depth: int = 1) -> int:
  """Nodes that the compiler copies to each way out of a `try`."""
  if depth > _MOST_FINALLY:
    raise Forbidden("nested finally")
  inside = [part for step in node.finalbody for part in ast.walk(step)]
  for part in inside:
    if isinstance(part, ast.Try) and part.finalbody:
      _size_of_finally(part, depth + 1)
  return len(inside)


def check_input(tree: ast.Expression) -> None:
  """Refuses an input that is more than a bracketed list of literals.

  Args:
    tree: a parsed input.

  Raises:
    Forbidden: with the rule that the input breaks.
  """
  if type(tree.body) is not ast.List:
    raise Forbidden("input is no list of arguments")
  todo: list[ast.AST] = [tree]
  while todo:
    node = todo.pop()
    if isinstance(node, ast.Call) and ast.unparse(node) == "set()":
      continue  # the only spelling of the empty set
    if isinstance(node, ast.Constant):
      fine = type(node.value) in _SCALARS
    elif isinstance(node, ast.UnaryOp):
      operand = node.operand
      fine = isinstance(operand, ast.Constant) and type(operand.value) in (
        int,
        float,
      )
    elif isinstance(node, ast.Dict):
      fine = None not in node.keys
    else:
      fine = isinstance(node, _LITERALS)
    if not fine:
      raise Forbidden(f"input {type(node).__name__}")
    todo += ast.iter_child_nodes(node)


def _check_attribute(node: ast.Attribute) -> None:
  if type(node.ctx) is not ast.Load:
    raise Forbidden("attribute store")
  if node.attr not in ATTRIBUTES:
    raise Forbidden(f"attribute {node.attr}")


def _bind_function(node, bound: set[str]) -> None:
  bound.add(node.name)
  if getattr(node, "type_params", None):
    raise Forbidden("syntax TypeParameter")


def _bind_import(node: ast.Import, bound: set[str]) -> None:
  for alias in node.names:
    if alias.name not in MODULES:
      raise Forbidden(f"import {alias.name}")
    bound.add(alias.asname or alias.name)


def _bind_import_from(node: ast.ImportFrom, bound: set[str]) -> None:
  module = node.module or ""
  exports = _DECLARED.get(module) or MODULES.get(module)
  if node.level or exports is None:
    raise Forbidden(f"import {node.module}")
  for alias in node.names:
    if alias.name not in exports:
      raise Forbidden(f"import {node.module}.{alias.name}")
    bound.add(alias.asname or alias.name)


def _bind_one(node, bound: set[str]) -> None:
  name = getattr(node, "name", None) or getattr(node, "rest", None)
  if name:
    bound.add(name)


def _bind_arg(node, bound: set[str]) -> None:
  if node.arg:
    bound.add(node.arg)


def _check_keyword(node: ast.keyword, bound: set[str]) -> None:
  del bound
  if node.arg and node.arg[:2] == "__":
    raise Forbidden(f"name {node.arg}")


_BINDERS = {
  ast.FunctionDef: _bind_function,
  ast.Import: _bind_import,
  ast.ImportFrom: _bind_import_from,
  ast.ExceptHandler: _bind_one,
  ast.MatchAs: _bind_one,
  ast.MatchStar: _bind_one,
  ast.MatchMapping: _bind_one,
  ast.arg: _bind_arg,
  ast.keyword: _check_keyword,
}
