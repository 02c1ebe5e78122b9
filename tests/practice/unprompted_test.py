"""Who writes without a model: each in its own order, and always programs."""

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest

from bitzero_jax.evaluate import search
from bitzero_jax.language import levels, render
from bitzero_jax.practice import unprompted
from bitzero_jax.practice.archive import Attempt
from bitzero_jax.practice.desk import device_key, draw_near

TINY = levels.Level(3, 3, 0, 9, 1, ("small",))


def numbers(seed=3):
  return np.random.default_rng(seed)


def by_question(written):
  mine = defaultdict(list)
  for number, program in written:
    mine[number].append(program)
  return mine


def is_program(tokens, desk):
  text = render.source(tokens)
  return render.parse(text) == tokens and len(tokens) <= desk.sizes.program


def test_search_gives_every_question_every_program_in_order(desk):
  write = unprompted.searched(desk._replace(level=TINY, questions=3, rows=50))
  every = list(search.programs(TINY))
  mine = defaultdict(list)
  left = [0, 1, 2]
  for number in itertools.count():
    written = write(None, (), left, numbers(number))()
    if not written:
      break
    assert len(written) <= 50
    for owner, programs in by_question(written).items():
      assert owner in left
      mine[owner] += programs
    if number == 1:
      left = [0, 2]
  assert mine[0] == mine[2] == every
  assert mine[1] == every[: len(mine[1])]
  assert 30 <= len(mine[1]) <= 35
  assert write(None, (), left, numbers())() == []


def test_search_forgets_nobody_where_questions_outnumber_a_round(desk):
  write = unprompted.searched(desk._replace(level=TINY, questions=10, rows=4))
  had = Counter()
  for number in range(5):
    written = write(None, (), range(10), numbers(number))()
    had.update(owner for owner, _ in written)
  assert had == dict.fromkeys(range(10), 2)


def test_draws_are_programs_and_everyone_has_some(desk):
  write = unprompted.drawn(desk)
  written = write(None, (), [0, 1], numbers())()
  assert len(written) == desk.rows
  assert all(is_program(program, desk) for _, program in written)
  assert {n: len(p) for n, p in by_question(written).items()} == {0: 64, 1: 64}
  assert len({program for _, program in written}) > 60
  assert write(None, (), [0, 1], numbers())() == written
  other = write(None, (), [1], numbers(4))()
  assert {owner for owner, _ in other} == {1}
  assert [p for _, p in other] != [p for _, p in written]


@pytest.fixture(scope="module")
def edits(desk):
  return unprompted.edited(desk)


def test_where_nobody_missed_there_is_nothing_to_edit(edits, archives):
  assert edits(None, archives, [0, 1], numbers())() == []


def test_edits_are_programs_near_a_miss_of_their_question(
  edits, desk, archives, missed
):
  long, other = "sorted(x[1:])[2:]", "[v + 1 for v in x]"
  missed(archives[0], long, "[1]", "[4]")
  missed(archives[1], other, "[4, 2, 3]", "[2]", "[3]")
  written = edits(None, archives, [0, 1], numbers())()
  assert len(written) == desk.rows
  assert all(is_program(program, desk) for _, program in written)
  mine = by_question(written)
  assert {n: len(p) for n, p in mine.items()} == {0: 64, 1: 64}
  for number, text in enumerate((long, other)):
    parent = render.parse(text)
    begins = [p[:1] == parent[:1] for p in mine[number]]
    assert np.mean(begins) > 0.6  # a root is rewritten once in a while
    assert len(set(mine[number])) > 10
  (owner,) = by_question(edits(None, archives, [1], numbers())())
  assert owner == 1  # one that was answered is not edited


def test_the_closest_are_drawn_most_often(archives):
  near = [Attempt((i,), np.zeros(1), i / 4, i) for i in range(5)]
  random = np.random.default_rng(0)
  for sharpness in (0.0, 4.0):
    had = Counter(a.number for a in draw_near(near, sharpness, 4000, random))
    weight = np.exp(sharpness * np.arange(5) / 4)
    share = np.array([had[i] for i in range(5)]) / 4000
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.03)


def test_device_keys_follow_their_generator_and_never_repeat():
  random, again = numbers(), numbers()
  keys = [device_key(random) for _ in range(3)]
  for key in keys:
    assert (key.shape, key.dtype) == ((2,), np.uint32)
    np.testing.assert_array_equal(key, device_key(again))
  assert len({tuple(key) for key in keys}) == 3
