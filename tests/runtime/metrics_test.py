"""Numbers and tasks survive kills, and come back as they were written."""

import json
import pathlib

import numpy as np
import pytest

from bitzero_jax.runtime import metrics


def steps_in(path: pathlib.Path) -> list[int]:
  return [line["step"] for line in metrics.read(path)]


def test_values_come_back_as_plain_json(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(
      3,
      {
        "loss/total": np.float32(0.5),
        "pool/size": np.int64(7),
        "solve_rate/histogram": np.array([0.25, 0.75]),
        "round": 1,
        "eval/constant": None,
      },
    )
  assert metrics.read(tmp_path / "metrics.jsonl") == [
    {
      "step": 3,
      "loss/total": 0.5,
      "pool/size": 7,
      "solve_rate/histogram": [0.25, 0.75],
      "round": 1,
      "eval/constant": None,
    }
  ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float32("nan")])
def test_non_finite_is_null_in_strict_json(tmp_path, bad):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(0, {"loss/total": bad, "list": [1.0, bad]})

  def refuse(constant: str):
    raise AssertionError(f"{constant} is not strict JSON")

  text = (tmp_path / "metrics.jsonl").read_text()
  line = json.loads(text, parse_constant=refuse)
  assert line == {"step": 0, "loss/total": None, "list": [1.0, None]}


def test_a_line_can_be_read_before_close(tmp_path):
  writer = metrics.MetricsWriter(tmp_path)
  writer.write(1, {"loss/total": 1.0})
  assert steps_in(tmp_path / "metrics.jsonl") == [1]
  writer.close()


def test_tensorboard_gets_the_scalars_only(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(5, {"a/scalar": 0.25, "a/list": [1, 2], "a/nan": float("nan")})
  (events,) = (tmp_path / "tensorboard").iterdir()
  content = events.read_bytes()
  assert b"a/scalar" in content
  assert b"a/list" not in content
  assert b"a/nan" not in content


def test_resume_drops_what_the_killed_run_wrote_past_its_checkpoint(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    for step in range(6):
      writer.write(step, {"loss/total": 0.0})
  with metrics.MetricsWriter(tmp_path, resume_step=3) as writer:
    assert steps_in(tmp_path / "metrics.jsonl") == [0, 1, 2, 3]
    writer.write(4, {"loss/total": 9.0})
  lines = metrics.read(tmp_path / "metrics.jsonl")
  assert [line["step"] for line in lines] == [0, 1, 2, 3, 4]
  assert lines[-1]["loss/total"] == 9.0
  assert not list(tmp_path.glob("*.new"))


def test_resume_keeps_earlier_tensorboard_events(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(1, {"before/kill": 1.0})
  with metrics.MetricsWriter(tmp_path, resume_step=1) as writer:
    writer.write(2, {"after/kill": 2.0})
  files = list((tmp_path / "tensorboard").iterdir())
  content = b"".join(file.read_bytes() for file in files)
  assert b"before/kill" in content
  assert b"after/kill" in content


def test_resume_with_minus_one_starts_over(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(0, {"loss/total": 1.0})
  with metrics.MetricsWriter(tmp_path, resume_step=-1):
    assert steps_in(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize("torn", ["{", '{"step": 2, "loss/t', '{"step": 2,\n'])
def test_a_torn_last_line_is_forgotten(tmp_path, torn):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1}\n' + torn)
  assert steps_in(path) == [1]
  with metrics.MetricsWriter(tmp_path, resume_step=2) as writer:
    writer.write(2, {"loss/total": 1.0})
  assert steps_in(path) == [1, 2]


def test_a_last_line_without_its_newline_is_kept_whole(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1}\n{"step": 2}')
  with metrics.MetricsWriter(tmp_path, resume_step=2) as writer:
    writer.write(3, {})
  assert steps_in(path) == [1, 2, 3]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1}\n{"ste\n{"step": 3}\n')
  with pytest.raises(ValueError, match="line 2"):
    metrics.read(path)


def test_a_new_run_refuses_a_file_with_lines(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(0, {})
  with pytest.raises(ValueError, match="already holds 1 lines"):
    metrics.MetricsWriter(tmp_path)
  assert steps_in(tmp_path / "metrics.jsonl") == [0]


def test_wrong_values_are_named(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    with pytest.raises(TypeError, match="loss/total"):
      writer.write(0, {"loss/total": object()})
    with pytest.raises(ValueError, match="'step'"):
      writer.write(0, {"step": 1})
  assert metrics.read(tmp_path / "metrics.jsonl") == []


def test_task_log_keeps_programs_to_the_letter_and_resumes(tmp_path):
  program = 'def f(x):\n  return "é<&>" + x\n'
  with metrics.TaskLog(tmp_path) as log:
    log.write(1, [{"program": program}, {"program": "b", "solve_rate": None}])
    log.write(2, [{"program": "late"}])
  with metrics.TaskLog(tmp_path, resume_step=1) as log:
    log.write(3, [{"program": "again"}])
  lines = metrics.read(tmp_path / "tasks.jsonl")
  assert [line["step"] for line in lines] == [1, 1, 3]
  assert lines[0]["program"] == program


@pytest.mark.parametrize("kind", [metrics.MetricsWriter, metrics.TaskLog])
def test_the_error_of_a_full_disk_is_the_first(tmp_path, monkeypatch, kind):
  """A line that could not be written fails again where the file is closed."""

  def opened():
    log = kind(tmp_path)
    close = log._log.close

    def full():
      close()
      raise OSError("no file is named here")

    monkeypatch.setattr(log._log, "close", full)
    return log

  with pytest.raises(OSError, match=r"metrics\.jsonl is full"), opened():
    raise OSError("metrics.jsonl is full")
  with pytest.raises(OSError, match="no file is named here"), opened():
    pass
