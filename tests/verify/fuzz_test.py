"""Random safe programs mean what plain Python means, or stop as it does."""

import random
import re

import pytest

from bitzero_jax.verify.canonical import canonical
from bitzero_jax.verify.verdict import Job

_INTS = """
{i} + {i}; {i} - {i}; {i} * {i}; {i} // {i}; {i} % {i}; -{i}; abs({i});
max({i}, {i}); len({l}); sum({l}); {i} if {b} else {i}; {l}[{i}]; {n};
int({s} + '1'); {l}.count({i}); {i} ** 2; {i} << 2; {d}.get({i}, {i}); a; b;
min({l}, default={i}); {s}.find('1'); divmod({i}, 7)[1]; round({i} / 3)
"""
_LISTS = """
x; x; [{i}, {i}]; {l} + {l}; {l}[{n}:]; {l}[::-1]; sorted({l}); {l} * 2;
[v for v in {l} if v > {n}]; [{i} for v in range({n})]; list(map(abs, {l}));
list(range({n})); list({d}); [*{l}, {i}]; list(zip({l}, {l}))[0:0];
[v + k for k, v in enumerate({l})]; list(reversed({l})); [*filter(None, {l})];
[int(c) for c in {s} if c.isdigit()]; list(itertools.accumulate({l}))
"""
_STRINGS = """
str({i}); repr({l}); {s} + {s}; {s} * 2; {s}[{n}:]; {s}.upper(); {s}[::-1];
f'{a}-{b:>4}'; '{}, {}'.format({i}, {s}); '%d' % {i}; {s}.strip();
','.join(map(str, {l})); {s}.replace('1', 'one'); {s}.zfill({n}); chr(97 + {n})
"""
_DICTS = """
{{i}: {i}}; dict(zip({l}, {l})); {v: v % 3 for v in {l}}; {};
dict(collections.Counter({l})); {**{d}, {i}: {i}}
"""
_BOOLS = """
{i} < {i}; {i} == {i}; {i} in {l}; not {b}; {b} and {b}; {b} or {b}; any({l});
all({l}); {s}.isdigit(); {i} not in {d}; {l} == {l}; {i} <= {i} < {i}
"""
_CHOICES = {
  letter: [part.strip() for part in text.split(";")]
  for letter, text in zip(
    "ilsdb", (_INTS, _LISTS, _STRINGS, _DICTS, _BOOLS), strict=True
  )
}
_LEAVES = {"i": "a", "l": "x", "s": "'12'", "d": "{1: 2}", "b": "True"}
_STATEMENTS = """
a = {i}; a += {i}; b -= {i}; x = {l}; x += {l}; x[0] = {i}; x[1:2] = {l};
x.append({i}); x.extend({l}); del x[-1]; a, b = b, {i}; a, *x = [{i}, {i}, {i}];
if {b}: a = {i}|else: b = {i}; for a in {l}[:5]: b += a; while x: x.pop();
try: a = {i}|except ZeroDivisionError: a = {n}|finally: b += 1;
for v in {l}[:4]:\\n    if v > {n}: break|else: a = {n};
try: a = {l}[{i}]|except (IndexError, ValueError) as e: b = len(str(e.args));
assert {b}, {s}; x.sort(); x.insert({n}, {i}); x.reverse(); pass;
match a:\\n    case 1: b = 2\\n    case _: b = 3; a = (lambda v: v + {n})({i});
b = next((v for v in {l} if v > {n}), {i}); a *= {n}; b //= {i}
"""
_HEAD = "import itertools, collections\ndef f(x):\n  a, b = 3, 5\n"


def expression(rng: random.Random, letter: str, depth: int) -> str:
  if letter == "n":
    return str(rng.randint(0, 5))
  if depth == 0:
    return _LEAVES[letter]
  template = rng.choice(_CHOICES[letter])
  return f"({fill(rng, template, depth - 1)})"


def fill(rng: random.Random, template: str, depth: int) -> str:
  def write(field: re.Match) -> str:
    return expression(rng, field[1], depth)

  return re.sub(r"\{([ilsdbn])\}", write, template)


def program(rng: random.Random) -> str:
  body = ""
  statements = [part.strip() for part in _STATEMENTS.split(";")]
  for _ in range(rng.randint(1, 6)):
    text = fill(rng, rng.choice(statements), 2).replace("\\n", "\n")
    body += "".join(f"  {line}\n" for line in text.split("|"))
  last = expression(rng, rng.choice("ilsdb"), 3)
  return f"{_HEAD}{body}  return a, b, x, {last}\n"


def plain(source: str, value: list[int]) -> tuple[str, str]:
  names: dict = {}
  exec(source, names)
  try:
    return "ok", canonical(names["f"](list(value)), 10_000, 32, 65_536)
  except Exception as error:
    return "error", type(error).__name__


def disagreements(executor, seed: int, count: int) -> list[str]:
  rng = random.Random(seed)
  jobs = [Job(program(rng), ("[[2, 0, 7, 1]]", "[[]]")) for _ in range(count)]
  found = []
  for job, verdicts in zip(jobs, executor.run(jobs), strict=True):
    for verdict, value in zip(verdicts, ([2, 0, 7, 1], []), strict=True):
      due = plain(job.program, value)
      if (verdict.status, verdict.value or verdict.error) != due:
        found.append(f"{job.program}{verdict[:3]}, not {due}")
  return found


def test_random_programs_mean_what_python_means(executor):
  assert disagreements(executor, 0, 1000) == []


@pytest.mark.slow
def test_many_random_programs_mean_what_python_means(executor):
  for seed in range(1, 51):
    assert disagreements(executor, seed, 1000) == []
