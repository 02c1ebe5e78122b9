"""CRUXEval (Gu et al. 2024, arXiv 2401.03065): real Python, as far as it goes.

Micro-Python has no strings, so it can say very few of these functions. The
score says how many; the whole collection still tests the executor, because
the output of every function is on record.
"""

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax import sample
from bitzero_jax.evaluate import induce
from bitzero_jax.evaluate.human import in_reach
from bitzero_jax.language import render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level, build
from bitzero_jax.language.render import Tokens
from bitzero_jax.language.rows import plan_of, rows_of
from bitzero_jax.models.network import Network
from bitzero_jax.state import (
  ABDUCTION,
  DEDUCTION,
  KINDS,
  RIGHT,
  UNKNOWN,
  Answers,
  Task,
)
from bitzero_jax.verify.canonical import NotAValue, ValueTooLarge, canonical
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge, in_bounds
from bitzero_jax.verify.verdict import OK, Job

_MOST = 1 << 16  # nodes and characters of a recorded output
_DEPTH = 32


class Sample(NamedTuple):
  """One function with one run of it.

  Attributes:
    name: its id in the collection.
    code: source that defines f.
    input: text of the arguments, such as "[1, 2], 'a'".
    output: canonical text of the result.
  """

  name: str
  code: str
  input: str
  output: str


def load(path: str | Path) -> list[Sample]:
  """Reads one sample a line: JSON with the texts `id, code, input, output`.

  Raises:
    ValueError: a line does not have this form; the message names it.
    OSError: the file cannot be read.
  """
  samples = []
  lines = Path(path).read_text(encoding="utf-8").splitlines()
  for number, line in enumerate(lines, 1):
    try:
      row = json.loads(line)
      texts = [row[name] for name in ("id", "code", "input", "output")]
      if any(not isinstance(text, str) for text in texts):
        raise ValueError("id, code, input and output must be texts")
      name, code, given, output = texts
      samples.append(Sample(name, code, given, _canonical_text(output)))
    except KeyError as error:
      raise ValueError(f"{path}:{number}: no field {error}") from None
    except (ValueError, TypeError) as error:
      raise ValueError(f"{path}:{number}: {error}") from None
  if not samples:
    raise ValueError(f"{path}: no samples")
  return samples


def _canonical_text(output: str) -> str:
  """A recorded output as the executor writes it; not a literal, it stays."""
  try:
    value = ast.literal_eval(output)
    return canonical(value, _MOST, _DEPTH, _MOST)
  except (ValueError, SyntaxError, RecursionError, NotAValue, ValueTooLarge):
    return output


def agreement(executor: Executor, samples: Sequence[Sample]) -> int:
  """How many samples give their recorded output in the executor."""
  jobs = [job(s) for s in samples]
  return sum(
    v.status == OK and v.value == s.output
    for (v,), s in zip(executor.run(jobs), samples, strict=True)
  )


def job(s: Sample) -> Job:
  """One run; arguments that are no literals are computed in the program."""
  try:
    ast.literal_eval(f"[{s.input}]")
  except (ValueError, SyntaxError, RecursionError):
    caller = f"inner = f\ndef f():\n  return inner({s.input})\n"
    return Job(f"{s.code}\n{caller}", ("[]",))
  return Job(s.code, (f"[{s.input}]",))


def micro_python(code: str) -> Tokens | None:
  """The program in micro-Python, or None if it cannot be said there.

  The function's one argument and its one comprehension variable may have any
  name; they become `x` and `v`.
  """
  try:
    tree = ast.parse(code)
    nodes = list(ast.walk(tree))
    argument = {n.arg for n in nodes if isinstance(n, ast.arg)}
    bound = {
      n.target.id
      for n in nodes
      if isinstance(n, ast.comprehension) and isinstance(n.target, ast.Name)
    }
    if len(argument) != 1 or len(bound) > 1 or argument & bound:
      return None
    names = dict.fromkeys(argument, "x") | dict.fromkeys(bound, "v")
    for node in nodes:
      if isinstance(node, ast.arg):
        node.arg = names[node.arg]
      elif isinstance(node, ast.Name):
        node.id = names.get(node.id, node.id)
    return render.parse(ast.unparse(tree))
  except (ValueError, SyntaxError, RecursionError):
    return None


def posable(
  executor: Executor, samples: Sequence[Sample], level: Level
) -> list[tuple[Tokens, str, str]]:
  """Program, input and output of the samples that a level can say.

  The micro-Python form must itself give the recorded output.
  """
  limits = (level.items, level.low, level.high)
  bounds = Bounds(*map(np.int32, limits))
  found = []
  for s in samples:
    tokens = micro_python(s.code)
    if tokens is None or not in_reach(tokens, level):
      continue
    is_list = s.input.startswith("[")
    if is_list and all(in_bounds(text, bounds) for text in (s.input, s.output)):
      found.append((tokens, s.input, s.output))
  jobs = [Job(render.source(p), (f"[{given}]",)) for p, given, _ in found]
  return [
    row
    for row, (v,) in zip(found, executor.run(jobs), strict=True)
    if v.status == OK and v.value == row[2]
  ]


def score(
  executor: Executor,
  network: Network,
  params: Any,
  samples: Sequence[Sample],
  level: Level,
  sizes: Sizes,
) -> dict[str, int | float | None]:
  """Scores greedy answers on what can be posed, and the executor on all.

  Args:
    executor: runs everything.
    network, params: the model.
    samples: from `load`.
    level: the language's level.
    sizes: lengths of the run.

  Returns:
    functions, their number; executor_agrees, how many give their recorded
    output; posed, how many can be said at this level; deduction and
    abduction, accuracy on those, None if there are none.
  """
  posed = posable(executor, samples, level)
  result: dict[str, int | float | None] = {
    "functions": len(samples),
    "executor_agrees": agreement(executor, samples),
    "posed": len(posed),
    "deduction": None,
    "abduction": None,
  }
  if not posed:
    return result
  tasks = _tasks(posed, sizes)
  judge = Judge(executor, pairs=1)
  for kind in (DEDUCTION, ABDUCTION):
    answers = _answer(network, params, tasks, kind, level, sizes)
    grades = judge.grade(answers)
    if judge.failure is not None:
      raise judge.failure
    known = grades[grades != UNKNOWN]
    if known.size:
      result[KINDS[kind]] = float(np.mean(known == RIGHT))
  return result


def _tasks(posed: Sequence[tuple[Tokens, str, str]], sizes: Sizes) -> Task:
  def values(texts):
    rows = [[induce.value_row(text, sizes.value)] for text in texts]
    return jnp.asarray(rows, jnp.int32)

  programs, inputs, outputs = zip(*posed, strict=True)
  rows = [render.pad(tokens, sizes.program) for tokens in programs]
  zeros = jnp.zeros(len(posed), jnp.int32)
  return Task(
    program=jnp.asarray(rows, jnp.int32),
    inputs=values(inputs),
    outputs=values(outputs),
    behaviour=jnp.zeros((len(posed), 2), jnp.uint32),
    kind=zeros,
    source=zeros,
  )


def _answer(
  network: Network,
  params: Any,
  tasks: Task,
  kind: int,
  level: Level,
  sizes: Sizes,
) -> Answers:
  """Greedy answers to every task, posed as one type."""
  tables = jax.tree.map(jnp.asarray, build(level))
  count = tasks.kind.shape[0]
  pair = jnp.zeros(count, jnp.int32)

  @jax.jit
  def write(params):
    prompt, gold = rows_of(kind, tasks, pair, sizes.shown)
    return sample.write(
      network,
      network.weights(params),
      tables,
      plan_of(kind, tables, count),
      prompt,
      jax.random.key(0),
      length=gold.shape[1],
      slots=sizes.slots,
      temperature=0,
    ).answer

  answers = Answers(
    kind=jnp.full(count, kind, jnp.int32),
    program=tasks.program,
    inputs=tasks.inputs,
    outputs=tasks.outputs,
    pair=pair,
    answer=write(params),
    asked=jnp.ones(count, bool),
  )
  return jax.device_get(answers)
