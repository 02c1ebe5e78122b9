import json

import jax
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import human
from bitzero_jax.evaluate.exam import trained_lengths
from bitzero_jax.evaluate.examine import examiner, summarize
from bitzero_jax.language import levels, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.render import value_text
from bitzero_jax.state import RIGHT
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge

PAIRS = 6
SMALL, FULL = levels.LEVELS["small"], levels.LEVELS["full"]


@pytest.fixture(scope="module")
def judge():
  with Executor() as executor:
    yield Judge(executor, PAIRS)


def exam_at(judge, level, functions=None):
  sizes = Sizes(level.program, level.items + 2, 4, 2, 1)
  bounds = Bounds(*map(np.int32, (level.items, level.low, level.high)))
  return human.human_exam(judge, level, sizes, bounds, functions)


def test_the_collection_is_large_and_mostly_small():
  functions = human.load()
  tokens = [f.tokens for f in functions]
  assert len(functions) >= 64
  assert len(set(tokens)) == len({f.name for f in functions}) == len(functions)
  assert sum(human.in_reach(t, SMALL) for t in tokens) >= 45
  assert all(human.in_reach(t, FULL) for t in tokens)


@pytest.mark.parametrize(
  "program, reached",
  [
    ("x[9:]", True),
    ("x[10:]", False),  # a literal above the level's
    ("list(range(len(x)))", False),  # a row of the full level
    ("[v for v in x if v > 1]", True),
    ("[v for v in x if v + 1 > 1 + 1 + 1]", False),  # ten tokens
  ],
)
def test_reach_is_length_literals_and_rows(program, reached):
  assert human.in_reach(render.parse(program), SMALL) is reached


@pytest.mark.parametrize("level", [SMALL, FULL], ids=["small", "full"])
def test_every_function_is_posed_twice_on_different_inputs(judge, level):
  functions = human.load()
  exam = exam_at(judge, level)
  posed = [render.strip(row) for row in exam.tasks.program]
  assert posed == [f.tokens for f in functions for _ in range(human.ASKED)]
  first = exam.tasks.inputs[:, 0].reshape(-1, human.ASKED, exam.sizes.value)
  assert (first[:, 0] != first[:, 1]).any(1).all()
  reach = [human.in_reach(t, level) for t in posed]
  np.testing.assert_array_equal(trained_lengths(exam), reach)
  assert exam.tasks.outputs.shape[1] == PAIRS


def test_outputs_are_what_python_gives(judge):
  functions = [
    human.HumanFunction("evens", render.parse("[v for v in x if v % 2 == 0]"))
  ]
  exam = exam_at(judge, SMALL, functions)
  for given, output in zip(
    exam.tasks.inputs[0], exam.tasks.outputs[0], strict=True
  ):
    items = json.loads(value_text(render.strip(given)))
    evens = [v for v in items if v % 2 == 0]
    assert json.loads(value_text(render.strip(output))) == evens


def test_a_model_sits_the_exam(judge):
  config = config_lib.default()
  config.model.update({"width": 32, "layers": 1, "hidden": 32})
  network = build.build_network(config)
  exam = exam_at(judge, SMALL, human.load()[-12:])
  graded = examiner(network, exam, judge)(network.init(jax.random.key(0)))
  assert judge.failure is None
  assert all(g.shape == exam.pair.shape for g in graded.grade.values())
  np.testing.assert_array_equal(np.bincount(graded.program), 2)
  perfect = {k: np.full_like(g, RIGHT) for k, g in graded.grade.items()}
  summary = summarize(graded._replace(grade=perfect))
  assert summary["eval/induction/beyond"] == 1.0


def test_a_function_without_values_is_refused(judge):
  far = [human.HumanFunction("ninth", render.parse("x[9]"))]
  with pytest.raises(ValueError, match=r"'ninth' has only 0 of 2.*invalid"):
    exam_at(judge, SMALL, far)


@pytest.mark.parametrize(
  "line, message",
  [
    ("{", "2: "),
    ('{"program": "x[1:]"}', "2: no field 'name'"),
    ('{"name": "a", "program": "x.sort()"}', "2: not in micro-Python"),
  ],
)
def test_a_bad_file_is_named(tmp_path, line, message):
  path = tmp_path / "human.jsonl"
  path.write_text('{"name": "tail", "program": "x[1:]"}\n' + line + "\n")
  with pytest.raises(ValueError, match=f"human.jsonl:{message}"):
    human.load(path)
