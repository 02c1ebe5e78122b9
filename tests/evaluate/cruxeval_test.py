import json

import jax
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import cruxeval
from bitzero_jax.language import levels, render
from bitzero_jax.verify.executor import Executor

SMALL = levels.LEVELS["small"]
TEXT = ("text", "def f(text):\n    return text.upper()", "'ab'", "'AB'")
TAIL = ("tail", "def f(nums):\n    return nums[1:]", "[3, 1, 2]", "[1, 2]")
EVENS = (
  "evens",
  "def f(v):\n    return [n for n in v if n % 2 == 0]",
  "[4, 1]",
  "[4]",
)
FAR = ("far", "def f(xs):\n    return sorted(xs)", "[80, 3]", "[3, 80]")
LIE = ("lie", "def f(xs):\n    return sorted(xs)", "[8, 3]", "[8, 3]")
MADE = ("made", "def f(d):\n    return d", "dict(a=1)", '{"a": 1}')


def write(tmp_path, *samples):
  path = tmp_path / "crux.jsonl"
  names = ("id", "code", "input", "output")
  path.write_text(
    "".join(
      json.dumps(dict(zip(names, s, strict=True))) + "\n" for s in samples
    )
  )
  return path


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


def test_a_file_is_read_and_outputs_become_canonical(tmp_path):
  samples = cruxeval.load(write(tmp_path, TEXT, MADE))
  assert samples[0] == cruxeval.Sample(*TEXT)
  assert samples[1].output == "{'a': 1}"


@pytest.mark.parametrize(
  "line, message",
  [
    ("[", ":2: "),
    ('{"id": "a", "code": "", "input": ""}', ":2: no field 'output'"),
    (
      '{"id": "a", "code": "", "input": "", "output": 3}',
      ":2: .* must be texts",
    ),
  ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
  path = write(tmp_path, TEXT)
  path.write_text(path.read_text() + line + "\n")
  with pytest.raises(ValueError, match=f"crux.jsonl{message}"):
    cruxeval.load(path)


def test_an_empty_file_is_refused(tmp_path):
  with pytest.raises(ValueError, match="no samples"):
    cruxeval.load(write(tmp_path))


@pytest.mark.parametrize(
  "code, program",
  [
    (TAIL[1], "x[1:]"),
    (EVENS[1], "[v for v in x if v % 2 == 0]"),
    ("def f(x):\n  return [x for x in x]", None),  # one name, two meanings
    ("def f(a):\n  return [i + 1 for i in [j * 2 for j in a]]", None),
    ("def f(a, b):\n  return a", None),
    ("def f(a):\n  a = a[1:]\n  return a", None),
    ("def f(:", None),
    (TEXT[1], None),
  ],
)
def test_what_micro_python_can_say(code, program):
  expected = None if program is None else render.parse(program)
  assert cruxeval.micro_python(code) == expected


def test_the_executor_gives_what_is_on_record(tmp_path, executor):
  samples = cruxeval.load(write(tmp_path, TEXT, TAIL, FAR, LIE, MADE))
  assert cruxeval.agreement(executor, samples) == 4  # all but the lie


def test_only_samples_within_the_level_are_posed(tmp_path, executor):
  samples = cruxeval.load(write(tmp_path, TEXT, TAIL, EVENS, FAR, LIE, MADE))
  posed = cruxeval.posable(executor, samples, SMALL)
  assert [row[1:] for row in posed] == [TAIL[2:], EVENS[2:]]
  wide = cruxeval.posable(executor, samples, levels.LEVELS["full"])
  assert [row[1:] for row in wide] == [TAIL[2:], EVENS[2:], FAR[2:]]


@pytest.mark.parametrize("samples", [(TEXT,), (TEXT, TAIL, EVENS)])
def test_scores_are_of_what_was_posed(tmp_path, executor, samples):
  config = config_lib.default()
  config.model.update({"width": 32, "layers": 1, "hidden": 32})
  network = build.build_network(config)
  scores = cruxeval.score(
    executor,
    network,
    network.init(jax.random.key(0)),
    cruxeval.load(write(tmp_path, *samples)),
    level=SMALL,
    sizes=build.build_language(config).sizes,
  )
  posed = len(samples) - 1
  assert json.loads(json.dumps(scores)) == scores
  assert scores["functions"] == scores["executor_agrees"] == len(samples)
  assert scores["posed"] == posed
  for kind in ("deduction", "abduction"):
    possible = [i / posed for i in range(posed + 1)] if posed else [None]
    assert scores[kind] in possible
