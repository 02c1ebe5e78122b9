"""Workers that die, stall or lie: nothing is lost, nothing is swapped."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from bitzero_jax.verify import pool
from bitzero_jax.verify.dispatch import Dispatcher
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.pool import Task
from bitzero_jax.verify.verdict import Job, Limits

SLOW = "def f(x):\n  s = {i}\n  for v in range(x): s += v % 3\n  return s"


def slow_jobs(first: int, count: int) -> list[Job]:
  return [
    Job(SLOW.format(i=i), (f"[{i % 50}]", "[400]"))
    for i in range(first, first + count)
  ]


def slow_values(first: int, count: int) -> list[list[str]]:
  def value(i, x):
    return str(i + sum(v % 3 for v in range(x)))

  return [
    [value(i, i % 50), value(i, 400)] for i in range(first, first + count)
  ]


def values(results) -> list[list[str]]:
  return [[v.value for v in row] for row in results]


def send(pid: int, number: int) -> None:
  try:
    os.kill(pid, number)
  except ProcessLookupError:
    return


def during_a_run(executor, jobs, action):
  """Runs the jobs while `action` is called from beside."""
  timer = threading.Timer(0.02, action)
  timer.start()
  try:
    return executor.run(jobs)
  finally:
    timer.join()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_killed_in_a_batch_loses_nothing(number):
  with Executor() as executor:
    pids = executor.worker_pids()
    results = during_a_run(
      executor, slow_jobs(0, 400), lambda: send(pids[0], number)
    )
    assert executor.worker_pids() != pids
    assert executor.stats.restarts == 1
  assert values(results) == slow_values(0, 400)


def test_all_workers_killed_between_batches():
  with Executor() as executor:
    for pid in executor.worker_pids():
      send(pid, signal.SIGKILL)
    assert values(executor.run(slow_jobs(0, 5))) == slow_values(0, 5)


def test_a_stopped_worker_is_replaced_and_nothing_is_a_timeout():
  with Executor(Limits(stall_ms=300)) as executor:
    pids = executor.worker_pids()
    results = during_a_run(
      executor,
      slow_jobs(0, 400),
      lambda: [send(pid, signal.SIGSTOP) for pid in pids],
    )
  assert values(results) == slow_values(0, 400)


def test_missing_rows_are_unknown_at_the_deadline():
  limits = Limits(batch_ms=200, stall_ms=60_000)
  with Executor(limits) as executor:
    for pid in executor.worker_pids():
      send(pid, signal.SIGSTOP)
    begin = time.monotonic()
    ((verdict,),) = executor.run([Job("def f(x): return x", ("[1]",))])
    assert time.monotonic() - begin < 30
    assert (verdict.status, verdict.error) == ("unknown", "deadline")
    assert verdict.runs == 0
    assert executor.stats.unknown_rate == 1
    for _ in range(50):  # fresh workers need longer than the deadline
      ((verdict,),) = executor.run([Job("def f(x): return x", ("[1]",))])
      if verdict.status == "ok":
        break
    assert verdict.value == "1"


def test_an_interrupt_from_the_keyboard_is_not_for_the_workers():
  with Executor() as executor:
    pids = executor.worker_pids()
    results = during_a_run(
      executor,
      slow_jobs(0, 400),
      lambda: [send(pid, signal.SIGINT) for pid in pids],
    )
    assert executor.worker_pids() == pids
  assert values(results) == slow_values(0, 400)


def test_answers_too_large_for_one_message_arrive():
  limits = Limits(value_bytes=4_000_000, value_nodes=2_000_000, memory_mb=64)
  program = "def f(x): return 'a' * 1000000 + str(x)"
  inputs = tuple(f"[{i}]" for i in range(40))
  with Executor(limits) as executor:
    (verdicts,) = executor.run([Job(program, inputs)])
  assert [v.status for v in verdicts] == ["ok"] * 40
  assert [v.value[-3:-1].strip("a") for v in verdicts] == [
    str(i) for i in range(40)
  ]


def chaos(count: int, batch: int) -> int:
  """Kills workers at random while jobs run; how many signals were sent."""
  chance = random.Random(0)
  numbers = [signal.SIGKILL] * 6 + [signal.SIGSEGV, signal.SIGSTOP]
  done = threading.Event()
  sent = 0
  with Executor(Limits(stall_ms=1500)) as executor:

    def kill():
      nonlocal sent
      while not done.wait(0.08):
        for pid in executor.worker_pids()[:1]:
          send(pid, chance.choice(numbers))
          sent += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
      for first in range(0, count, batch):
        got = values(executor.run(slow_jobs(first, batch)))
        assert got == slow_values(first, batch)
    finally:
      done.set()
      thread.join()
  return sent


def test_chaos():
  assert chaos(1200, 200) > 0


@pytest.mark.slow
def test_chaos_over_many_jobs():
  assert chaos(100_000, 1000) > 200


HOSTILE = """
import json, os, struct, sys, time
def read(n):
  data = b""
  while len(data) < n:
    part = os.read(0, n - len(data))
    if not part:
      os._exit(0)
    data += part
  return data
def write(message):
  data = message if type(message) is bytes else json.dumps(message).encode()
  os.write(1, struct.pack("<I", len(data)) + data)
write(["ready", "hostile", "none"])
while True:
  number, secret, jobs = json.loads(read(struct.unpack("<I", read(4))[0]))
  good = [
    [[one] * len(inputs) for one in ("ok", "1", "", 1)] for _, inputs in jobs
  ]
  {lie}
"""
LIES = [
  "write([number + 1, secret, 0, good])",
  "write([number - 1, secret, 0, good])",
  "write([number, 'guess', 0, good])",
  "write([number, secret, 1, good])",
  "write([number, secret, 0, good + good])",
  "write([number, secret, 0, []])",
  "write([number, secret, 0, [[c + c for c in job] for job in good]])",
  "write([number, secret, 0, [[['fine'], ['1'], [''], [1]]]])",
  "write([number, secret, 0, [[['ok'], [1], [''], [1]]]])",
  "write([number, secret, 0, [[['ok'], ['1'], [''], [True]]]])",
  "write([number, secret, 0, [[['ok'], ['a' * 70000], [''], [1]]]])",
  "write([number, secret, 0, [['ok', '1', '', 1]]])",
  "write([number, secret, 0, [good[0][:3]]])",
  "write([number, secret, 0, [[[['ok']], ['1'], [''], [1]]]])",
  "write([number, secret, 0])",
  "write({'a': 1})",
  "write(b'[' * 100000)",
  "write(b'no json')",
  "write(b'\\xff\\xfe')",
  "os.write(1, b'\\xff' * 64)",
  "os._exit(1)",
]


@pytest.fixture
def hostile(monkeypatch, tmp_path: Path):
  def start(lie: str) -> Dispatcher:
    script = tmp_path / "hostile.py"
    script.write_text(HOSTILE.replace("{lie}", lie))
    monkeypatch.setattr(pool, "WORKER", script)
    return Dispatcher(Limits(stall_ms=300), (1,), 1)

  return start


TASK = Task(0, 0, "def f(x): return x", ("[1]",), 0)


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_lies_is_not_believed(hostile, lie):
  dispatcher = hostile(lie)
  answers = dispatcher.collect([TASK], time.monotonic() + 30)
  dispatcher.close()
  assert answers == [(TASK, [("error", "", "Crash", 0)])]


def test_an_answer_after_an_answer_is_not_believed(hostile):
  dispatcher = hostile(
    "write([number, secret, 0, good]); write([number, secret, 0, good])"
  )
  deadline = time.monotonic() + 30
  tasks = [TASK._replace(job=job) for job in range(4)]
  for task in tasks:
    ((answered, rows),) = dispatcher.collect([task], deadline, alone=True)
    assert answered == task
    assert len(rows) == 1
  assert dispatcher.restarts > 0
  dispatcher.close()


def test_silence_is_unknown(hostile):
  dispatcher = hostile("time.sleep(60)")
  answers = dispatcher.collect([TASK], time.monotonic() + 30)
  dispatcher.close()
  assert answers == [(TASK, [("unknown", "", "stalled", 0)])]


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_death_from_outside_is_unknown(hostile, end):
  dispatcher = hostile(end)
  answers = dispatcher.collect([TASK], time.monotonic() + 30)
  dispatcher.close()
  assert answers == [(TASK, [("unknown", "", "killed", 0)])]


def test_a_late_worker_must_be_locked_like_the_first(hostile, tmp_path: Path):
  dispatcher = hostile("os.kill(os.getpid(), 9)")
  assert dispatcher.greet() == ("hostile", "none")
  script = tmp_path / "hostile.py"
  honest = HOSTILE.replace("{lie}", "write([number, secret, 0, good])")
  script.write_text(honest.replace('"none"', '"less"'))
  answers = dispatcher.collect([TASK], time.monotonic() + 30)
  dispatcher.close()
  assert answers == [(TASK, [("unknown", "", "no worker", 0)])]


def test_silence_on_many_inputs_blames_each_alone(hostile):
  dispatcher = hostile(
    "write([number, secret, 0, good if len(good[0][0]) < 2 else time.sleep(9)])"
  )
  task = TASK._replace(inputs=("[1]", "[2]", "[3]"))
  answers = dispatcher.collect([task], time.monotonic() + 30)
  dispatcher.close()
  rows = {part.first: rows for part, rows in answers}
  assert rows == {i: [("ok", "1", "", 1)] for i in range(3)}


def test_workers_that_never_start_are_unknown(hostile, monkeypatch, tmp_path):
  dispatcher = hostile("os._exit(0)")
  broken = tmp_path / "broken.py"
  broken.write_text("raise SystemExit(3)")
  monkeypatch.setattr(pool, "WORKER", broken)
  answers = dispatcher.collect([TASK], time.monotonic() + 30)
  dispatcher.close()
  assert answers == [(TASK, [("unknown", "", "no worker", 0)])]


def test_a_program_that_kills_does_not_starve_a_batch():
  """One comparison in C takes seconds, and no soft limit is heard there."""
  killer = Job(
    "def f(x):\n  a, b = [0] * 10**6, [0] * 10**6\n"
    "  return [a] * 10**4 == [b] * 10**4",
    tuple(f"[{i}]" for i in range(64)),
  )
  jobs = [killer, *slow_jobs(0, 60)]
  with Executor() as executor:
    first, *others = executor.run(jobs)
    assert executor.stats.restarts < 40
  assert values(others) == slow_values(0, 60)
  assert {v.status for v in first} == {"timeout", "unknown"}
