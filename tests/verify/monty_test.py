"""The second engine keeps the executor's contract, with its own semantics."""

import sys
import threading
import time

import pytest

from bitzero_jax.verify import lockdown, monty
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.pool import Task
from bitzero_jax.verify.verdict import Job, Limits

pytest.importorskip("pydantic_monty")


@pytest.fixture(scope="module")
def monty_executor():
  with Executor(engine="monty") as executor:
    yield executor


@pytest.mark.parametrize(
  ("program", "given", "status", "said"),
  [
    ("def f(x): return sorted(x)", "[[3, 1]]", "ok", "[1, 3]"),
    ("def f(x, y): return {x: (y,)}", "[1, 'a']", "ok", "{1: ('a',)}"),
    ("def f(x): return x[9]", "[[1]]", "error", "IndexError"),
    ("def f(x) return", "[1]", "error", "SyntaxError"),
    ("g = 1", "[1]", "error", "NameError"),
    ("def f(x): return f(x)", "[1]", "error", "RecursionError"),
    ("def f(x): return f", "[1]", "error", "NotAValue"),
    ("class A: pass\ndef f(x): return A()", "[1]", "error", "NotAValue"),
    ("def f(x): return 10 ** 5000", "[1]", "error", "Value"),
    ("def f(x):\n  while True: pass", "[1]", "timeout", "cpu"),
    ("def f(x): return sum(range(10**13))", "[1]", "timeout", "cpu"),
    ("def f(x): return [0] * 10**11", "[1]", "memory", "MemoryError"),
    (
      "def f(x): return open('/etc/passwd').read()",
      "[1]",
      "forbidden",
      "PermissionError",
    ),
    ("import socket\ndef f(x): return 1", "[1]", "forbidden", "ModuleNotFound"),
    ("def f(x):\n  yield x", "[1]", "forbidden", "NotImplementedError"),
    (
      "def f(x):\n  raise NotImplementedError",
      "[1]",
      "error",
      "NotImplementedError",
    ),
    ("def f(x): return x", "(1, 2)", "forbidden", "list of arguments"),
    ("def f(x): return x", "[1]) or (1", "error", "SyntaxError"),
    ("def f(x): return x", "[f(0)]", "error", "NameError"),
    (
      "import random\ndef f(x): return random.random()",
      "[1]",
      "error",
      "Nondeterministic",
    ),
    (
      "import time\ndef f(x): return time.time()",
      "[1]",
      "error",
      "Nondeterministic",
    ),
  ],
)
def test_each_verdict(monty_executor, program, given, status, said):
  ((verdict,),) = monty_executor.run([Job(program, (given,))])
  assert verdict.status == status, verdict
  assert said in (verdict.value or verdict.error)
  assert verdict.engine.name.startswith("monty-")


@pytest.mark.parametrize(
  "handler", ["except Exception", "except BaseException", "except"]
)
def test_a_limit_cannot_be_swallowed(monty_executor, handler):
  body = "def f(x):\n  try:\n    {}\n  {}:\n    return 'survived'"
  endless = body.format("while True: pass", handler)
  huge = body.format("return [0] * 10**10", handler)
  jobs = [Job(program, ("[1]",)) for program in (endless, huge)]
  got = [verdict.status for (verdict,) in monty_executor.run(jobs)]
  assert got == ["timeout", "memory"]


def test_each_run_starts_fresh(monty_executor):
  program = "seen = []\ndef f(x):\n  seen.append(x)\n  return seen"
  (verdicts,) = monty_executor.run([Job(program, ("[1]", "[2]"))])
  assert [v.value for v in verdicts] == ["[1]", "[2]"]


def test_order_holds_over_many_jobs_and_threads(monty_executor):
  results = {}

  def ask(first):
    jobs = [
      Job(f"def f(x): return x + {first + i}", ("[0]",)) for i in range(50)
    ]
    results[first] = [v.value for (v,) in monty_executor.run(jobs)]

  threads = [threading.Thread(target=ask, args=(i,)) for i in (0, 1000)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  for first, values in results.items():
    assert values == [str(first + i) for i in range(50)]


def test_what_is_missing_at_the_deadline_is_unknown():
  pool = monty.MontyPool(Limits(cpu_ms=200), (1,), 1)
  endless = Task(0, 0, "def f(x):\n  while True: pass", ("[1]",) * 9, 0)
  ((task, rows),) = pool.collect([endless], time.monotonic() + 0.5)
  pool.close()
  assert task is endless
  statuses = [row[0] for row in rows]
  assert statuses[0] == "timeout"
  assert statuses[-1] == "unknown"


def test_auto_takes_monty_where_nothing_locks(monkeypatch):
  monkeypatch.setattr(lockdown, "can_lock", lambda: False)
  with Executor() as executor:
    assert executor.engine.name.startswith("monty-")
    assert executor.tier == "monty"


def test_auto_without_monty_says_what_to_install(monkeypatch):
  monkeypatch.setattr(lockdown, "can_lock", lambda: False)
  monkeypatch.setattr(lockdown, "is_sandboxed", lambda tier: False)
  monkeypatch.setattr(monty, "installed", lambda: False)
  with pytest.raises(RuntimeError, match=r"bitzero-jax\[monty\]"):
    Executor()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux can lock")
def test_auto_is_cpython_here():
  with Executor() as executor:
    assert executor.engine.name.startswith("cpython-")
