"""A trained model practises: what it finds, counts, keeps and refuses."""

import json
import math

import jax
import numpy as np
import pytest

from bitzero_jax import build, practised, trained
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate.graded import from_record
from bitzero_jax.language import render
from bitzero_jax.practice import lines
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.practise import Standing
from bitzero_jax.practice.question import question
from bitzero_jax.runtime import checkpoint, workdir
from bitzero_jax.state import RIGHT
from bitzero_jax.verify.judge import Bounds

BARRED = np.zeros((1, 2), np.uint32)
EASY = (("[3, 1, 2]", "[1, 2, 3]"), ("[5, 4]", "[4, 5]"))
TAIL = (("[3, 1, 2]", "[1, 2]"), ("[5, 4]", "[4]"))
ODD = (("[3, 1, 2]", "[20, 7, 11, 2]"), ("[1]", "[0, 19]"), ("[2]", "[13]"))
UNSAYABLE = (("[99]", "[1]"),)
# Search comes upon sorted(x)[1:] after some rounds, so that there are lessons.
LATE = (("[3, 1, 2]", "[2, 3]"), ("[9, 1, 4, 2]", "[2, 4, 9]"))


def small():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 16, 1, 16
  config.pool.capacity = 8
  config.heldout.candidates, config.heldout.tasks = 512, 4
  config.heldout.output_share = 0.5
  config.practice.updates, config.practice.rows = 1, (4, 4, 8)
  config.practice.writer = "search"  # it surely finds what is short
  return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("practised") / "run"
  workdir.begin(path, config_lib.to_json(small()))
  with checkpoint.opened(path) as checkpoints:
    checkpoints.save(3, build.build_state(small(), BARRED), 0.5)
  return path


@pytest.fixture(scope="module")
def model(folder):
  with trained.opened(folder, "last") as opened:
    yield opened


@pytest.fixture(scope="module")
def untaught(model):
  """The model, with a practice that learns nothing, so compiles nothing."""
  config = model.config.copy_and_resolve_references()
  config.practice.lessons = "none"
  return model._replace(config=config)


def silent(text):
  del text


@pytest.fixture(scope="module")
def done(model):
  said = []
  functions = [EASY, UNSAYABLE, TAIL, LATE]
  before = jax.tree.map(np.array, model.params)
  result = practised.run(model, functions, 60, said.append)
  jax.tree.map(np.testing.assert_array_equal, model.params, before)
  return result, said


def test_practice_finds_programs_for_every_function_that_can_be_read(done):
  result, said = done
  assert set(result.archives) == set(result.found) == {0, 2, 3}
  for number, found in result.found.items():
    assert result.archives[number].answer == found.program
    assert 0 < found.seconds <= result.last.seconds
    assert 0 < found.tried <= result.last.tried
  assert result.last.seconds < 60  # it ends when all is found
  assert said[0].startswith("compiling")
  assert said[1].startswith("practised ")
  assert said[1].endswith("answered 2 of 3")
  assert result.found[3].tried > result.found[0].tried


@pytest.fixture(scope="module")
def kept(done, folder, model, tmp_path_factory):
  path = tmp_path_factory.mktemp("kept") / "new" / "run"
  practised.check_keep(path)
  assert not path.parent.exists()
  practised.keep(folder, model, done[0].last.params, path)
  return path


def test_weights_that_are_kept_open_as_a_run(kept, done, model):
  with trained.opened(kept, "last") as opened:
    assert (opened.round, opened.config) == (model.round, model.config)
    wanted = done[0].last.params
    jax.tree.map(np.testing.assert_array_equal, opened.params, wanted)
    moved = jax.tree.map(
      lambda a, b: np.abs(a - b).max(), opened.params, model.params
    )
    assert max(jax.tree.leaves(moved)) > 0
    answers = trained.solve(opened, [*EASY], 4).answers
    assert sum(answer.times for answer in answers) == 4


def test_a_run_that_was_kept_holds_a_whole_state(kept, folder, model):
  """So that it may be trained further."""
  states = []
  for path in (folder, kept):
    with checkpoint.opened(path, create=False) as checkpoints:
      states.append(checkpoints.read(model.round))
  old, new = states
  assert old.keys() == new.keys()
  for name in old.keys() - {"params"}:
    jax.tree.map(np.testing.assert_array_equal, old[name], new[name])


def test_nothing_is_kept_where_something_is(kept, tmp_path):
  with pytest.raises(ValueError, match=r"holds a run$"):
    practised.check_keep(kept)
  other = tmp_path / "here with me"
  other.mkdir()
  practised.check_keep(other)
  (other / "thesis").write_text("mine")
  for path, said in (
    (other, "here with me is not empty"),
    (other / "thesis", "thesis is not a folder"),
    (other / "thesis" / "run", "thesis is not a folder"),
  ):
    with pytest.raises(ValueError, match=said) as caught:
      practised.check_keep(path)
    assert str(caught.value).startswith(f"--keep={path}")


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_time_is_above_nothing(model, seconds):
  with pytest.raises(ValueError, match=r"--practice=.* must be above 0"):
    practised.run(model, [EASY], seconds, silent)
  with pytest.raises(ValueError, match=r"--practice=.* must be above 0"):
    practised.evaluate(model, "heldout", None, seconds, silent)


def test_time_may_be_without_end(untaught):
  said = []
  result = practised.run(untaught, [EASY], math.inf, said.append)
  assert set(result.found) == {0}
  assert "inf s left" in said[1]


def test_what_cannot_be_read_is_refused(untaught):
  with pytest.raises(ValueError, match="none of the examples fits"):
    practised.run(untaught, [UNSAYABLE], 5, silent)


def test_an_interrupt_ends_practice_and_loses_nothing(untaught):
  def say(text):
    if text.startswith("practised"):
      raise KeyboardInterrupt

  result = practised.run(untaught, [TAIL, ODD], 600, say)
  assert result.last.written == 256
  assert len(result.archives[1].tried) > 0
  assert render.expression(result.found[0].program) == "x[1:]"


def test_an_interrupt_inside_a_round_keeps_its_answers(untaught, monkeypatch):
  run = untaught.executor.run

  class Interrupted:
    calls = 0

    def run(self, jobs):
      self.calls += 1
      if self.calls > 4:  # two a round: the first examples, and the rest
        raise KeyboardInterrupt
      return run(jobs)

  def put(self, program, verdicts):
    place(self, program, verdicts)
    if self.answer:
      raise KeyboardInterrupt

  place = Archive.put
  stopped = untaught._replace(executor=Interrupted())
  result = practised.run(stopped, [ODD], 600, silent)
  assert (result.last.written, result.found) == (512, {})
  monkeypatch.setattr(Archive, "put", put)
  result = practised.run(untaught, [TAIL], 600, silent)
  assert result.last.written == 0  # no round was ever finished
  assert render.expression(result.found[0].program) == "x[1:]"
  monkeypatch.undo()
  again = practised.run(untaught, [TAIL], 600, silent)  # the executor works on
  assert set(again.found) == {0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  """Functions of which a tail is found, and one is right on what is given."""
  path = tmp_path_factory.mktemp("data") / "functions.jsonl"
  rows = [
    {"idx": 7, "train": TAIL, "test": [("[1, 2, 3]", "[2, 3]")]},
    {"idx": 8, "train": ODD, "test": [("[1]", "[1]")]},
    {"idx": 9, "train": TAIL, "test": [("[1, 2, 3]", "[9]")]},
    {"idx": 10, "train": UNSAYABLE, "test": [("[1]", "[1]")]},
  ]
  for row in rows:
    for part in ("train", "test"):
      row[part] = [{"input": a, "output": b} for a, b in row[part]]
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path


def test_list_functions_are_scored_on_what_was_hidden(untaught, data, tmp_path):
  said = []
  evaluation = practised.evaluate(
    untaught, "list_functions", str(data), 1.0, said.append
  )
  scores, tasks = evaluation
  counts = [scores[name] for name in ("functions", "fitted", "solved")]
  assert counts == [4, 2, 1]
  assert scores["suite"] == "list_functions_practised"
  assert scores["step"] == 3 * small().learn.updates
  assert scores["tried"] <= scores["written"]
  assert scores["practice"]["lessons"] == "none"
  json.dumps(scores)
  assert tasks["index"] == [7, 8, 9, 10]
  assert (
    tasks["answer"][0] == tasks["answer"][2] == "def f(x):\n  return x[1:]\n"
  )
  assert tasks["answer"][1] is tasks["tried"][1] is tasks["seconds"][3] is None
  graded = from_record(tasks)
  assert (graded.grade["induction"] == RIGHT).tolist() == [1, 0, 0, 0]
  assert "1 of 4" in lines.suite(scores)
  saved = trained.save(tmp_path, evaluation)
  assert saved.name == "list_functions_practised.json"


def test_the_held_out_exam_is_practised_by_bucket(untaught):
  evaluation = practised.evaluate(untaught, "heldout", None, 1.0, silent)
  scores, tasks = evaluation
  names = [n.partition("/")[2] for n in scores if n.startswith("functions/")]
  assert len(names) == 4
  assert names[-1].startswith("long")
  for name in ("functions", "solved"):
    assert scores[name] == sum(scores[f"{name}/{bucket}"] for bucket in names)
  assert 0 < scores["solved"] <= scores["fitted"] < scores["functions"]
  assert tasks["names"] == names
  right = (from_record(tasks).grade["induction"] == RIGHT).sum()
  assert right == scores["solved"]
  table = lines.suite(scores).splitlines()
  assert [line.split()[0] for line in table] == [
    "practised",
    "all",
    *_first(names),
  ]


def _first(names):
  return [name.split()[0] for name in names]


@pytest.mark.parametrize(
  ("suite", "data", "said"),
  [
    ("list_functions", None, "needs --data=FILE"),
    ("heldout", "x", "takes no --data"),
    ("human", None, "not human"),
    ("cruxeval", "x", "not cruxeval"),
  ],
)
def test_a_suite_takes_what_it_needs(untaught, suite, data, said):
  with pytest.raises(ValueError, match=said):
    practised.evaluate(untaught, suite, data, 1.0, silent)


def test_a_held_out_task_is_a_function_with_its_pairs(untaught):
  config = untaught.config
  judge = practised.Judge(untaught.executor, config.language.pairs)
  exam = build.build_exam(config, judge)
  functions, buckets = practised.held_out_functions(exam, 4)
  assert buckets == [exam.names[number] for number in exam.bucket]
  for function, inputs, outputs in zip(
    functions, exam.tasks.inputs, exam.tasks.outputs, strict=True
  ):
    sides = zip(*function.given, *function.hidden, strict=True)
    for side, rows in zip(sides, (inputs, outputs), strict=True):
      texts = [render.value_text(render.strip(row)) for row in rows]
      assert list(side) == texts
    assert len(function.given) == 4
    assert len(function.hidden) == config.language.hidden


def test_the_terminal_says_what_was_found_or_how_near_it_was(done, untaught):
  result, _ = done
  said = lines.answer(result.archives[0], result.last)
  assert said[0].startswith("a program fits all 2 examples, found after ")
  assert said[1] == "  sorted(x)"
  mixed = (*ODD, *UNSAYABLE)
  result = practised.run(untaught, [mixed], 0.5, silent)
  said = lines.answer(result.archives[0], result.last)
  assert said[0].startswith("the model can read 3 of the 4 examples")
  assert said[1].startswith("no program fits all 4 examples after ")
  assert 0 < len(said) - 2 <= 10
  shares = [int(line.split("%")[0]) for line in said[2:]]
  assert shares == sorted(shares, reverse=True)


def test_the_terminal_says_where_nothing_came_near(done):
  bounds = Bounds(5, 0, 20)
  archive = Archive(question(ODD, bounds, 4, 7), bounds, 4)
  (said,) = lines.answer(archive, done[0].last)
  assert said.endswith("programs, and none comes near")


def test_progress_is_said_every_few_seconds_and_at_the_end(monkeypatch):
  clock, said = [0.0], []
  monkeypatch.setattr(lines.time, "monotonic", lambda: clock[0])
  show = lines.narrator(14, 3, said.append)
  for second in (1, 3, 5, 6.4, 7, 12, 13, 14.1):
    clock[0] = 100.0 + second
    show(Standing(second, 5, 1234, (0,), None))
  assert [line.split()[1] for line in said] == ["1", "6", "12", "14"]
  assert said[0].endswith("13 s left | programs tried 1,234 | answered 1 of 3")
  assert " 0 s left" in said[-1]
