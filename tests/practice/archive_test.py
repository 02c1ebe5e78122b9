"""What is learned from, what answers, and what is forgotten."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitzero_jax.language import render
from bitzero_jax.practice.archive import (
  Archive,
  closeness,
  nearest,
  newest,
  run,
)
from bitzero_jax.verify.judge import Bounds
from bitzero_jax.verify.verdict import UNKNOWN, Verdict

BOUNDS = Bounds(5, 0, 20)
SORTING = (("[3, 1, 2]", "[1, 2, 3]"), ("[5, 4]", "[4, 5]"))
VALUES = st.one_of(
  st.integers(-99, 99).map(str),
  st.lists(st.integers(-99, 99), max_size=10).map(str),
)


def programs(archive):
  return [render.expression(attempt.program) for attempt in archive.first()]


@pytest.fixture
def archive(ask):
  return Archive(ask(SORTING), BOUNDS, 4)


def test_a_miss_is_a_task_of_its_own(archive, missed):
  missed(archive, "x[1:]", "[1, 2]", "[4]")
  (attempt,) = archive.first()
  texts = [render.value_text(render.strip(row)) for row in attempt.outputs]
  assert texts == ["[1, 2]", "[4]", "[1, 2]", "[4]"]  # as the inputs repeat
  assert attempt.outputs.dtype == np.int32
  assert attempt.closeness == closeness(["[1, 2]", "[4]"], _wanted(SORTING))
  assert archive.answer is None
  assert archive.tried == {render.parse("x[1:]")}


def test_the_shortest_program_of_a_behaviour_stands(archive, missed):
  missed(archive, "x[1:][0:]", "[1, 2]", "[4]")
  missed(archive, "x[1:]", "[1, 2]", "[4]")
  missed(archive, "x[1:][0:][0:]", "[1, 2]", "[4]")
  assert programs(archive) == ["x[1:]"]
  assert len(archive.tried) == 3


@pytest.mark.parametrize(
  "outputs",
  [
    ("[1]", "[1]"),  # constant
    ("[3, 1, 2]", "[5, 4]"),  # identity
    ("[1, 2]", None),  # an error
    ("[1, 2]", "[21]"),  # an int out of bounds
    ("[1, 2]", "[1, 1, 1, 1, 1, 1]"),  # a list too long
    ("[1, 2]", "[100]"),  # no value of the language
    ("[1, 2]", "'no'"),
  ],
)
def test_what_says_little_or_cannot_be_said_is_no_lesson(
  archive, missed, outputs
):
  missed(archive, "x[1:]", *outputs)
  assert archive.first() == []
  assert archive.tried == {render.parse("x[1:]")}


@pytest.mark.parametrize(
  ("given", "outputs"),
  [
    ((("[1]", "[2]"), ("[3]", "[2]")), ("[2]", "[2]")),
    ((("[1]", "[1]"), ("[3]", "[3]")), ("[1]", "[3]")),
  ],
)
def test_what_fits_is_kept_whatever_it_is(ask, missed, given, outputs):
  archive = Archive(ask(given), BOUNDS, 4)
  missed(archive, "x[0:]", *outputs)
  assert archive.answer == render.parse("x[0:]")
  assert programs(archive) == ["x[0:]"]
  assert archive.first()[0].closeness == 1


def test_one_example_has_no_constant(ask, missed):
  archive = Archive(ask(SORTING[:1]), BOUNDS, 4)
  missed(archive, "x[1:]", "[1, 2]")
  assert programs(archive) == ["x[1:]"]


def test_the_shortest_answer_stands(archive, missed):
  for text in ("sorted(x)[0:]", "sorted(x)", "sorted(x)[0:][0:]"):
    missed(archive, text, "[1, 2, 3]", "[4, 5]")
  assert archive.answer == render.parse("sorted(x)")


def test_an_example_that_cannot_be_said_must_be_met_all_the_same(ask, missed):
  long = ("[9, 8, 7, 6, 5, 4]", "[4, 5, 6, 7, 8, 9]")
  archive = Archive(ask((long, *SORTING)), BOUNDS, 4)
  assert archive.question.sayable == (1, 2)
  assert archive.job(render.parse("x[1:]")).inputs[0] == f"[{long[0]}]"
  missed(archive, "x[0:]", "[4]", "[1, 2, 3]", "[4, 5]")
  assert archive.answer is None
  assert archive.first()[0].closeness == 1  # of what can be said
  missed(archive, "x[1:]", None, "[1, 2]", "[4]")
  assert len(archive.first()) == 2  # its trouble is not shown
  missed(archive, "sorted(x)", long[1], "[1, 2, 3]", "[4, 5]")
  assert archive.answer == render.parse("sorted(x)")


def test_the_unknown_rules_nothing_out(archive):
  program = render.parse("sorted(x)")
  archive.put(program, [Verdict(UNKNOWN, "", "", 0, 0, None)] * 2)
  assert archive.tried == set()
  assert archive.first() == []


def fill(archive, missed, count):
  """Misses whose first output nears the wanted one, then leaves it again."""
  for number in range(count):
    near = 4 if number == count // 2 else number % 4
    missed(archive, f"x[{number % 10}:]", f"[{number // 4}, {near}]", "[4]")


@pytest.mark.parametrize("rank", [nearest, newest])
def test_what_is_kept_is_the_first_of_everything(ask, missed, rank):
  small, big = (
    Archive(ask(SORTING), Bounds(5, 0, 99), kept, rank) for kept in (4, 1000)
  )
  for archive in (small, big):
    fill(archive, missed, 90)
  assert len(big.first()) == 90
  assert len(small.first()) == 4
  for mine, other in zip(small.first(), big.first()[:4], strict=True):
    assert mine._replace(outputs=None) == other._replace(outputs=None)
  assert len(small._attempts) <= 2 * 4 + 1  # it does not grow


def test_ranks(archive, ask, missed):
  late = Archive(ask(SORTING), BOUNDS, 2, newest)
  for side in (archive, late):
    missed(side, "x[1:]", "[1, 2]", "[4, 5]")
    missed(side, "x[2:]", "[2]", "[]")
    missed(side, "x[3:]", "[1]", "[]")
  assert programs(archive)[0] == "x[1:]"
  near = [attempt.closeness for attempt in archive.first()]
  assert near == sorted(near, reverse=True)
  assert programs(late) == ["x[3:]", "x[2:]"]


def test_the_executor_is_asked_once_for_each_program(executor, archives):
  class Counting:
    inputs = 0

    def run(self, jobs):
      self.inputs += sum(len(job.inputs) for job in jobs)
      return executor.run(jobs)

  also = [Archive(archive.question, BOUNDS, 4, newest) for archive in archives]
  counting = Counting()
  tail, sort = render.parse("x[1:]"), render.parse("sorted(x)")
  run(counting, archives, [(0, tail), (1, tail), (0, tail)], also, misses=True)
  assert counting.inputs == 5
  run(counting, archives, [(0, sort), (0, tail)], misses=True)
  assert counting.inputs == 7
  run(counting, archives, [], misses=True)
  assert counting.inputs == 7
  assert archives[0].answer == sort
  assert also[0].answer is None
  assert programs(also[0]) == ["x[1:]"]
  assert archives[1].answer is None


def test_who_wants_no_misses_runs_them_on_one_example(executor, archives):
  class Counting:
    inputs = ()

    def run(self, jobs):
      self.inputs += tuple(len(job.inputs) for job in jobs)
      return executor.run(jobs)

  counting = Counting()
  sort, tail = render.parse("sorted(x)"), render.parse("x[1:]")
  run(counting, archives, [(0, sort), (0, tail)], misses=False)
  assert counting.inputs == (1, 1, len(SORTING) - 1)
  assert archives[0].answer == sort
  assert archives[0].tried == {sort, tail}
  assert programs(archives[0]) == ["sorted(x)"]


def test_who_wants_no_misses_tries_the_unknown_again(archive):
  sort = render.parse("sorted(x)")
  unknown = [Verdict(UNKNOWN, "", "", 0, 0, None)]
  assert not archive.promising(sort, unknown, misses=False)
  assert archive.tried == set()


@pytest.fixture
def full(ask, missed):
  """One that holds four misses that are right about the first two of three."""
  three = (*SORTING, ("[2, 1]", "[1, 2]"))
  archive = Archive(ask(three), BOUNDS, 4)
  for number in range(17):
    missed(archive, "x[2:]", "[1, 2, 3]", "[4, 5]", f"[1, {number}]")
  return archive


@pytest.mark.parametrize(
  ("text", "runs"),
  [
    ("sorted(x)", True),
    ("sorted(x)[:3]", True),  # right so far, so near enough
    ("x[1:]", False),  # farther than those that are kept
    ("x[7]", False),  # an error
    ("[v + 18 for v in x]", False),  # out of bounds
  ],
)
def test_a_miss_that_begins_far_off_is_run_no_further(
  executor, full, text, runs
):
  asked = []

  class Noting:
    def run(self, jobs):
      asked.extend(job.inputs for job in jobs)
      return executor.run(jobs)

  program = render.parse(text)
  run(Noting(), [full], [(0, program)], misses=True)
  first, *rest = asked
  assert first == ("[[3, 1, 2]]", "[[5, 4]]")
  assert rest == ([("[[2, 1]]",)] if runs else [])
  assert program in full.tried


def test_while_there_is_room_every_miss_is_run_on_everything(executor, ask):
  three = (*SORTING, ("[2, 1]", "[1, 2]"))
  archive = Archive(ask(three), BOUNDS, 4)
  run(executor, [archive], [(0, render.parse("x[1:]"))], misses=True)
  assert programs(archive) == ["x[1:]"]


def test_of_what_cannot_be_said_nothing_is_judged(executor, ask):
  long = ("[9, 8, 7, 6, 5, 4]", "[4, 5, 6, 7, 8, 9]")
  archive = Archive(ask((long, long, *SORTING)), BOUNDS, 4)
  archive._bar = 0.99
  run(executor, [archive], [(0, render.parse("x[1:]"))], misses=True)
  assert programs(archive) == ["x[1:]"]


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
@settings(max_examples=200)
def test_closeness_is_a_share_and_one_for_the_wanted_alone(pairs):
  mine, wanted = zip(*pairs, strict=True)
  near = closeness(mine, wanted)
  assert 0 <= near <= 1
  assert (near == 1) == (mine == wanted)
  assert near == pytest.approx(closeness(wanted, mine))
  each = [closeness([a], [b]) for a, b in pairs]
  assert near == pytest.approx(np.mean(each))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.data())
def test_closeness_falls_with_every_wrong_item(items, data):
  wrong = list(items)
  order = data.draw(st.permutations(range(len(items))))
  before = 1.0
  for place in order:
    wrong[place] = items[place] + 50
    now = closeness([str(wrong)], [str(items)])
    assert now < before
    before = now
  assert closeness([str(items[1:])], [str(items)]) == pytest.approx(
    len(items) / (len(items) + 2)  # from the back: all but "[" and one item
  )


def _wanted(pairs):
  return [output for _, output in pairs]
