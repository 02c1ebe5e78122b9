"""The work that executors are compared on: trusted programs, known answers."""

import random
from typing import NamedTuple

import jax

from bitzero_jax.evaluate import search
from bitzero_jax.language import levels, render
from bitzero_jax.verify.verdict import Job

STOPPED = ""  # instead of an answer: an error, or the end of its means


class Work(NamedTuple):
  """Jobs, and the canonical text that each input must give.

  Attributes:
    jobs: programs with their inputs.
    answers: for each job and input, the text, or STOPPED.
  """

  jobs: list[Job]
  answers: list[list[str]]

  def add(self, program: str, lists: list[list[int]]) -> None:
    """Adds a program, run on each of these lists."""
    self.jobs.append(Job(program, tuple(f"[{values}]" for values in lists)))
    self.answers.append([_run(program, values) for values in lists])

  def first(self, count: int) -> "Work":
    """The first so many programs."""
    return Work(self.jobs[:count], self.answers[:count])


# Programs stand apart by an empty line; A and B become digits.
_EVERYDAY = """
def f(x):
  return [v + A for v in x if v % B == 0]

def f(x):
  total = A
  for v in x:
    total += v * B
  return total

def f(x):
  return sorted(x, reverse=True)[:A] + [B]

def f(x):
  seen = set()
  out = []
  for v in x:
    if v % A not in seen:
      seen.add(v % A)
      out.append(v)
  return out

def f(x):
  best = x[0]
  i = 1
  while i < len(x):
    if x[i] > best - A:
      best = x[i]
    i += 1
  return best + B

def f(x):
  counts = {}
  for v in x:
    counts[v % B] = counts.get(v % B, 0) + A
  return sorted(counts.items())

def f(x):
  def g(n):
    return 1 if n < 2 else g(n - 1) + g(n - 2)
  return [g(v % A) for v in x]

def f(x):
  return ', '.join(str(v * A) for v in reversed(x)) + '!' * B

def f(x):
  return list(zip(x, x[A:])) + [(A, B)]

def f(x):
  return max(map(lambda v: (v * A) % 11, x)) ** B

def f(x):
  try:
    return x[A] // (x[0] - x[0] + B)
  except IndexError:
    return len(x)

def f(x):
  a, b = A, B
  for _ in x:
    a, b = b, a + b
  return a
"""
_ENDLESS = """
def f(x):
  while True: pass

def f(x):
  n = 0
  while n >= 0: n += 1
  return n

def f(x):
  while True: x.append(A)

def f(x):
  s = 'a'
  while True: s = s + 'b'

def f(x):
  n = 3
  while True: n = n * 3

def f(x):
  return sum(range(10**13))

def f(x):
  for v in iter(int, 1): x = x + [v]

def f(x):
  while x: x = x[1:] + [x[0] * A % 7] + [B]
"""


def everyday(programs: int, inputs: int, seed: int = 0) -> Work:
  """Different short programs over lists of ints.

  Args:
    programs: how many; no two are equal.
    inputs: inputs for each.
    seed: of the constants and the inputs.
  """
  rng = random.Random(seed)
  templates = _templates(_EVERYDAY)
  work = Work([], [])
  for i in range(programs):
    a, b = rng.randint(2, 4), rng.randint(2, 9)
    # A comment that differs keeps caches of compiled programs from helping.
    text = _fill(templates[i % len(templates)], a, b) + f"# {i}"
    lists = [
      [rng.randint(0, 20) for _ in range(rng.randint(5, 9))]
      for _ in range(inputs)
    ]
    work.add(text, lists)
  return work


def with_endless(work: Work, share: float) -> Work:
  """The same work with this share of its programs replaced by endless ones."""
  templates = _templates(_ENDLESS)
  every = round(1 / share)
  jobs, answers = list(work.jobs), list(work.answers)
  for n, i in enumerate(range(0, len(jobs), every)):
    text = _fill(templates[n % len(templates)], 3, 5) + f"# {n}"
    jobs[i] = jobs[i]._replace(program=text)
    answers[i] = [STOPPED] * len(answers[i])
  return Work(jobs, answers)


def micro_python(programs: int, inputs: int, seed: int = 0) -> Work:
  """Programs drawn from the grammar, as a round of training checks them.

  Args:
    programs: how many, all different.
    inputs: inputs for each.
    seed: of the programs and the inputs.
  """
  rng = random.Random(seed)
  drawn = search.sample(
    levels.LEVELS["small"], 8 * programs, jax.random.key(seed)
  )
  sources = [render.source(tokens) for tokens in dict.fromkeys(drawn)]
  work = Work([], [])
  for text in sources[:programs]:
    lists = [
      [rng.randint(0, 9) for _ in range(rng.randint(0, 5))]
      for _ in range(inputs)
    ]
    work.add(text, lists)
  return work


def _templates(text: str) -> list[str]:
  return [part.strip() + "\n" for part in text.strip().split("\n\n")]


def _fill(template: str, a: int, b: int) -> str:
  return template.replace("A", str(a)).replace("B", str(b))


def _run(program: str, value: list[int]) -> str:
  """What plain Python says; the programs are ours, so this is safe."""
  names: dict = {}
  exec(program, names)
  try:
    return repr(names["f"](list(value)))
  except Exception:  # as an endless program, it has no answer
    return STOPPED
