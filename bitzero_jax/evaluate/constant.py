"""The best constant answer: an exam's score for reading nothing."""

from collections import Counter
from typing import NamedTuple

from bitzero_jax.evaluate.exam import Exam, trained_lengths
from bitzero_jax.language import render
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job

_TRIED = 48  # constants tried as abduction and as induction answers


class Constant(NamedTuple):
  """Share of tasks solved by the best single answer, with that answer."""

  deduction: float
  abduction: float
  induction: float
  answers: tuple[str, str, str]

  @property
  def best(self) -> float:
    """The highest of the three shares."""
    return max(self.deduction, self.abduction, self.induction)


def best_constant(executor: Executor, exam: Exam) -> Constant:
  """Searches the best constant answer for each task type.

  Deduction: the commonest output, exactly. Abduction and induction: the
  commonest inputs and the shortest programs of the exam, run on every task.
  """
  rows = [i for i, ok in enumerate(trained_lengths(exam)) if ok]
  programs = [render.source(render.strip(exam.tasks.program[i])) for i in rows]
  inputs = [[_text(v) for v in exam.tasks.inputs[i]] for i in rows]
  outputs = [[_text(v) for v in exam.tasks.outputs[i]] for i in rows]
  pair = [int(exam.pair[i]) for i in rows]
  gold = [row[j] for row, j in zip(outputs, pair, strict=True)]

  said, count = Counter(gold).most_common(1)[0]
  deduction = count / len(rows)

  common = Counter(text for row in inputs for text in row).most_common(_TRIED)
  tried = ["[]", *(text for text, _ in common)]
  arguments = tuple(f"[{text}]" for text in tried)
  results = executor.run([Job(p, arguments) for p in programs])
  right = [
    sum(
      v[k].status == "ok" and v[k].value == g
      for v, g in zip(results, gold, strict=True)
    )
    for k in range(len(tried))
  ]
  given = max(range(len(tried)), key=right.__getitem__)

  shown = exam.sizes.shown
  hidden = [tuple(f"[{t}]" for t in row[shown:]) for row in inputs]
  every = tuple(text for row in hidden for text in row)
  shortest = sorted(set(programs), key=len)[:_TRIED]
  results = executor.run([Job(p, every) for p in shortest])
  wanted = [row[shown:] for row in outputs]
  fits = [_fits(verdicts, wanted) for verdicts in results]
  best = max(range(len(shortest)), key=fits.__getitem__)
  return Constant(
    deduction=deduction,
    abduction=right[given] / len(rows),
    induction=fits[best] / len(rows),
    answers=(said, tried[given], shortest[best].split("return ")[1].strip()),
  )


def _text(row) -> str:
  return render.value_text(render.strip(row))


def _fits(verdicts, wanted: list[list[str]]) -> int:
  """Tasks whose hidden outputs one program gives."""
  at, right = 0, 0
  for outputs in wanted:
    mine = verdicts[at : at + len(outputs)]
    right += all(
      v.status == "ok" and v.value == text
      for v, text in zip(mine, outputs, strict=True)
    )
    at += len(outputs)
  return right
