"""The benchmark gives every executor the same work, and checks the answers."""

import json

import pytest

from bitzero_jax import main
from bitzero_jax.bench import executor, programs


def test_every_case_is_right():
  rows = list(executor.measure(48, None))
  assert len(rows) >= 10
  for row in rows:
    assert row.right == row.asked > 0, row
    assert row.cpu > 0 and row.wall > 0


def test_programs_are_different_and_some_are_endless():
  work = programs.everyday(100, 2)
  assert len({job.program for job in work.jobs}) == 100
  assert all(len(answers) == 2 for answers in work.answers)
  endless = programs.with_endless(work, 0.05)
  changed = [
    answers for answers in endless.answers if answers[0] == programs.STOPPED
  ]
  assert len(changed) == 5


def test_the_table_is_printed(capsys, tmp_path):
  crux = tmp_path / "crux.jsonl"
  row = {
    "id": "a",
    "code": "def f(x): return x * 2",
    "input": "3",
    "output": "6",
  }
  crux.write_text(json.dumps(row) + "\n")
  arguments = ["bench", "executor", "--programs=20", f"--cruxeval={crux}"]
  assert main.main(arguments) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("| executor and work |")
  assert any(
    line.startswith("| two seeds, CRUXEval | 1 | 1 |") for line in lines
  )


@pytest.mark.parametrize(
  "argument",
  ["--programs=0", "--program=3", "--cruxeval=/nowhere/crux.jsonl"],
)
def test_bad_input_is_one_line(capsys, argument):
  with pytest.raises(SystemExit) as stopped:
    main.main(["bench", "executor", argument])
  assert stopped.value.code == 2
  said = capsys.readouterr()
  assert said.out == ""
  assert len(said.err.splitlines()) == 1
