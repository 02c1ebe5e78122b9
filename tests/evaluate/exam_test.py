"""The held-out exam: built from programs that are really run."""

import jax
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import exam as exam_lib
from bitzero_jax.evaluate.constant import best_constant
from bitzero_jax.language import levels, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.state import REASON, REASONS, Outcome
from bitzero_jax.verify import rules
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge
from bitzero_jax.verify.verdict import Job

LEVEL = levels.LEVELS["small"]
SIZES = Sizes(
  program=LEVEL.program, value=LEVEL.items + 2, shown=4, hidden=2, references=1
)
BOUNDS = Bounds(*map(np.int32, (LEVEL.items, LEVEL.low, LEVEL.high)))
OPTIONS = {
  "weights": "hand",
  "tried": 9,
  "candidates": 700,
  "tasks": 8,
  "bar_share": 0.5,
  "output_share": 0.1,
  "seed": 0,
}
PAIRS = 6


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


def made(executor, **changes):
  judge = Judge(executor, PAIRS)
  return exam_lib.build_exam(
    judge, LEVEL, SIZES, BOUNDS, **{**OPTIONS, **changes}
  )


@pytest.fixture(scope="module")
def exam(executor):
  return made(executor)


def texts(rows):
  return [render.value_text(render.strip(row)) for row in rows]


def test_each_task_is_in_the_bucket_of_its_length(exam):
  assert exam.names == ("2-3", "4-5", "6-8", "long 9-14")
  length = (exam.tasks.program != 0).sum(1)
  edges = np.array([[2, 3], [4, 5], [6, 8], [9, 14]])[exam.bucket]
  assert ((edges[:, 0] <= length) & (length <= edges[:, 1])).all()
  count = np.bincount(exam.bucket, minlength=4)
  # What the short bucket lacks, the others take over.
  assert count[0] <= 8 <= count[2] and 0 < count[3] <= 8
  assert count[:3].sum() == 24
  trained = exam_lib.trained_lengths(exam)
  np.testing.assert_array_equal(trained, exam.bucket < 3)
  assert (exam.sizes.program, exam.level.program) == (14, 14)


def test_each_behaviour_comes_once(exam):
  assert len(np.unique(exam.tasks.behaviour, axis=0)) == len(exam.pair)


def test_the_answers_are_what_python_says(exam, executor):
  programs = [render.source(render.strip(p)) for p in exam.tasks.program]
  jobs = [
    Job(program, tuple(f"[{t}]" for t in texts(rows)))
    for program, rows in zip(programs, exam.tasks.inputs, strict=True)
  ]
  for verdicts, outputs in zip(
    executor.run(jobs), exam.tasks.outputs, strict=True
  ):
    assert [v.value for v in verdicts] == texts(outputs)


def test_no_task_is_nearly_constant_and_no_output_is_common(exam):
  for outputs in exam.tasks.outputs:
    assert len(set(texts(outputs))) >= exam_lib.DISTINCT
  asked = texts(exam.tasks.outputs[np.arange(len(exam.pair)), exam.pair])
  most = int(OPTIONS["output_share"] * OPTIONS["tasks"] * 4)
  assert max(map(asked.count, asked)) <= most


def test_a_seed_decides_everything(executor, exam):
  again = made(executor)
  jax.tree.map(np.testing.assert_array_equal, again[:3], exam[:3])
  other = made(executor, seed=1, tasks=4)
  assert other.tasks.program.shape != exam.tasks.program.shape or (
    (other.tasks.program != exam.tasks.program).any()
  )


def test_what_the_exam_holds_is_never_trained_on(exam):
  rows = len(exam.pair)
  nothing = np.zeros(rows, bool)
  outcome = Outcome(
    reason=np.full(rows, REASON["accepted"]),
    inputs=exam.tasks.inputs,
    outputs=exam.tasks.outputs,
    behaviour=exam.tasks.behaviour,
    constant=nothing,
    identity=nothing,
  )
  gate = rules.Gate(constant=False, identity=False, outputs=1, novel=False)
  reason = rules.judge(
    gate, outcome, exam.tasks.behaviour, np.zeros((0, 2), np.uint32), 0
  )
  assert {REASONS[int(code)] for code in reason} == {"barred"}
  assert not np.asarray(rules.trainable(reason)).any()


def test_only_a_share_of_the_short_behaviours_is_taken(executor, exam):
  few = made(executor, bar_share=0.1, tasks=2)
  drawn = exam_lib.draw_candidates(
    LEVEL, SIZES._replace(program=14), "hand", 9, 700, 0
  )
  found = Judge(executor, PAIRS).check(drawn, BOUNDS)
  length = (drawn.program != 0).sum(1)
  short = {
    tuple(found.behaviour[i])
    for i in np.flatnonzero(found.reason == REASON["accepted"])
    if length[i] <= 3
  }
  taken = {tuple(row) for row in few.tasks.behaviour[few.bucket == 0].tolist()}
  assert len(taken) <= 0.1 * len(short)


def test_too_few_behaviours_are_an_error_that_says_what_to_change(executor):
  with pytest.raises(ValueError, match=r"raise heldout.candidates=60 or lower"):
    made(executor, candidates=60)


class Broken:
  def run(self, jobs):
    raise OSError("the workers are gone")


def test_a_failure_of_the_executor_is_not_an_empty_exam():
  with pytest.raises(OSError, match="workers are gone"):
    made(Broken())


@pytest.mark.slow
def test_on_the_real_exam_no_constant_answer_scores(executor):
  config = config_lib.default()
  judge = Judge(executor, config.language.pairs)
  real = build.build_exam(config, judge)
  count = np.bincount(real.bucket, minlength=4)
  assert count[:3].sum() == 3 * config.heldout.tasks
  assert best_constant(executor, real).best < 0.10
