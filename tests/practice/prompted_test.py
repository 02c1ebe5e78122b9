"""The model answers: shown its question, from scratch or from a miss."""

from collections import Counter

import numpy as np
import pytest

from bitzero_jax.language import render
from bitzero_jax.practice import prompted


def numbers():
  return np.random.default_rng(7)


NEAR = "sorted(x[1:])[2:]"


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["fresh", "resumed"])
def sampled(request, desk):
  """Share of programs that go on from a miss, and the writer."""
  share = request.param
  return share, prompted.sampled(desk._replace(resume_share=share))


def test_samples_are_programs_and_turns_are_fair(
  sampled, desk, params, archives
):
  _, write = sampled
  written = write(params, archives, [0, 1], numbers())()
  assert len(written) == desk.rows
  for _, program in written:
    assert render.parse(render.source(program)) == program
  assert Counter(n for n, _ in written) == {0: 64, 1: 64}
  assert len({program for _, program in written}) > 60
  alone = write(params, archives, [1], numbers())()
  assert {n for n, _ in alone} == {1}


def test_what_goes_on_from_a_miss_begins_as_it_does(
  sampled, params, archives, missed
):
  share, write = sampled
  parent = render.parse(NEAR)
  missed(archives[0], NEAR, "[1]", "[4]")
  written = write(params, archives, [0, 1], numbers())()
  mine, other = (
    np.mean([p[:2] == parent[:2] for n, p in written if n == number])
    for number in (0, 1)
  )
  assert other < 0.2  # nothing to go on from
  if share:
    # Each cut is as likely as another, and two cuts keep less than two tokens.
    assert mine > (len(parent) - 2) / len(parent) - 0.2
  else:
    assert mine < 0.2


def test_the_nearest_miss_is_taken_up_most_often(
  sampled, params, archives, missed
):
  share, write = sampled
  missed(archives[0], NEAR, "[1, 2, 2]", "[4, 5]")
  missed(archives[0], "[v + 1 for v in x]", "[2]", "[6]")
  written = write(params, archives, [0], numbers())()
  begins = Counter(program[0] for _, program in written)
  near, far = (
    begins[render.parse(text)[0]] for text in (NEAR, "[v + 1 for v in x]")
  )
  if share:
    assert near > 64 > 4 * far
  else:
    assert near < 64


@pytest.fixture(scope="module")
def guided(desk):
  return prompted.guided(desk._replace(rows=2 * prompted.WIDTH))


def test_a_beam_writes_different_programs_for_each_question(
  guided, params, archives
):
  written = guided(params, archives, [0, 1], numbers())()
  assert len(set(written)) == len(written) == 2 * prompted.WIDTH
  for _, program in written:
    assert render.parse(render.source(program)) == program
  assert Counter(n for n, _ in written) == dict.fromkeys((0, 1), prompted.WIDTH)


def test_a_beam_is_as_good_as_its_prompt(guided, params, archives):
  both = guided(params, archives, [0, 1], numbers())()
  first, second = ({p for n, p in both if n == i} for i in (0, 1))
  assert first != second
