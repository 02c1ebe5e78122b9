"""Checked and metered programs mean what plain Python means."""

import pytest

from bitzero_jax.verify.canonical import canonical

PROGRAMS = [
  "def f(x):\n  x += x\n  x *= 2\n  return x",
  "def f(x):\n  y = x\n  y += [9]\n  return x, y",
  "def f(x):\n  d = {'a': 1, 'b': [2]}\n  d['a'] += 4\n  d['b'] *= 3\n"
  "  d['b'][1:2] += [7]\n  return d",
  "def f(x):\n  i = [0]\n  def at():\n    i[0] += 1\n    return i[0]\n"
  "  y = [1, 2, 3]\n  y[at()] *= 5\n  return y, i",
  "def f(x):\n  a, *b = x\n  [c, *d] = range(4)\n  return a, b, c, d",
  "def f(x): return [*x, *range(3)], {*x}, {**{1: 2}}, max(*x)",
  "def f(x):\n  x[1:] = (v for v in 'ab')\n  return x",
  "def f(x):\n  for v in x:\n    if v == 2: break\n  else:\n    return 0\n"
  "  return v",
  "def f(x):\n  n = 0\n  while n < 5:\n    n += 1\n    if n == 3: continue\n"
  "  else:\n    n += 10\n  return n",
  "def f(x):\n  try:\n    return x[99]\n  except IndexError as e:\n"
  "    return len(e.args)\n  finally:\n    x.clear()",
  "def f(x):\n  try:\n    1 // 0\n  except:\n    return 'bare'",
  "def f(x):\n  out = []\n  try:\n    out.append(1)\n  except ValueError:\n"
  "    out.append(2)\n  else:\n    out.append(3)\n  finally:\n"
  "    out.append(4)\n  return out",
  "def f(x):\n  def g(n):\n    got = yield n\n    yield got\n    yield from x\n"
  "  h = g(5)\n  return next(h), h.send(7), list(h)",
  "def f(x):\n  n = 0\n  def g():\n    nonlocal n\n    n += 1\n    return n\n"
  "  return [g() for _ in x]",
  "n = 3\ndef f(x):\n  global n\n  n *= 2\n  return n",
  "def f(x): return (lambda a, *b, k=2, **c: (a, b, k, c))(1, 2, k=3, z=4)",
  "def f(x): return [a * b for a in x for b in x if a < b if b != 2]",
  "def f(x): return {k: v for k, v in zip('ab', x)}, {v % 2 for v in x}",
  "def f(x): return sum(v for v in x), list(map(lambda v: v + 1, x))",
  "def f(x): return 1 in x, 9 not in x, 'a' in 'cat', 0 < 1 in x",
  "def f(x): return 3 in range(5), 2.5 in range(5), 2.0 in range(5)",
  "def f(x): return f'{x!r:>12}|{x[0]:03d}|{1.5:.2f}|{x[0]=}|{{}}'",
  "def f(x): return '{} {!r:>5} {a:>{w}} {{}}'.format(1, 's', a=2, w=4)",
  "def f(x): return '{0}{1}{0}'.format('a', 'b'), '{x}'.format_map({'x': 1})",
  "def f(x): return '%s-%05.1f-%r' % (x, 2.25, 'q'), 7 % 4, -7 % 4.5",
  "def f(x): return 2 ** 10, 2 ** -1, 7 ** 0.5, (-2) ** 3, pow(3, 4, 5)",
  "def f(x): return 1 << 10, 5 + 2.5, 'a' + 'b', [1] + x, (1,) * 3, 3 * 'ab'",
  "def f(x):\n  match x:\n    case []: return 'none'\n"
  "    case [1, *rest] if rest: return rest\n    case _: return 'other'",
  "def f(x):\n  match {'k': x}:\n    case {'k': [a, _, c], **rest}:\n"
  "      return a | c, rest",
  "import math\ndef f(x): return math.pi, math.comb(5, 2), math.prod(x)",
  "from math import gcd as g, factorial\ndef f(x): return g(12, 18), factorial(5)",
  "import collections\ndef f(x):\n  c = collections.Counter('aab')\n"
  "  c.update('b')\n  d = collections.deque(x, maxlen=2)\n  d.append(9)\n"
  "  return c.most_common(), list(d), dict(c)",
  "from collections import defaultdict\ndef f(x):\n  d = defaultdict(list)\n"
  "  for v in x: d[v % 2].append(v)\n  return dict(d)",
  "from itertools import accumulate, chain, product\ndef f(x):\n"
  "  return (list(accumulate(x)), list(chain(x, x)), len(list(product(x, x))),\n"
  "    list(chain.from_iterable([x, x])))",
  "import itertools\ndef f(x):\n  c = itertools.count(5)\n"
  "  return [next(c) for _ in x], list(zip(x, itertools.cycle('ab')))",
  "import functools\ndef f(x):\n  @functools.lru_cache(maxsize=None)\n"
  "  def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
  "  return fib(50), functools.reduce(lambda a, b: a * b, x)",
  "import re\ndef f(x): return re.findall('[a-c]+', 'abxcab'), "
  "re.sub('a', 'b', 'aa'), re.match('(a)(b)', 'ab').groups()",
  "import heapq, bisect\ndef f(x):\n  heapq.heapify(x)\n"
  "  return heapq.heappop(x), bisect.bisect([1, 3], 2)",
  "def f(x): return 'a,b'.split(','), '-'.join(map(str, x)), 'x'.zfill(3), "
  "'ab'.replace('a', 'cc'), 'a'.ljust(3, '.'), 'a\\tb'.expandtabs(4)",
  "def f(x): return 'ab'.translate(str.maketrans('a', 'z')), 'aXa'.count('a'), "
  "'é'.encode(), b'ab'.decode('ascii')",
  "def f(x): return dict.fromkeys(x, 0), str.upper('a'), list.count(x, 1)",
  "def f(x): return sorted(x, key=lambda v: -v), x[::-1], list(reversed(x))",
  "def f(x):\n  x.sort(reverse=True)\n  x.extend(range(2))\n  x.insert(0, 5)\n"
  "  return x, x.index(5), x.pop(), x.count(1)",
  "def f(x):\n  s = {1, 2}\n  s |= {3}\n  s.update(x, range(5))\n"
  "  return s, s.union([9]), s & {1}, s ^ {1, 77}, s.issubset(range(9))",
  "def f(x): return list(enumerate(x, 1)), list(filter(None, [0, 1])), "
  "any(x), all([]), min(x, key=lambda v: v % 3), max([], default=4)",
  "def f(x): return isinstance(x, list), type(x) is list, type(1) == int",
  "def f(x): return int('12'), float('1.5'), bool([]), str(12), repr('a'), "
  "chr(97), ord('a'), hex(255), bin(5), round(2.567, 1), divmod(7, 2), abs(-3)",
  "def f(x):\n  it = iter(x)\n  return next(it), next(it, 0), list(it)",
  "def f(x):\n  n = [3]\n  def pop():\n    n[0] -= 1\n    return n[0]\n"
  "  return list(iter(pop, 0))",
  "def f(x):\n  y: int = 4\n  z: list\n  if (w := len(x)) > 2: y -= w\n"
  "  assert w, 'empty'\n  del x[0]\n  return y, x",
  "list = tuple\ndef f(x): return list(x)",
  "def f(x, acc=[]):\n  acc.append(len(x))\n  return acc",
  "import copy\ndef f(x): return copy.deepcopy([x, x])",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_same_value_as_plain_python(ask, program):
  namespace = {}
  exec(program, namespace)
  expected = canonical(namespace["f"]([1, 2, 3]), 1000, 10, 10_000)
  verdict = ask(program, "[[1, 2, 3]]")
  assert (verdict.error, verdict.value) == ("", expected)


ERRORS = [
  ("def f(x): return 1 // 0", "ZeroDivisionError"),
  ("def f(x): return [][0]", "IndexError"),
  ("def f(x): return {}['a']", "KeyError"),
  ("def f(x): return 'a' + 1", "TypeError"),
  ("def f(x): return 1 in 2", "TypeError"),
  ("def f(x):\n  for v in 3: pass", "TypeError"),
  ("def f(x): return x.append", "NotAValue"),
  ("def f(x): return nowhere", "NameError"),
  ("def f(x): raise ValueError('a')", "ValueError"),
  ("def f(x):\n  try: raise KeyError\n  except KeyError: raise", "KeyError"),
  ("def f(x): return '{1}'.format(0)", "IndexError"),
  ("def f(x): return '{a}'.format(0)", "KeyError"),
  ("def f(x): return int('q')", "ValueError"),
  ("def f(x): return next(iter([]))", "StopIteration"),
  ("def f(x): assert False", "AssertionError"),
  ("def f(): return 1", "TypeError"),
  ("g = 1", "NameError"),
  ("f = 1", "NameError"),
  ("def f(x) return x", "SyntaxError"),
  ("", "NameError"),
]


@pytest.mark.parametrize(("program", "name"), ERRORS)
def test_errors_keep_their_names(ask, program, name):
  verdict = ask(program, "[[1]]")
  assert (verdict.status, verdict.error) == ("error", name)
