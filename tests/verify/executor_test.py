import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bitzero_jax.verify import executor as executor_module
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Engine, Job, Limits, Verdict

ROOT = Path(__file__).parents[2]
IDENTITY = "def f(x): return x"
LOOP = "def f(x):\n  while True: pass"


def summary(verdicts: list[Verdict]) -> list[tuple[str, str, str]]:
  return [tuple(v[:3]) for v in verdicts]


def test_one_verdict_for_each_input_in_order(executor):
  jobs = [
    Job(f"def f(x): return x + {i}", tuple(f"[{j}]" for j in range(i % 7)))
    for i in range(150)
  ]
  for i, verdicts in enumerate(executor.run(jobs)):
    assert [v.value for v in verdicts] == [str(i + j) for j in range(i % 7)]


def test_empty_batches(executor):
  assert executor.run([]) == []
  assert executor.run([Job(IDENTITY, ())]) == [[]]


def test_a_verdict_says_how_it_came_about(executor, ask):
  verdict = ask(IDENTITY)
  assert verdict.runs == 2
  assert verdict.cpu_us >= 0
  assert verdict.engine is executor.engine
  assert isinstance(verdict.engine, Engine)
  version = ".".join(map(str, sys.version_info[:3]))
  assert verdict.engine.name == f"{sys.implementation.name}-{version}"
  assert len(set(verdict.engine.seeds)) == 2
  assert verdict.engine.limits == Limits()
  assert verdict.engine.tier == executor.tier


def test_many_inputs_and_many_jobs_mix(executor):
  inputs = tuple(f"[[{i}, 2]]" for i in range(1000))
  jobs = [
    Job("def f(x): return x[::-1]", inputs),
    Job("def f(x): return 1 // 0", ("[1]",)),
  ]
  long, (short,) = executor.run(jobs)
  assert [v.value for v in long] == [f"[2, {i}]" for i in range(1000)]
  assert short.error == "ZeroDivisionError"


def test_each_run_starts_fresh(executor):
  program = (
    "seen = []\n"
    "def f(x, acc=[]):\n"
    "  seen.append(1)\n"
    "  acc.append(1)\n"
    "  x.append(len(seen) + len(acc))\n"
    "  return x"
  )
  (verdicts,) = executor.run([Job(program, ("[[0]]", "[['a']]", "[[0]]"))])
  assert [v.value for v in verdicts] == ["[0, 2]", "['a', 2]", "[0, 2]"]


class Text(str):
  def encode(self, *_):
    raise RuntimeError


NO_TEXT = ("forbidden", "", "program is no text")
LONG = "program of more than 16384 bytes"
LONG_INPUT = "input of more than 16384 bytes"
NO_LIST = "input is no list of arguments"
BAD_SYNTAX = ("error", "", "SyntaxError")
ODD_JOBS = [
  (None, []),
  (7, []),
  ((), []),
  (Job(IDENTITY, None), []),
  (Job(IDENTITY, (1 // 0 for _ in "a")), []),
  (Job(IDENTITY, (Text("[4]"),)), [("ok", "4", "")]),
  (Job(None, ("[1]",)), [NO_TEXT]),
  (Job(IDENTITY.encode(), ("[1]",)), [NO_TEXT]),
  (
    Job(IDENTITY, (1, "[1]")),
    [("forbidden", "", "input is no text"), ("ok", "1", "")],
  ),
  (Job("#" * 16385, ("[1]",)), [("forbidden", "", LONG)]),
  (Job(IDENTITY, ("['" + "é" * 8192 + "']",)), [("forbidden", "", LONG_INPUT)]),
  (Job(IDENTITY, ("",)), [BAD_SYNTAX]),
  (Job(IDENTITY, ("[1",)), [BAD_SYNTAX]),
  (Job(IDENTITY, ("1",)), [("forbidden", "", NO_LIST)]),
]
BOMBS = [
  Job("def f(x):\n  return '\0'", ("[1]",)),
  Job("\ud800", ("[1]",)),
  Job(IDENTITY, ("['\ud800']",)),
  Job(IDENTITY, ("[" * 5000,)),
  Job("(" * 5000, ("[1]",)),
  Job("-" * 16000 + "1", ("[1]",)),
  Job("x." * 8000 + "x", ("[1]",)),
  Job("lambda: " * 2000 + "1", ("[1]",)),
]


@pytest.mark.parametrize(("job", "expected"), ODD_JOBS)
def test_no_job_raises(executor, job, expected):
  good = Job(IDENTITY, ("[5]",))
  first, odd, last = executor.run([good, job, good])
  assert summary(first) == summary(last) == [("ok", "5", "")]
  assert summary(odd) == expected


@pytest.mark.parametrize("job", BOMBS)
def test_bombs_for_the_parser_are_refused(executor, job):
  good = Job(IDENTITY, ("[5]",))
  first, (bomb,), last = executor.run([good, job, good])
  assert summary(first) == summary(last) == [("ok", "5", "")]
  assert bomb.status in ("forbidden", "error")


@pytest.mark.parametrize(
  ("program", "status", "error"),
  [
    (LOOP, "timeout", "steps"),
    ("def f(x): return sum(range(10**13))", "timeout", "steps"),
    ("def f(x): return [0] * 10**9", "memory", "object"),
    ("def f(x): return 3 ** 3 ** 30", "memory", "int"),
    ("def f(x): return bytes(10**11)", "memory", "object"),
    ("def f(x): return f(x)", "error", "RecursionError"),
    ("def f(x): return list(range(15000))", "error", "ValueTooLarge"),
    ("def f(x): return 'a' * 70000", "error", "ValueTooLarge"),
    ("def f(x): return {1: len}", "error", "NotAValue"),
    ("def f(x): return 2 ** 5000", "error", "ValueTooLarge"),
    ("def f(x): return type(f)", "forbidden", "type"),
    ("def f(x): return '{0.x}'.format(x)", "forbidden", "format field"),
    ("def f(x): return str([f])", "error", "Nondeterministic"),
  ],
)
def test_limits_have_names(ask, program, status, error):
  verdict = ask(program)
  assert (verdict.status, verdict.value, verdict.error) == (status, "", error)


SWALLOW = "def f(x):\n  try:\n    {body}\n  {handler}\n  return 'survived'"


@pytest.mark.parametrize(
  ("body", "status"),
  [
    ("while True: pass", "timeout"),
    ("bytes(10**11)", "memory"),
    ("[0] * 10**11", "memory"),
    ("f(x)", "error"),
  ],
)
@pytest.mark.parametrize(
  "handler",
  [
    "except Exception: pass",
    "except: pass",
    "finally: return 'survived'",
    "except ValueError: pass\n  finally: return 1",
    "except Exception:\n    while True: pass",
  ],
)
def test_no_handler_survives_a_limit(ask, body, status, handler):
  verdict = ask(SWALLOW.format(body=body, handler=handler))
  assert verdict.status == status


def test_a_c_loop_that_steps_miss_is_stopped_by_cpu_time(executor):
  program = (
    "def f(x):\n"
    "  a, b = [1], [1]\n"
    "  for _ in range(60):\n"
    "    a, b = [a, a], [b, b]\n"
    "  return a == b"
  )
  jobs = [
    Job(IDENTITY, ("[1]",)),
    Job(program, ("[1]",)),
    Job(IDENTITY, ("[2]",)),
  ]
  before, stuck, after = executor.run(jobs)
  assert summary(stuck) == [("timeout", "", "cpu")]
  assert (before[0].value, after[0].value) == ("1", "2")


def test_one_input_that_kills_does_not_take_the_others(executor):
  program = (
    "def f(x):\n"
    "  a, b = [1], [1]\n"
    "  for _ in range(x):\n"
    "    a, b = [a, a], [b, b]\n"
    "  return a == b"
  )
  (verdicts,) = executor.run([Job(program, ("[2]", "[60]", "[3]"))])
  assert [v.status for v in verdicts] == ["ok", "timeout", "ok"]


def test_nondeterminism_that_shows_as_an_error_is_found(ask):
  letters = "abcdefghijkl"
  program = "def f(x): return 1 // (list(set({!r})).index({!r}) % 2)"
  errors = {ask(program.format(letters, letter)).error for letter in letters}
  assert "Nondeterministic" in errors


def test_steps_are_exact():
  program = "def f(x):\n  n = 0\n  for _ in range(x): n += 1\n  return n"
  with Executor(Limits(steps=100)) as executor:
    (verdicts,) = executor.run([Job(program, ("[100]", "[101]"))])
  assert [v.status for v in verdicts] == ["ok", "timeout"]


def test_stats_count_everything():
  with Executor() as executor:
    before = executor.stats
    assert sum(before.counts.values()) == 0
    assert (before.seconds, before.cpu_seconds) == (0, 0)
    executor.run([Job(IDENTITY, ("[1]", "[2]")), Job(LOOP, ("[1]",))])
    after = executor.stats
  assert after.counts["ok"] == 2
  assert after.counts["timeout"] == 1
  assert sum(after.counts.values()) == 3
  assert (after.unknown_rate, after.flip_rate, after.restarts) == (0, 0, 0)
  assert after.seconds > before.seconds
  assert after.cpu_seconds > 0


def test_threads_may_share_an_executor(executor):
  results: dict[int, list] = {}

  def work(k):
    jobs = [Job(f"def f(x): return x * {k}", ("[3]", "[4]"))] * 20
    results[k] = executor.run(jobs)

  threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  for k in range(4):
    values = [[v.value for v in row] for row in results[k]]
    assert values == [[str(3 * k), str(4 * k)]] * 20


@pytest.mark.parametrize("workers", [0, 1, 3, -2])
def test_workers_come_in_pairs(workers):
  with pytest.raises(ValueError, match=f"workers={workers}"):
    Executor(workers=workers)


def test_limits_must_be_positive():
  with pytest.raises(ValueError, match=r"limits\.steps=0"):
    Executor(Limits(steps=0))


def test_more_workers_give_the_same_answers():
  jobs = [Job(f"def f(x): return x + {i}", ("[1]", "[2]")) for i in range(200)]
  with Executor(workers=4) as executor:
    values = [[v.value for v in row] for row in executor.run(jobs)]
  assert values == [[str(1 + i), str(2 + i)] for i in range(200)]


def test_refuses_to_start_without_seccomp(monkeypatch):
  monkeypatch.setattr(executor_module.lockdown, "is_sandboxed", lambda _: False)
  with pytest.raises(RuntimeError, match="allow_unsandboxed=True"):
    Executor()
  with Executor(allow_unsandboxed=True) as executor:
    assert executor.tier.startswith("UNSANDBOXED")
    (verdicts,) = executor.run([Job(IDENTITY, ("[1]",))])
    assert verdicts[0].engine.tier.startswith("UNSANDBOXED")


def test_refuses_to_start_when_a_wall_fails(monkeypatch):
  monkeypatch.setattr(executor_module, "_breaches", lambda _: ["socket"])
  with pytest.raises(RuntimeError, match="socket"):
    Executor()


def test_close_ends_the_workers_and_may_be_repeated():
  executor = Executor()
  pids = executor.worker_pids()
  executor.close()
  executor.close()
  assert pids
  assert not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)


def test_imports_no_jax():
  """Of its own, that is: the package's `__init__` may do as it likes."""
  program = (
    "import sys, types\n"
    "package = types.ModuleType('bitzero_jax')\n"
    f"package.__path__ = [{str(ROOT / 'bitzero_jax')!r}]\n"
    "sys.modules['bitzero_jax'] = package\n"
    "import bitzero_jax.verify.executor\n"
    "heavy = {'jax', 'numpy', 'flax', 'chex'} & set(sys.modules)\n"
    "assert not heavy, heavy\n"
  )
  subprocess.run([sys.executable, "-c", program], check=True)


def test_the_policy_hash_covers_all_that_a_worker_loads():
  room = Path(executor_module.__file__).parent
  loaded, todo = set(), ["worker.py"]
  while todo:
    name = todo.pop()
    if name in loaded or not (room / name).exists():
      continue
    loaded.add(name)
    for node in ast.walk(ast.parse((room / name).read_text())):
      if isinstance(node, ast.Import):
        todo += [f"{alias.name}.py" for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        todo.append(f"{node.module}.py")
  assert loaded == set(executor_module._WORKER_FILES)
