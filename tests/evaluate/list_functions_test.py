import json

import jax
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import list_functions
from bitzero_jax.evaluate.list_functions import ListFunction
from bitzero_jax.language import levels, render
from bitzero_jax.state import RIGHT
from bitzero_jax.verify.executor import Executor

LISTS = ([3, 1], [4, 0, 2], [9, 1, 1, 5], [2], [7, 3, 6])
HIDDEN = ([5, 4], [0, 8, 8])


def function(index, of, given=LISTS, hidden=HIDDEN):
  given, hidden = (
    tuple((str(v), str(of(v))) for v in part) for part in (given, hidden)
  )
  return ListFunction(index, given, hidden)


def line(f):
  def rows(pairs):
    return [{"input": a, "output": b} for a, b in pairs]

  row = {"idx": f.index, "train": rows(f.given), "test": rows(f.hidden)}
  return json.dumps(row)


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


def test_a_file_is_read_back(tmp_path):
  functions = [function(4, sorted), function(7, lambda x: x[::-1])]
  path = tmp_path / "functions.jsonl"
  path.write_text("".join(f"{line(f)}\n" for f in functions))
  assert list_functions.load(path) == functions


@pytest.mark.parametrize(
  "bad, message",
  [
    ("nonsense", ":2: "),
    ('{"idx": 1, "train": []}', ":2: no field 'test'"),
    ('{"idx": 1, "train": [], "test": []}', ":2: train and test must hold"),
    (
      '{"idx": 1, "train": [{"input": "[1]", "output": "one"}], "test": []}',
      ":2: ",
    ),
    (
      '{"idx": 1, "train": [{"input": "[1]", "output": "[1.0]"}], "test": []}',
      ":2: .* must be a list of ints",
    ),
  ],
)
def test_a_bad_line_is_named(tmp_path, bad, message):
  path = tmp_path / "functions.jsonl"
  path.write_text(f"{line(function(1, sorted))}\n{bad}\n")
  with pytest.raises(ValueError, match=f"functions.jsonl{message}"):
    list_functions.load(path)


def test_an_empty_file_is_refused(tmp_path):
  path = tmp_path / "functions.jsonl"
  path.write_text("")
  with pytest.raises(ValueError, match="no functions"):
    list_functions.load(path)


def test_the_shortest_program_that_fits_decides(executor):
  """Sorting fits the given pairs of both; only one hides something else."""
  ordered = ([1, 2], [3, 7], [4])
  same = function(1, sorted, ordered, ([1, 9],))
  other = function(2, lambda x: x[:1] + x[1:][::-1], ordered[::2], ([5, 3, 4],))
  wrong, right, late = map(
    render.parse,
    ("x[::-1]", "sorted(x)", "sorted(x + x[:0])[0:]"),
  )
  backwards = render.parse("x[:1] + x[1:][::-1]")
  tried = [
    ([same], [[wrong]], [False]),
    ([same], [[wrong, right]], [True]),
    ([other], [[backwards]], [True]),
    ([other], [[backwards, right]], [False]),
    ([same, other], [[late], [late, right, backwards]], [True, False]),
    ([same, other], [[], [wrong]], [False, False]),
  ]
  for functions, programs, expected in tried:
    said = list_functions.answers(executor, functions, programs)
    assert [answer.right for answer in said] == expected


def test_every_given_pair_counts(executor):
  nearly = function(1, sorted, ([1, 2], [3, 4], [2, 1]), ([5, 6],))
  keep, order = render.parse("x[0:]"), render.parse("sorted(x)")
  answers = list_functions.answers
  assert answers(executor, [nearly], [[keep]]) == [(None, False)]
  assert answers(executor, [nearly], [[keep, order]]) == [(order, True)]


def test_a_level_that_the_run_has_no_room_for_is_refused(executor):
  config = config_lib.default()
  with pytest.raises(ValueError, match=r"sizes.program=8 and sizes.value=7"):
    list_functions.score(
      executor,
      build.build_network(config),
      {},
      [function(1, sorted)],
      level=levels.LEVELS["full"],
      sizes=build.build_language(config).sizes,
      samples=1,
      wide=0,
      key=jax.random.key(0),
    )


def test_the_model_stands_beside_its_baselines(executor):
  config = config_lib.default()
  config.model.update({"width": 32, "layers": 1, "hidden": 32})
  network = build.build_network(config)
  level = levels.LEVELS["small"]
  functions = [
    function(1, sorted),
    function(2, lambda x: x[::-1]),
    function(3, sorted, ([50, 40], [90, 70, 80]), ([31, 30],)),
    function(4, lambda x: [99 - v for v in x]),
  ]
  scores, answers = list_functions.score(
    executor,
    network,
    network.init(jax.random.key(0)),
    functions,
    level=level,
    sizes=build.build_language(config).sizes,
    samples=4,
    wide=12,
    key=jax.random.key(1),
  )
  assert json.loads(json.dumps(scores)) == scores
  assert scores["functions"] == 4
  assert scores["representable"] == 2
  assert scores["posed"] == 2  # no pair of the last two is within the level
  assert scores["samples"] == 4
  # sorted(x) and x[::-1] are the most probable programs of the grammar.
  assert scores["search"] == scores["wide_search"] == 3
  assert scores["wide_programs"] == 12
  assert 0 <= scores["model"] <= 2
  assert scores["induction"] == scores["model"] / 4
  assert 0 <= scores["grammar"] <= 4
  assert scores["unknown"] == 0
  graded = list_functions.to_graded(functions, answers, level)
  assert (graded.grade["induction"] == RIGHT).sum() == scores["model"]
  np.testing.assert_array_equal(graded.bucket, [0, 0, 1, 1])
  table = list_functions.lines(scores).splitlines()
  assert table[0].endswith("of 4")
  assert [row.split()[-1] for row in table[1:]] == [
    str(scores[name]) for name in ("model", "grammar", "search", "wide_search")
  ]
