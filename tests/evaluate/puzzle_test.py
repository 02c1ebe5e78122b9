"""A person's examples: read with care, answered in the order of their worth."""

import jax
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import induce, puzzle
from bitzero_jax.evaluate.puzzle import Answer
from bitzero_jax.language import levels, render
from bitzero_jax.verify.executor import Executor

LEVEL = levels.LEVELS["small"]
SORTING = [("[3, 1, 2]", "[1, 2, 3]"), ("[5, 4]", "[4, 5]")]


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


@pytest.fixture
def writes(monkeypatch):
  """Has the model write given programs, and keeps what it was asked."""

  def choose(*programs):
    asked = []

    def written(network, params, pairs, level, sizes, samples, key):
      asked.append(pairs)
      return [[render.parse(f"def f(x):\n  return {p}") for p in programs]]

    monkeypatch.setattr(induce, "programs", written)
    return asked

  return choose


def solve(executor, examples, samples=8, shown=2):
  config = config_lib.default()
  config.language.shown = shown
  sizes = build.build_language(config).sizes
  write = puzzle.by_network(
    None,  # pyright: ignore[reportArgumentType]
    None,
    LEVEL,
    sizes,
    seed=0,
  )
  return puzzle.solve(write, LEVEL, sizes, executor, examples, samples)


@pytest.mark.parametrize(
  ("text", "examples"),
  [
    ("[3,1,2]->[1,2,3]; [5,4]->[4,5]", SORTING),
    (" [ 3 , 1,2 ] -> [1,  2,3] ;\n[5,4]->[4,5];", SORTING),
    ("[]->0", [("[]", "0")]),
    ("[-99, 99]->[]", [("[-99, 99]", "[]")]),
  ],
)
def test_examples_are_read_in_any_spacing(text, examples):
  assert puzzle.read_examples(text) == examples


@pytest.mark.parametrize(
  "text",
  [
    "",
    " ; ",
    "[1]",
    "[1]->",
    "->[1]",
    "1->[1]",
    "[1]->[2]->[3]",
    "[1],[2]",
    "[1 2]->[2 1]",
    "[1]->1 2",
    "[- 1]->[1]",
    "[100]->[1]",
    "[1]->-100",
    "[1.0]->[1]",
    "[[1]]->[1]",
    "['a']->[1]",
    "[1]->True",
    "[1,]->[1]",
    "[1->[1]",
    "[__import__('os')]->[1]",
  ],
)
def test_what_is_no_example_is_refused(text):
  with pytest.raises(ValueError, match="example"):
    puzzle.read_examples(text)


def test_examples_that_contradict_each_other_are_refused():
  assert len(puzzle.read_examples("[1]->[2]; [1]->[2]")) == 2
  with pytest.raises(ValueError, match=r"give \[1\] both \[2\] and \[3\]"):
    puzzle.read_examples("[1]->[2]; [ 1]->[3]")


def test_answers_that_fit_come_first_and_short_ones_before(executor, writes):
  wrong, fits = "x[:-1]", "sorted(x)"
  writes(wrong, "sorted(sorted(x))", "x[::-1]", fits, fits, wrong)
  answers = solve(executor, SORTING)
  assert [(a.program, a.right, a.times) for a in answers] == [
    ("sorted(x)", 2, 2),
    ("sorted(sorted(x))", 2, 1),
    ("x[::-1]", 1, 1),
    ("x[:-1]", 0, 2),
  ]
  lengths = [a.tokens for a in answers]
  assert lengths[0] < lengths[1]


def test_the_executor_has_the_last_word(executor, writes):
  """What fits only what the model was shown is not right on the rest."""
  asked = writes("x[::-1]")
  (answer,) = solve(executor, [*SORTING[1:], *SORTING[:1]], shown=1)
  assert asked == [[[SORTING[1]]]]
  assert answer.right == 1


def test_a_program_that_fails_is_right_nowhere(executor, writes):
  writes("x[0]")
  (answer,) = solve(executor, [("[]", "0"), ("[4]", "4")])
  assert answer.right == 1


def test_an_int_is_no_list(executor, writes):
  writes("[len(x)]", "len(x)")
  answers = solve(executor, [("[7]", "1")])
  assert [(a.program, a.right) for a in answers] == [
    ("len(x)", 1),
    ("[len(x)]", 0),
  ]


def test_few_examples_are_shown_again(executor, writes):
  asked = writes("sorted(x)")
  wide = ("[9, 8, 7, 6, 5, 4, 3]", "[3, 4, 5, 6, 7, 8, 9]")
  (answer,) = solve(executor, [SORTING[1], wide], shown=3)
  assert asked == [[[SORTING[1]] * 3]]  # `wide` is too long to be said
  assert answer.right == 2  # but not to be verified


def test_examples_that_cannot_be_said_are_refused(executor, writes):
  writes("sorted(x)")
  with pytest.raises(ValueError, match="none of the examples fits"):
    solve(executor, [("[99]", "[99]")])


def test_a_model_that_knows_nothing_says_so_honestly(executor):
  """Programs of random weights, verified here by Python itself."""
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 16, 1, 16
  network = build.build_network(config)
  sizes = build.build_language(config).sizes
  params = network.init(jax.random.key(0))
  write = puzzle.by_network(network, params, LEVEL, sizes, seed=0)
  answers = puzzle.solve(write, LEVEL, sizes, executor, SORTING, samples=40)
  assert sum(a.times for a in answers) == 40
  assert len({a.program for a in answers}) == len(answers)
  for answer in answers:
    right = 0
    for given, result in SORTING:
      try:
        scope = {"x": eval(given)}
        right += str(eval(answer.program, scope)) == result
      except (IndexError, ValueError, ZeroDivisionError, TypeError):
        continue
    assert answer.right == right, answer.program
  assert answers == sorted(
    answers, key=lambda a: (-a.right, a.tokens, -a.times)
  )


def test_the_table_shows_what_fits_or_what_is_near():
  fit, near = Answer("sorted(x)", 2, 3, 2), Answer("x", 1, 9, 1)
  good = puzzle.table([fit, near], 2)
  assert good[0] == "1 different programs fit all 2 examples:"
  assert len(good) == 2
  assert "sorted(x)" in good[1]
  bad = puzzle.table([near], 2)
  assert bad[0].startswith("no sampled program fits all 2")
  assert "1/2 right" in bad[1]
  assert len(puzzle.table([near] * 30, 2, most=10)) == 11


def test_no_sample_is_refused(executor):
  with pytest.raises(ValueError, match="--samples=0 must be at least 1"):
    solve(executor, SORTING, samples=0)
