"""The loop: when it ends, what it leaves alone, and that it repeats."""

import itertools
import time

import jax
import numpy as np
import pytest

from bitzero_jax import config_checks
from bitzero_jax.build import practice as build_practice
from bitzero_jax.evaluate import search
from bitzero_jax.language import levels, render
from bitzero_jax.practice.archive import Archive, newest
from bitzero_jax.practice.desk import device_key
from bitzero_jax.practice.practise import Practice, practise
from bitzero_jax.verify.judge import Bounds

BOUNDS = Bounds(5, 0, 20)


def draws():
  return np.random.default_rng(1)


SORT, TAIL = render.parse("sorted(x)"), render.parse("x[1:]")
SORTING = (("[3, 1, 2]", "[1, 2, 3]"), ("[5, 4]", "[4, 5]"))
ODD = (("[3, 1, 2]", "[20, 7, 11, 2]"), ("[1]", "[0, 19]"), ("[2]", "[13]"))


def plain(writers, archives, **changes):
  """A practice that learns nothing."""
  made = Practice(writers, None, archives, (), True, None, None, None)
  return made._replace(**changes)


def forever(params, archives, left, random):
  """Tries one program at every question."""
  return lambda: [(number, TAIL) for number in left]


def test_it_ends_when_everything_is_answered(executor, ask):
  archives = [Archive(ask(SORTING), BOUNDS, 4) for _ in range(2)]
  asked = []

  def write(params, archives, left, random):
    asked.append(list(left))
    number = len(asked) - 1
    return lambda: [(number, SORT)]

  seen = list(practise(plain([write], archives), "p", executor, 60, draws()))
  assert [standing.answered for standing in seen] == [(0,), (0, 1)]
  # One is written for before it is known that the other is answered.
  assert asked == [[0, 1], [0, 1], [1]]
  assert [standing.written for standing in seen] == [1, 2]
  assert [standing.tried for standing in seen] == [1, 2]
  assert seen[-1].params == "p"
  assert seen[0].seconds <= seen[1].seconds < 60
  assert not list(
    practise(plain([write], archives), "p", executor, 60, draws())
  )


def test_it_ends_when_time_is_up(executor, archives):
  begin = time.monotonic()
  seen = list(
    practise(plain([forever], archives), None, executor, 0.3, draws())
  )
  assert 0.3 <= time.monotonic() - begin < 5
  assert seen[-1].seconds >= 0.3
  assert all(standing.seconds < 0.3 for standing in seen[:-1])
  assert seen[-1].written == 2 * len(seen)
  assert seen[-1].tried == 2  # the same program at each question


def test_it_ends_when_nobody_has_anything_left_to_write(executor, archives):
  some = itertools.chain([[(1, TAIL)]], itertools.repeat([]))

  def write(params, archives, left, random):
    return lambda: next(some)

  seen = list(practise(plain([write], archives), None, executor, 60, draws()))
  assert [standing.tried for standing in seen] == [1]


def test_search_through_a_whole_level_ends(executor, config):
  config = config.copy_and_resolve_references()
  config.practice.writer, config.practice.lessons = "search", "none"
  config.practice.edit_share = 0.0
  tiny = levels.Level(2, 5, 0, 20, 1, ("small",))
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(levels.LEVELS, "small", tiny)
    made, _ = build_practice.build_practice(config, None, [ODD])
    *_, last = practise(made, None, executor, 60, draws())
  assert last.tried == len(list(search.programs(tiny)))
  assert last.answered == ()


def test_random_programs_are_tried_and_alone_are_learned_from(
  executor, archives
):
  drawn = [Archive(a.question, BOUNDS, 4, newest) for a in archives]
  sources = []

  def draw(params, archives, left, random):
    return lambda: [(0, SORT), (1, render.parse("x[:1]"))]

  def lesson(source):
    sources.append(source)
    return None, np.zeros(3)

  def update(*_):
    raise AssertionError("there was nothing to learn")

  made = plain(
    [forever], archives, draw=draw, drawn=drawn, lesson=lesson, update=update
  )
  rounds = practise(made, None, executor, 60, draws())
  first = next(rounds)
  assert (first.answered, first.written, first.tried) == ((0,), 4, 4)
  assert sources == [drawn]
  assert [a.tried for a in drawn] == [{SORT}, {render.parse("x[:1]")}]


def test_writers_have_keys_of_their_own_and_new_ones_each_round(
  executor, archives
):
  keys = []

  def write(params, archives, left, random):
    keys.append(tuple(device_key(random).tolist()))
    return lambda: [(0, TAIL)]

  rounds = practise(
    plain([write, write], archives), None, executor, 60, draws()
  )
  list(itertools.islice(rounds, 3))
  assert len(set(keys)) == len(keys) == 8  # a round is written ahead


@pytest.fixture(scope="module")
def twice(config, params, executor):
  """Two practices of one config: archives and standings of three rounds."""
  before = jax.tree.map(np.array, params)
  runs = []
  for _ in range(2):
    made, numbers = build_practice.build_practice(
      config, params, [(("[99]", "[1]"),), SORTING, ODD]
    )
    assert numbers == [1, 2]  # of the first, the level can say nothing
    rounds = practise(made, params, executor, 600, draws())
    runs.append((made, list(itertools.islice(rounds, 3))))
  jax.tree.map(np.testing.assert_array_equal, params, before)
  return runs


def test_practice_leaves_the_callers_weights_and_moves_its_own(twice, params):
  _, seen = twice[0]
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max(), seen[-1].params, params
  )
  assert max(jax.tree.leaves(moved)) > 0
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(moved))


def test_the_same_key_gives_the_same_practice(twice):
  (one, seen), (other, again) = twice
  for mine, theirs in zip(one.archives, other.archives, strict=True):
    assert mine.tried == theirs.tried
    assert mine.answer == theirs.answer
  for mine, theirs in zip(seen, again, strict=True):
    assert mine[1:4] == theirs[1:4]
    jax.tree.map(np.testing.assert_array_equal, mine.params, theirs.params)


def test_half_of_a_round_is_edits_once_there_are_misses(twice):
  _, seen = twice[0]
  assert [s.written for s in seen] == [128, 256, 512]


@pytest.mark.parametrize(
  ("programs", "share", "lessons", "rows"),
  [
    (256, 0.0, "own", [256]),
    (256, 0.5, "own", [128, 128]),
    (256, 1.0, "own", [128, 128]),  # somebody must miss first
    (1024, 0.25, "none", [768, 256]),
    (256, 1.0, "random", [128]),
    (1024, 0.5, "random", [256, 256]),
  ],
)
def test_a_round_is_shared_out(
  config, monkeypatch, programs, share, lessons, rows
):
  config = config.copy_and_resolve_references()
  config.practice.programs, config.practice.edit_share = programs, share
  config.practice.lessons, config.practice.writer = lessons, "search"
  config_checks.validate(config)
  written = []
  note = lambda desk: written.append(desk.rows)  # noqa: E731
  monkeypatch.setitem(build_practice.WRITERS, "search", note)
  monkeypatch.setattr(build_practice.unprompted, "edited", note)
  draws = []
  monkeypatch.setattr(
    build_practice.unprompted, "drawn", lambda desk: draws.append(desk.rows)
  )
  monkeypatch.setattr(build_practice, "learning", lambda *_: (None, None))
  build_practice.build_practice(config, None, [SORTING])
  assert written == rows
  assert draws == ([programs // 2] if lessons == "random" else [])


def test_where_nothing_can_be_said_nothing_is_built(config):
  with pytest.raises(ValueError, match="none of the examples fits"):
    build_practice.build_practice(config, None, [(("[99]", "[1]"),)])


def test_it_is_written_in_the_last_level_of_a_run(config, monkeypatch):
  config = config.copy_and_resolve_references()
  config.language.levels, config.language.widen_at = ("small", "medium"), (9,)
  config.practice.lessons, config.practice.edit_share = "none", 0.0
  config_checks.validate(config)
  desks = []
  monkeypatch.setitem(build_practice.WRITERS, "model", desks.append)
  long = (("[1, 2, 3, 4, 5, 6, 7]", "[-20]"),)
  _, numbers = build_practice.build_practice(config, None, [long])
  (desk,) = desks
  assert numbers == [0]
  assert desk.level is levels.LEVELS["medium"]
  assert (desk.sizes.program, int(desk.tables.program)) == (12, 12)


def test_the_next_round_is_learned_for_and_written_before_this_one_is_run(
  executor, ask
):
  archive = Archive(ask(SORTING), BOUNDS, 4)
  programs = iter((TAIL, render.parse("x[:1]"), SORT))
  events = []

  def write(params, archives, left, random):
    events.append(f"write with {params}")
    return lambda: [(0, next(programs))]

  def lesson(archives):
    return None, np.array([len(archives[0].first())])

  def update(params, state, tasks, weight, key):
    events.append(f"learn from {weight[0]}")
    return params + 1, state

  made = plain([write], [archive], lesson=lesson, update=update)
  seen = list(practise(made, 0, executor, 60, draws()))
  first = ["write with 0", "write with 0"]
  second = ["learn from 1", "write with 1"]
  assert events == [*first, *second, "learn from 2", "write with 2"]
  assert [standing.params for standing in seen] == [0, 1, 2]
