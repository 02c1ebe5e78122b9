"""Agreement: how many of a model's samples mean the same as its answer.

Self-consistency, arXiv:2203.11171, taken as a confidence; what counts is the
meaning and not the wording, as in semantic entropy, arXiv:2302.09664.
Letters: n = tasks, S = samples of each, A = answer tokens.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from bitzero_jax.language import render
from bitzero_jax.language.probes import PROBE_TEXTS
from bitzero_jax.language.render import Tokens
from bitzero_jax.state import ABDUCTION, DEDUCTION, Answers
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import UNKNOWN, Job, Verdict


def agreement(
  executor: Executor, answers: Answers, drawn: np.ndarray
) -> np.ndarray:
  """Share of samples that mean the same as the answer.

  Two outputs (deduction) mean the same if they are equal; two inputs
  (abduction) if the task's program gives the same on both; two programs
  (induction) if they behave alike on the fixed probe inputs. To fail with the
  same error is the same too. No gold answer is looked at. Where the executor
  cannot tell, answers are compared token by token.

  Args:
    executor: runs programs.
    answers: with numpy arrays, B = n, all of one type.
    drawn: int32 [n, S, A], samples for the same tasks, padding on the right.

  Returns:
    float64 [n], in [0, 1].
  """
  every = np.concatenate([answers.answer[:, None], drawn], axis=1)
  said = [[render.strip(row) for row in mine] for mine in every.tolist()]
  kind = answers.kind[0]
  if kind == DEDUCTION:
    meant: Sequence[Sequence[Hashable]] = said
  elif kind == ABDUCTION:
    programs = [render.strip(row) for row in answers.program.tolist()]
    meant = _inputs(executor, programs, said)
  else:
    meant = _programs(executor, said)
  return np.array([np.mean([m == own for m in rest]) for own, *rest in meant])


def _inputs(
  executor: Executor, programs: list[Tokens], said: list[list[Tokens]]
) -> list[list[Hashable]]:
  """What each task's program makes of each input."""
  jobs = [
    Job(
      render.source(program), tuple(f"[{render.value_text(v)}]" for v in given)
    )
    for program, given in zip(programs, said, strict=True)
  ]
  return [
    [
      _meaning([verdict], tokens)
      for verdict, tokens in zip(verdicts, given, strict=True)
    ]
    for verdicts, given in zip(executor.run(jobs), said, strict=True)
  ]


def _programs(
  executor: Executor, said: list[list[Tokens]]
) -> list[list[Hashable]]:
  """What each program does on the probes; equal ones are run once."""
  probes = tuple(f"[{text}]" for text in PROBE_TEXTS)
  different = list(dict.fromkeys(p for mine in said for p in mine))
  results = executor.run([Job(render.source(p), probes) for p in different])
  meant = {
    program: _meaning(verdicts, program)
    for program, verdicts in zip(different, results, strict=True)
  }
  return [[meant[program] for program in mine] for mine in said]


def _meaning(verdicts: Sequence[Verdict], tokens: Tokens) -> Hashable:
  if any(v.status == UNKNOWN for v in verdicts):
    return tokens
  return tuple((v.status, v.value or v.error) for v in verdicts)
