"""Rows of tokens before the real executor."""

import numpy as np
import pytest

from bitzero_jax.language import grammar as g
from bitzero_jax.language import render
from bitzero_jax.language.probes import PROBE_TEXTS
from bitzero_jax.state import (
  ABDUCTION,
  DEDUCTION,
  INDUCTION,
  REASONS,
  RIGHT,
  UNKNOWN,
  WRONG,
  Answers,
  Candidates,
)
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge, compare, in_bounds
from bitzero_jax.verify.verdict import Limits, Verdict

BOUNDS = Bounds(*map(np.int32, (5, 0, 20)))
WIDTH, PROGRAM, PAIRS = 7, 20, 2
INPUTS = ("[3, 1, 2]", "[5, 5]", "[4]")


@pytest.fixture
def judge(executor):
  made = Judge(executor, PAIRS)
  yield made
  assert made.failure is None


def value(text):
  return render.pad(render.value_tokens(text), WIDTH)


def candidates(*rows):
  """Rows of (program, inputs)."""
  programs = [render.pad(render.parse(p), PROGRAM) for p, _ in rows]
  inputs = [[value(t) for t in own] for _, own in rows]
  zeros = np.zeros(len(rows), np.int32)
  return Candidates(
    np.array(programs, np.int32), np.array(inputs, np.int32), zeros, zeros
  )


def check(judge, *programs, inputs=INPUTS):
  outcome = judge.check(candidates(*((p, inputs) for p in programs)), BOUNDS)
  return [REASONS[code] for code in outcome.reason], outcome


def texts(rows):
  return [render.value_text(render.strip(row)) for row in rows]


def test_a_sound_program_gets_its_pairs(judge):
  reasons, found = check(judge, "sorted(x)", "sum(x)")
  assert reasons == ["accepted", "accepted"]
  assert texts(found.inputs[0]) == ["[3, 1, 2]", "[5, 5]"]
  assert texts(found.outputs[0]) == ["[1, 2, 3]", "[5, 5]"]
  assert texts(found.outputs[1]) == ["6", "10"]
  assert not found.constant.any() and not found.identity.any()
  assert found.behaviour.dtype == np.uint32
  assert (found.behaviour[0] != found.behaviour[1]).any()


def test_each_row_may_have_bounds_of_its_own(judge):
  rows = candidates(*[("sorted(x)", INPUTS)] * 3)
  wide = Bounds(*(np.repeat(bound, 3) for bound in BOUNDS))
  high = wide._replace(high=np.array([20, 2, 20], np.int32))
  items = high._replace(items=np.array([5, 5, 2], np.int32))
  found = judge.check(rows, items)
  assert [REASONS[code] for code in found.reason] == [
    "accepted",
    "unbounded",
    "unbounded",
  ]
  alone = judge.check(candidates(("sorted(x)", INPUTS)), BOUNDS)
  np.testing.assert_array_equal(found.outputs[0], alone.outputs[0])


def test_one_input_is_enough_to_learn_what_a_program_is(judge):
  reasons, found = check(judge, "sorted(x)", "[3]", inputs=("[3, 1, 2]",))
  assert reasons == ["accepted", "accepted"]
  assert texts(found.outputs[0, :1]) == ["[1, 2, 3]"]
  assert not found.outputs[0, 1:].any()
  assert found.constant.tolist() == [False, True]


@pytest.mark.parametrize(
  ("program", "constant", "identity"),
  [
    ("[3]", True, False),
    ("len(x) * 0", True, False),
    ("x[0:]", False, True),
    ("x[::-1][::-1]", False, True),
    ("x[:5]", False, True),
    ("x[1:]", False, False),
    ("x[0] * 0", True, False),  # an error on [], one value elsewhere
  ],
)
def test_constants_and_the_identity_are_named(
  judge, program, constant, identity
):
  reasons, found = check(judge, program)
  assert reasons == ["accepted"]
  assert (bool(found.constant[0]), bool(found.identity[0])) == (
    constant,
    identity,
  )


@pytest.mark.parametrize(
  ("program", "reason"),
  [
    ("x[9]", "invalid"),
    ("1 // (len(x) - 3)", "invalid"),
    ("sum(x) * 20", "unbounded"),
    ("0 - sum(x)", "unbounded"),
    ("x + x", "unbounded"),
    ("list(range(sum(x)))", "unbounded"),
    ("x[0] + 99", "unbounded"),
  ],
)
def test_the_first_input_decides_why_a_task_is_refused(judge, program, reason):
  reasons, found = check(judge, program)
  assert reasons == [reason]
  assert not found.outputs.any() and not found.inputs.any()


def test_a_long_run_is_a_timeout():
  with Executor(Limits(steps=3)) as short:
    judge = Judge(short, PAIRS)
    reasons, _ = check(judge, "[v + 1 for v in x + x]")
  assert reasons == ["timeout"]


def test_other_inputs_that_fail_are_passed_over(judge):
  reasons, found = check(judge, "x[1]", inputs=("[1, 2]", "[]", "[7, 8]"))
  assert reasons == ["accepted"]
  assert texts(found.inputs[0]) == ["[1, 2]", "[7, 8]"]
  assert texts(found.outputs[0]) == ["2", "8"]
  # Too few are left: the reason is the first problem among them.
  reasons, _ = check(judge, "x[1]", inputs=("[1, 2]", "[]", "[7]"))
  assert reasons == ["invalid"]
  reasons, _ = check(judge, "x[1]", inputs=("[]", "[1, 2]", "[3, 4]"))
  assert reasons == ["invalid"]


def test_equal_behaviours_have_equal_hashes(judge):
  _, found = check(judge, "sorted(x)", "sorted(x[::-1])", "sorted(x)[::-1]")
  np.testing.assert_array_equal(found.behaviour[0], found.behaviour[1])
  assert (found.behaviour[0] != found.behaviour[2]).any()


class Recorder:
  """An executor that remembers its jobs, and answers what a table says."""

  def __init__(self, executor, forced=None):
    self.executor, self.forced, self.jobs = executor, forced or {}, []

  def run(self, jobs):
    self.jobs.append(list(jobs))
    return [
      [
        v._replace(status=s[0], value="", error=s[1])
        if (s := self.forced.get(text))
        else v
        for v, text in zip(verdicts, job.inputs, strict=True)
      ]
      for verdicts, job in zip(self.executor.run(jobs), jobs, strict=True)
    ]


def test_probes_are_run_once_for_a_program(executor):
  recorder = Recorder(executor)
  judge = Judge(recorder, PAIRS)
  _, one = check(judge, "sorted(x)")
  _, two = check(judge, "sorted(x)", "sum(x)")
  sizes = [[len(job.inputs) for job in jobs] for jobs in recorder.jobs]
  whole = len(INPUTS) + len(PROBE_TEXTS)
  assert sizes == [[whole], [len(INPUTS), whole]]
  np.testing.assert_array_equal(one.behaviour[0], two.behaviour[0])


def test_a_full_memory_forgets_nothing_that_a_batch_relies_on(
  judge, monkeypatch
):
  monkeypatch.setattr("bitzero_jax.verify.judge._REMEMBERED", 2)
  check(judge, "sorted(x)")
  reasons, _ = check(judge, "x[1:]", "sum(x)", "sorted(x)")
  assert reasons == ["accepted"] * 3
  reasons, _ = check(judge, "max(x)", "sorted(x)")  # now it began anew
  assert reasons == ["accepted"] * 2


@pytest.mark.parametrize(
  ("forced", "reason"),
  [
    (("error", "Nondeterministic"), "nondeterministic"),
    (("unknown", "lost"), "unknown"),
    (("memory", ""), "memory"),
    (("forbidden", "rule"), "forbidden"),
  ],
)
def test_what_the_executor_says_of_an_input_is_passed_on(
  executor, forced, reason
):
  recorder = Recorder(executor, {"[[3, 1, 2]]": forced})
  reasons, _ = check(Judge(recorder, PAIRS), "sorted(x)", "sum(x)")
  assert reasons == [reason, reason]


@pytest.mark.parametrize("status", ["unknown", "nondeterministic"])
def test_doubt_about_any_input_is_doubt_about_the_task(executor, status):
  forced = {
    "unknown": ("unknown", ""),
    "nondeterministic": ("error", "Nondeterministic"),
  }[status]
  recorder = Recorder(executor, {"[[4]]": forced})
  reasons, _ = check(Judge(recorder, PAIRS), "sorted(x)")
  assert reasons == [status]


def test_an_unknown_probe_is_not_remembered(executor):
  recorder = Recorder(executor, {f"[{PROBE_TEXTS[4]}]": ("unknown", "")})
  judge = Judge(recorder, PAIRS)
  assert check(judge, "sorted(x)")[0] == ["unknown"]
  recorder.forced.clear()
  assert check(judge, "sorted(x)")[0] == ["accepted"]


def answers(*rows, program="sorted(x)[1:]", asked=True):
  """Rows of (kind, pair, answer text); pairs are those of `program`."""
  inputs = ("[3, 1]", "[4, 2, 9]", "[7]")
  outputs = ("[3]", "[4, 9]", "[]")
  count = len(rows)
  said = [
    render.parse(a) if kind == INDUCTION else render.value_tokens(a)
    for kind, _, a in rows
  ]

  def repeat(value):
    return np.array([value] * count, np.int32)

  return Answers(
    kind=np.array([kind for kind, _, _ in rows], np.int32),
    program=repeat(render.pad(render.parse(program), PROGRAM)),
    inputs=repeat([value(t) for t in inputs]),
    outputs=repeat([value(t) for t in outputs]),
    pair=np.array([pair for _, pair, _ in rows], np.int32),
    answer=np.array([render.pad(a, PROGRAM) for a in said], np.int32),
    asked=np.full(count, asked),
  )


def test_deduction_is_right_for_the_one_value(judge):
  graded = judge.grade(
    answers(
      (DEDUCTION, 1, "[4, 9]"),
      (DEDUCTION, 1, "[9, 4]"),
      (DEDUCTION, 1, "4"),
      (DEDUCTION, 0, "[4, 9]"),
      (DEDUCTION, 2, "[]"),
    )
  )
  assert graded.tolist() == [RIGHT, WRONG, WRONG, WRONG, RIGHT]
  assert graded.dtype == np.int32


def test_abduction_takes_any_input_that_gives_the_output(judge):
  graded = judge.grade(
    answers(
      (ABDUCTION, 1, "[4, 2, 9]"),
      (ABDUCTION, 1, "[9, 0, 4]"),
      (ABDUCTION, 1, "[4, 9]"),
      (ABDUCTION, 2, "[]"),
      (ABDUCTION, 2, "[5, 5]"),
    )
  )
  assert graded.tolist() == [RIGHT, RIGHT, WRONG, RIGHT, WRONG]


def test_induction_takes_any_program_that_fits_the_hidden_pairs(judge):
  graded = judge.grade(
    answers(
      (INDUCTION, 1, "sorted(x)[1:]"),
      (INDUCTION, 1, "sorted(x[::-1])[1:]"),
      (INDUCTION, 1, "x[:1]"),  # right for the shown pair alone
      (INDUCTION, 1, "x[9]"),
      (INDUCTION, 2, "x[1:]"),
      (INDUCTION, 1, "len(x)"),
    )
  )
  assert graded.tolist() == [RIGHT, RIGHT, WRONG, WRONG, RIGHT, WRONG]


def test_rows_that_were_not_asked_are_wrong_and_cost_nothing(executor):
  recorder = Recorder(executor)
  judge = Judge(recorder, PAIRS)
  nothing = answers((INDUCTION, 1, "sorted(x)"), asked=False)
  blank = nothing.replace(answer=np.zeros_like(nothing.answer))
  assert judge.grade(blank).tolist() == [WRONG]
  assert recorder.jobs == [[]]
  assert judge.failure is None


def test_an_unknown_verdict_is_no_grade(executor):
  recorder = Recorder(executor, {"[[7]]": ("unknown", "")})
  graded = Judge(recorder, PAIRS).grade(
    answers(
      (INDUCTION, 1, "sorted(x)[1:]"),
      (ABDUCTION, 2, "[7]"),
      (ABDUCTION, 1, "[4, 2, 9]"),
      (DEDUCTION, 2, "[]"),
    )
  )
  assert graded.tolist() == [UNKNOWN, UNKNOWN, RIGHT, RIGHT]


class Broken:
  """An executor that is gone."""

  def run(self, jobs):
    raise OSError("the workers are gone")


def test_no_exception_leaves_and_the_first_one_is_kept():
  judge = Judge(Broken(), PAIRS)
  reasons, _ = check(judge, "sorted(x)", "sum(x)")
  assert reasons == ["unknown", "unknown"]
  assert str(judge.failure) == "the workers are gone"
  first = judge.failure
  graded = judge.grade(answers((ABDUCTION, 1, "[4]"), (DEDUCTION, 1, "[4]")))
  assert graded.tolist() == [UNKNOWN, WRONG]
  assert judge.failure is first
  assert judge.seconds > 0


def test_tokens_that_are_no_program_become_unknown(executor):
  judge = Judge(executor, PAIRS)
  rows = candidates(("sorted(x)", INPUTS))
  outcome = judge.check(
    rows.replace(program=np.full_like(rows.program, g.LIST_OPEN)), BOUNDS
  )
  assert REASONS[outcome.reason[0]] == "unknown"
  assert isinstance(judge.failure, ValueError)
  bad = answers((INDUCTION, 1, "sorted(x)"))
  bad = bad.replace(answer=np.full_like(bad.answer, g.TOKEN_OF["add"]))
  assert judge.grade(bad).tolist() == [UNKNOWN]


@pytest.mark.parametrize(
  ("text", "inside"),
  [
    ("[]", True),
    ("[0, 20]", True),
    ("20", True),
    ("[1, 2, 3, 4, 5]", True),
    ("[1, 2, 3, 4, 5, 6]", False),
    ("21", False),
    ("-1", False),
    ("[3, 21]", False),
    ("[3, -1]", False),
    ("100", False),
    ("True", False),
    ("[[1]]", False),
    ("None", False),
    ("", False),
  ],
)
def test_a_level_says_what_it_can_say(text, inside):
  assert in_bounds(text, BOUNDS) == inside


def test_comparing_needs_every_verdict(executor):
  right, other, lost = (
    Verdict(status, value, "", 0, 2, executor.engine)
    for status, value in (("ok", "1"), ("ok", "2"), ("unknown", ""))
  )
  wrong_status = right._replace(status="error")
  assert compare([right, right], ["1", "1"]) == RIGHT
  assert compare([right, other], ["1", "1"]) == WRONG
  assert compare([wrong_status], ["1"]) == WRONG
  assert compare([other, lost], ["1", "1"]) == UNKNOWN
