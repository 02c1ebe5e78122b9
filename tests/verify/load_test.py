"""Long and crowded: memory stays flat, and no answer is lost or late."""

import resource
from pathlib import Path

import pytest

from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job, Limits


def resident_mb(pid: int | str) -> float:
  pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
  return pages * resource.getpagesize() / 2**20


def counting(first: int, count: int) -> list[Job]:
  return [
    Job(f"def f(x): return [v + {i} for v in range(x)]", (f"[{i % 7}]",))
    for i in range(first, first + count)
  ]


def counted(first: int, count: int) -> list[str]:
  return [
    repr([v + i for v in range(i % 7)]) for i in range(first, first + count)
  ]


@pytest.mark.slow
def test_a_million_programs_in_flat_memory():
  batch, at = 2000, 0
  with Executor() as executor:
    sizes = []
    for at in range(0, 1_000_000, batch):
      got = [v.value for (v,) in executor.run(counting(at, batch))]
      assert got == counted(at, batch)
      if at % 100_000 == 0:
        sizes.append(resident_mb("self"))
        workers = [resident_mb(pid) for pid in executor.worker_pids()]
        assert max(workers) < 64
    assert at + batch == 1_000_000
    assert sizes[-1] - sizes[1] < 20
    assert executor.stats.counts["ok"] == 1_000_000


@pytest.mark.slow
def test_64_workers_on_few_cores_time_nothing_out():
  slow = "def f(x):\n  s = 0\n  for v in range(x): s += v % {i}\n  return s"
  jobs = [Job(slow.format(i=i), ("[9000]",)) for i in range(2, 2002)]
  with Executor(Limits(cpu_ms=100), workers=64) as executor:
    results = executor.run(jobs)
    assert executor.stats.unknown_rate == 0
  due = [str(sum(v % i for v in range(9000))) for i in range(2, 2002)]
  assert [v.value for (v,) in results] == due


def test_a_spare_stands_ready():
  with Executor(workers=2) as executor:
    assert len(executor.worker_pids()) == 4
    executor.run(counting(0, 10))
    assert executor.stats.restarts == 0


def test_one_seed_is_said_by_every_verdict():
  with Executor(seeds=(7,), workers=1) as executor:
    program = "def f(x): return list({'a', 'b', 'c', 'd', 'e'})"
    ((verdict,),) = executor.run([Job(program, ("[1]",))])
  assert verdict.status == "ok"
  assert verdict.runs == 1
  assert verdict.engine.seeds == (7,)


@pytest.mark.parametrize("seeds", [(), (1, 1), (1, 2, 3)])
def test_seeds_are_one_or_two(seeds):
  with pytest.raises(ValueError, match="seeds="):
    Executor(seeds=seeds)
