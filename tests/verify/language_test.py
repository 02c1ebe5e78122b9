"""Checked and metered programs mean what plain Python means."""

import pytest

from bitzero_jax.verify.canonical import canonical

# Programs stand apart by an empty line.
PROGRAMS = r"""
def f(x):
  x += x
  x *= 2
  return x

def f(x):
  y = x
  y += [9]
  return x, y

def f(x):
  d = {'a': 1, 'b': [2]}
  d['a'] += 4
  d['b'] *= 3
  d['b'][1:2] += [7]
  return d

def f(x):
  i = [0]
  def at():
    i[0] += 1
    return i[0]
  y = [1, 2, 3]
  y[at()] *= 5
  return y, i

def f(x):
  a, *b = x
  [c, *d] = range(4)
  return a, b, c, d

def f(x): return [*x, *range(3)], {*x}, {**{1: 2}}, max(*x)

def f(x):
  x[1:] = (v for v in 'ab')
  return x

def f(x):
  for v in x:
    if v == 2: break
  else:
    return 0
  return v

def f(x):
  n = 0
  while n < 5:
    n += 1
    if n == 3: continue
  else:
    n += 10
  return n

def f(x):
  try:
    return x[99]
  except IndexError as e:
    return len(e.args)
  finally:
    x.clear()

def f(x):
  try:
    1 // 0
  except:
    return 'bare'

def f(x):
  out = []
  try:
    out.append(1)
  except ValueError:
    out.append(2)
  else:
    out.append(3)
  finally:
    out.append(4)
  return out

def f(x):
  def g(n):
    got = yield n
    yield got
    yield from x
  h = g(5)
  return next(h), h.send(7), list(h)

def f(x):
  n = 0
  def g():
    nonlocal n
    n += 1
    return n
  return [g() for _ in x]

n = 3
def f(x):
  global n
  n *= 2
  return n

def f(x): return (lambda a, *b, k=2, **c: (a, b, k, c))(1, 2, k=3, z=4)

def f(x): return [a * b for a in x for b in x if a < b if b != 2]

def f(x): return {k: v for k, v in zip('ab', x)}, {v % 2 for v in x}

def f(x): return sum(v for v in x), list(map(lambda v: v + 1, x))

def f(x): return 1 in x, 9 not in x, 'a' in 'cat', 0 < 1 in x

def f(x): return 3 in range(5), 2.5 in range(5), 2.0 in range(5)

def f(x): return f'{x!r:>12}|{x[0]:03d}|{1.5:.2f}|{x[0]=}|{{}}'

def f(x): return '{} {!r:>5} {a:>{w}} {{}}'.format(1, 's', a=2, w=4)

def f(x): return '{0}{1}{0}'.format('a', 'b'), '{x}'.format_map({'x': 1})

def f(x): return '%s-%05.1f-%r' % (x, 2.25, 'q'), 7 % 4, -7 % 4.5

def f(x): return 2 ** 10, 2 ** -1, 7 ** 0.5, (-2) ** 3, pow(3, 4, 5)

def f(x): return 1 << 10, 5 + 2.5, 'a' + 'b', [1] + x, (1,) * 3, 3 * 'ab'

def f(x):
  match x:
    case []: return 'none'
    case [1, *rest] if rest: return rest
    case _: return 'other'

def f(x):
  match {'k': x}:
    case {'k': [a, _, c], **rest}:
      return a | c, rest

import math
def f(x): return math.pi, math.comb(5, 2), math.prod(x)

from math import gcd as g, factorial
def f(x): return g(12, 18), factorial(5)

import collections
def f(x):
  c = collections.Counter('aab')
  c.update('b')
  d = collections.deque(x, maxlen=2)
  d.append(9)
  return c.most_common(), list(d), dict(c)

from collections import defaultdict
def f(x):
  d = defaultdict(list)
  for v in x: d[v % 2].append(v)
  return dict(d)

from itertools import accumulate, chain, product
def f(x):
  return (list(accumulate(x)), list(chain(x, x)), len(list(product(x, x))),
    list(chain.from_iterable([x, x])))

import itertools
def f(x):
  c = itertools.count(5)
  return [next(c) for _ in x], list(zip(x, itertools.cycle('ab')))

import functools
def f(x):
  @functools.lru_cache(maxsize=None)
  def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
  return fib(50), functools.reduce(lambda a, b: a * b, x)

import re
def f(x):
  found = re.match('(a)(b)', 'ab')
  return re.findall('[a-c]+', 'abxcab'), re.sub('a', 'b', 'aa'), found.groups()

import heapq, bisect
def f(x):
  heapq.heapify(x)
  return heapq.heappop(x), bisect.bisect([1, 3], 2)

def f(x):
  joined = '-'.join(map(str, x)), 'ab'.replace('a', 'cc'), 'a,b'.split(',')
  return joined, 'x'.zfill(3), 'a'.ljust(3, '.'), 'a\tb'.expandtabs(4)

def f(x):
  table = str.maketrans('a', 'z')
  coded = 'é'.encode(), b'ab'.decode('ascii')
  return 'ab'.translate(table), 'aXa'.count('a'), coded

def f(x): return dict.fromkeys(x, 0), str.upper('a'), list.count(x, 1)

def f(x): return sorted(x, key=lambda v: -v), x[::-1], list(reversed(x))

def f(x):
  x.sort(reverse=True)
  x.extend(range(2))
  x.insert(0, 5)
  return x, x.index(5), x.pop(), x.count(1)

def f(x):
  s = {1, 2}
  s |= {3}
  s.update(x, range(5))
  return s, s.union([9]), s & {1}, s ^ {1, 77}, s.issubset(range(9))

def f(x):
  least = min(x, key=lambda v: v % 3), max([], default=4)
  some = any(x), all([])
  return least, some, list(enumerate(x, 1)), list(filter(None, [0, 1]))

def f(x): return isinstance(x, list), type(x) is list, type(1) == int

def f(x):
  numbers = int('12'), float('1.5'), bool([]), round(2.567, 1), divmod(7, 2)
  texts = str(12), repr('a'), chr(97), ord('a'), hex(255), bin(5)
  return numbers, texts, abs(-3)

def f(x):
  it = iter(x)
  return next(it), next(it, 0), list(it)

def f(x):
  n = [3]
  def pop():
    n[0] -= 1
    return n[0]
  return list(iter(pop, 0))

def f(x):
  y: int = 4
  z: list
  if (w := len(x)) > 2: y -= w
  assert w, 'empty'
  del x[0]
  return y, x

list = tuple
def f(x): return list(x)

def f(x, acc=[]):
  acc.append(len(x))
  return acc

import copy
def f(x): return copy.deepcopy([x, x])
""".strip().split("\n\n")


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
