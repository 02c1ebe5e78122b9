"""Whatever chooses the tokens, every sample is a program that Python accepts.

The checkers here read the rendered source and know nothing of the tables.
"""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language import automaton, layout, levels, prior, render
from bitzero_jax.language import grammar as g

SIZES = layout.Sizes(program=20, value=12, shown=4, hidden=2, references=1)
ROWS = 4000
UNARY = {"sorted", "len", "sum", "max", "min", "list", "set", "abs", "range"}
INT_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.FloorDiv)
ORDERS = (ast.Lt, ast.Gt, ast.Eq, ast.NotEq)


def typed(node, scope):
  """Type of an expression over x, and v where `scope`; else AssertionError.

  A list never sees v.
  """
  found = infer(node, scope)
  return infer(node, False) if found == "list" else found


def infer(node, scope):
  match node:
    case ast.Constant(value=int(value)) if type(value) is int and value >= 0:
      return "int"
    case ast.Name(id="x"):
      return "list"
    case ast.Name(id="v"):
      assert scope, "v outside a comprehension"
      return "int"
    case ast.List(elts=[item]):
      return expect(item, "int", scope) and "list"
    case ast.ListComp(elt=elt, generators=[loop]):
      assert isinstance(loop.target, ast.Name) and loop.target.id == "v"
      assert not loop.is_async
      assert typed(loop.iter, False) == "list"
      plain = isinstance(elt, ast.Name)
      assert plain == bool(loop.ifs), "a map maps, a filter keeps v"
      assert all(typed(test, True) == "bool" for test in loop.ifs)
      assert len(loop.ifs) < 2
      return expect(elt, "int", True) and "list"
    case ast.BinOp(left=left, op=op, right=right):
      both = typed(left, scope), typed(right, scope)
      if isinstance(op, ast.Add) and both == ("list", "list"):
        return "list"
      if isinstance(op, ast.Mult) and both == ("list", "int"):
        return "list"
      assert isinstance(op, INT_OPERATORS) and both == ("int", "int")
      return "int"
    case ast.Compare(left=left, ops=[op], comparators=[right]):
      both = typed(left, scope), typed(right, scope)
      if isinstance(op, ast.In):
        assert both == ("int", "list")
      else:
        assert isinstance(op, ORDERS) and both == ("int", "int")
      return "bool"
    case ast.BoolOp(values=values):
      return all(expect(v, "bool", scope) for v in values) and "bool"
    case ast.UnaryOp(op=ast.Not(), operand=operand):
      return expect(operand, "bool", scope)
    case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):
      return "int"
    case ast.IfExp(test=test, body=body, orelse=orelse):
      expect(test, "bool", scope)
      return expect(body, typed(orelse, scope), scope)
    case ast.Subscript(value=value, slice=ast.Slice(lower, upper, step)):
      expect(value, "list", scope)
      bounds = [part for part in (lower, upper, step) if part is not None]
      assert len(bounds) == 1
      return expect(bounds[0], "int", scope) and "list"
    case ast.Subscript(value=value, slice=index):
      expect(value, "list", scope)
      return expect(index, "int", scope)
    case ast.Call(func=ast.Attribute(value=value, attr=name), args=[one]):
      if name == "fromkeys":
        assert isinstance(value, ast.Name) and value.id == "dict"
        return expect(one, "list", scope)
      assert name == "count" and typed(value, scope) == "list"
      return expect(one, "int", scope)
    case ast.Call(func=ast.Name(id=name), args=[one, two], keywords=[]):
      assert name in ("max", "min")
      return expect(one, "int", scope) and expect(two, "int", scope)
    case ast.Call(func=ast.Name(id=name), args=[one], keywords=[]):
      assert name in UNARY
      wanted = "int" if name in ("abs", "range") else "list"
      expect(one, wanted, scope)
      return "int" if name in ("len", "sum", "max", "min", "abs") else "list"
  raise AssertionError(ast.dump(node))


def expect(node, wanted, scope):
  found = typed(node, scope)
  assert found == wanted, f"{ast.unparse(node)} is {found}, not {wanted}"
  return found


@pytest.mark.parametrize(
  ("good", "text"),
  [
    (True, "[v + 1 for v in x]"),
    (False, "[v for v in x]"),
    (False, "v"),
    (False, "x + 1"),
    (False, "sum(3)"),
    (False, "[[v + 1 for v in x] for v in x]"),
    (True, "[v for v in x if v in [v + 1 for v in x]]"),
    (False, "[v for v in x if v in [v]]"),
    (True, "x[::-1] if len(x) > 3 and not x[0] in x else [x[-1]]"),
    (False, "x if len(x) else x"),
  ],
)
def test_the_checker_of_this_file_can_say_no(good, text):
  try:
    typed(ast.parse(text, mode="eval").body, False)
  except AssertionError:
    assert not good
  else:
    assert good


def plan_for(tables, key):
  """Proposals whose program budgets run from the shortest to the longest."""
  plan = layout.proposal_plan(tables, ROWS)
  longest = jax.random.randint(key, (ROWS,), 2, tables.program + 1)
  return plan._replace(budget=plan.budget.at[:, 0].set(longest))


@jax.jit
def by_the_prior(tables, key):
  plan_key, key = jax.random.split(key)
  plan = plan_for(tables, plan_key)
  rows = prior.sample(tables, plan, key, SIZES.proposal[1], SIZES.slots)
  return rows, plan.budget


@jax.jit
def by_a_random_model(tables, key):
  """Fresh random logits at each step, far from the prior."""
  plan_key, key = jax.random.split(key)
  plan = plan_for(tables, plan_key)

  def step(states, step_key):
    logits = 4.0 * jax.random.normal(step_key, (ROWS, g.VOCABULARY))
    bias = jax.vmap(lambda s: automaton.bias(tables, s, 0.0))(states)
    token = jnp.argmax(logits + bias, axis=-1).astype(jnp.int32)
    moved = jax.vmap(lambda p, s, t: automaton.advance(tables, p, s, t))(
      plan, states, token
    )
    return moved, token

  begin = jax.vmap(lambda p: automaton.start(tables, p, SIZES.slots))(plan)
  keys = jax.random.split(key, SIZES.proposal[1])
  _, tokens = jax.lax.scan(step, begin, keys)
  return tokens.T, plan.budget


SOURCES = [
  ("prior", "small", "hand"),
  ("prior", "full", "uniform"),
  ("prior", "full", "hand"),
  ("model", "small", "uniform"),
  ("model", "full", "hand"),
]
WRITERS = {"prior": by_the_prior, "model": by_a_random_model}


@pytest.fixture(scope="module", params=SOURCES, ids="-".join)
def written(request):
  writer, level, weights = request.param
  tables = jax.tree.map(
    jnp.asarray, levels.build(levels.LEVELS[level], weights)
  )
  rows, budget = WRITERS[writer](tables, jax.random.key(3))
  program, value = layout.split_proposal(rows, SIZES)
  parts = (rows, budget, program, value)
  return levels.LEVELS[level], *map(np.asarray, parts)


def test_every_row_is_its_program_then_its_input_then_padding(written):
  _, rows, _, programs, values = written
  for row, program, value in zip(rows, programs, values, strict=True):
    both = render.strip(program) + render.strip(value)
    assert tuple(row) == tuple(render.pad(both, rows.shape[1]))


def test_every_sample_fits_its_budget_and_its_level(written):
  level, _, budget, programs, values = written
  lengths = (programs != g.PAD).sum(1)
  assert (lengths >= 2).all() and (lengths <= budget[:, 0]).all()
  assert budget[:, 0].max() == level.program
  assert ((values != g.PAD).sum(1) <= level.items + 2).all()
  literal = programs[
    (programs >= g.FIRST_INT) & (programs < g.FIRST_PRODUCTION)
  ]
  literal = literal - g.FIRST_INT + g.INT_MIN
  assert literal.min() == 0 and literal.max() == level.literal
  for value in map(render.strip, values):
    items = ast.literal_eval(render.value_text(value))
    assert type(items) is list and len(items) <= level.items
    assert all(level.low <= item <= level.high for item in items)
  named = {
    g.PRODUCTIONS[t - g.FIRST_PRODUCTION].level
    for t in np.unique(programs[programs >= g.FIRST_PRODUCTION])
  }
  assert named == set(level.rows)


def test_every_program_compiles_has_types_and_reads_back(written):
  programs = {render.strip(p) for p in written[3]}
  assert len(programs) > ROWS / 10
  for program in programs:
    text = render.source(program)
    (function,) = ast.parse(text).body
    compile(text, "f", "exec")
    node = function.body[0].value
    assert typed(node, False) in ("list", "int")
    # `max(a, b)` and an operator's parentheses come back the same way.
    assert render.parse(text) == program
    assert render.parse(ast.unparse(node)) == program


def test_every_value_reads_back(written):
  for value in {render.strip(v) for v in written[4]}:
    assert render.value_tokens(render.value_text(value)) == value


def test_one_compiled_writer_serves_all_levels():
  shapes = [
    jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), levels.build(level))
    for level in levels.LEVELS.values()
  ]
  assert all(shape == shapes[0] for shape in shapes)
  writer = jax.jit(lambda tables, key: by_the_prior(tables, key)[0])
  longest = {}
  for name, level in levels.LEVELS.items():
    tables = jax.tree.map(jnp.asarray, levels.build(level))
    rows = np.asarray(writer(tables, jax.random.key(0)))
    program, _ = layout.split_proposal(rows, SIZES)
    longest[name] = int((program != g.PAD).sum(1).max())
  assert writer._cache_size() == 1
  assert longest["small"] == 8 < longest["medium"] <= 12
  assert 12 < longest["full"] <= 20
