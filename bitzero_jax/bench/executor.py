"""What a verdict costs, beside other executors on the same work.

CPU seconds are those of the host and of every process below it. Our own start
is left out; a peer that starts something for each program pays for that, since
it is its way. Rates are per core-second, so a busy machine changes little.
"""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from bitzero_jax.bench import programs
from bitzero_jax.bench.peers import peers
from bitzero_jax.bench.programs import Work
from bitzero_jax.evaluate import cruxeval
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job, Limits

_ENDLESS = 0.05  # share of programs that never end
_TRAINING = Limits(steps=2000)  # as the default config allows

Run = Callable[[Sequence[Job]], list[list[str]]]


class Row(NamedTuple):
  """One line of the table.

  Attributes:
    name: what ran on what.
    asked: verdicts asked for: programs times inputs.
    right: answers that are what they must be.
    wall: seconds.
    cpu: core-seconds of all processes.
  """

  name: str
  asked: int
  right: int
  wall: float
  cpu: float


HEADER = (
  "| executor and work | verdicts | right | wall s | CPU s | verdicts per "
  "core-second |\n|---|---:|---:|---:|---:|---:|"
)


def line(row: Row) -> str:
  """A row of the Markdown table."""
  return (
    f"| {row.name} | {row.asked:,} | {row.right:,} | {row.wall:.2f} | "
    f"{row.cpu:.2f} | {row.asked / max(row.cpu, 0.01):,.0f} |"
  )


def measure(count: int, crux: Path | None) -> Iterator[Row]:
  """Runs one case after the other.

  Args:
    count: programs in a batch.
    crux: CRUXEval's JSON lines, if they are to be run.

  Yields:
    a row for each case, ours first.

  Raises:
    OSError, ValueError: the CRUXEval file cannot be read.
  """
  outside = None if crux is None else _outside(cruxeval.load(crux))
  everyday = programs.everyday(count, 1)
  endless = programs.with_endless(programs.everyday(count, 1, seed=2), _ENDLESS)
  several = programs.everyday(count, 8, seed=1)
  grammar = programs.micro_python(count, 16)
  with Executor(seeds=(1,)) as one, Executor() as two:
    yield _timed("one seed, everyday programs", everyday, _ours(one))
    yield _timed("two seeds, everyday programs", everyday, _ours(two))
    yield _timed("two seeds, 8 inputs a program", several, _ours(two))
    yield _timed("one seed, 8 inputs a program", several, _ours(one))
    yield _timed("two seeds, 5 % of them endless", endless, _ours(two))
    if outside is not None:
      yield _timed("two seeds, CRUXEval", outside, _ours(two))
  with Executor(_TRAINING) as two, Executor(_TRAINING, seeds=(1,)) as one:
    yield _timed("two seeds, micro-Python, 16 inputs", grammar, _ours(two))
    yield _timed("one seed, micro-Python, 16 inputs", grammar, _ours(one))
  for peer in peers():
    few = everyday.first(max(1, round(count * peer.share)))
    yield _timed(f"{peer.name}, everyday programs", few, peer.run)


def _ours(executor: Executor) -> Run:
  executor.run([Job("def f(x): return x", ("[1]",))])  # the first is slower

  def run(jobs: Sequence[Job]) -> list[list[str]]:
    return [[verdict.value for verdict in row] for row in executor.run(jobs)]

  return run


def _outside(samples: Sequence[cruxeval.Sample]) -> Work:
  jobs = [cruxeval.job(sample) for sample in samples]
  return Work(jobs, [[sample.output] for sample in samples])


def _timed(name: str, work: Work, run: Run) -> Row:
  cpu, wall = _cpu_seconds(), time.perf_counter()
  answers = run(work.jobs)
  wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
  right = sum(
    text == due
    for texts, dues in zip(answers, work.answers, strict=True)
    for text, due in zip(texts, dues, strict=True)
  )
  asked = sum(len(job.inputs) for job in work.jobs)
  return Row(name, asked, right, wall, cpu)


def _cpu_seconds() -> float:
  """CPU seconds of this process and of all below it, living or reaped."""
  times = [
    (usage.ru_utime, usage.ru_stime)
    for usage in map(
      resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
  ]
  for child in psutil.Process().children(recursive=True):
    try:
      times.append(child.cpu_times()[:2])
    except psutil.NoSuchProcess:
      continue  # it is reaped now, and was counted so or will be
  return sum(map(sum, times))
