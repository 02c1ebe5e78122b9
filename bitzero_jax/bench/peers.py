"""Other ways to run the same programs, each as its users would.

A peer is a name and a function from jobs to answers: for each job and input
the text of the result, or "" for anything else. None of them checks that the
answer is deterministic, and only monty is meant to hold a hostile program.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from bitzero_jax.verify.verdict import Job

_CHUNK = 64
_ALONE = """
import sys
names = {}
exec(sys.argv[1], names)
print(repr(names["f"](*eval(sys.argv[2]))))
"""
_ZYGOTE = """
import json, os, sys
for line in sys.stdin:
  program, text = json.loads(line)
  read, write = os.pipe()
  child = os.fork()
  if not child:
    try:
      names = {}
      exec(program, names)
      os.write(write, repr(names["f"](*eval(text))).encode())
    finally:
      os._exit(0)
  os.close(write)
  with open(read) as answer:
    print(json.dumps(answer.read()), flush=True)
  os.waitpid(child, 0)
"""
# A session's names live on, so the function gets a fresh copy of its input.
_MONTY = "{program}\nf(*{text})"


class Peer(NamedTuple):
  """Another executor.

  Attributes:
    name: for the table.
    share: part of the work that it is given; the slow get less.
    run: jobs to answers.
  """

  name: str
  share: float
  run: Callable[[Sequence[Job]], list[list[str]]]


def _subprocess(jobs: Sequence[Job]) -> list[list[str]]:
  def one(program: str, text: str) -> str:
    command = [sys.executable, "-S", "-c", _ALONE, program, text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return done.stdout.rstrip("\n")

  return [[one(job.program, text) for text in job.inputs] for job in jobs]


def _fork(jobs: Sequence[Job]) -> list[list[str]]:
  zygote = subprocess.Popen(
    [sys.executable, "-S", "-c", _ZYGOTE],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  with zygote:
    ask, answer = zygote.stdin, zygote.stdout
    assert ask and answer

    def one(program: str, text: str) -> str:
      ask.write(json.dumps([program, text]) + "\n")
      ask.flush()
      return json.loads(answer.readline())

    answers = [[one(job.program, t) for t in job.inputs] for job in jobs]
    ask.close()
  return answers


def _in_process(job: Job) -> list[str]:
  answers = []
  for text in job.inputs:
    names: dict = {}
    exec(job.program, names)
    answers.append(repr(names["f"](*eval(text))))
  return answers


def _pool(jobs: Sequence[Job]) -> list[list[str]]:
  with ProcessPoolExecutor(2, get_context("spawn")) as pool:
    return list(pool.map(_in_process, jobs, chunksize=_CHUNK))


def _monty(jobs: Sequence[Job]) -> list[list[str]]:
  from pydantic_monty import Monty, MontyError

  def one(pool, program: str, text: str) -> str:
    try:
      with pool.checkout() as session:
        return repr(session.feed_run(_MONTY.format(program=program, text=text)))
    except MontyError:
      return ""

  with Monty() as pool:
    return [[one(pool, job.program, t) for t in job.inputs] for job in jobs]


def peers() -> list[Peer]:
  """Those that can run here."""
  found = [
    Peer("pool of processes, plain exec (as AZR's)", 1.0, _pool),
    Peer("fork per program", 0.5, _fork),
    Peer("subprocess per program", 0.1, _subprocess),
  ]
  try:
    import pydantic_monty
  except ImportError:
    return found
  monty = Peer(f"monty {pydantic_monty.__version__}", 1.0, _monty)
  return [monty, *found]
