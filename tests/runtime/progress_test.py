"""What the terminal shows, with a clock that the test moves by hand."""

import io

import pytest

from bitzero_jax.runtime import progress


class Clock:
  def __init__(self):
    self.now = 100.0

  def __call__(self) -> float:
    return self.now


class Terminal(io.StringIO):
  def isatty(self) -> bool:
    return True


@pytest.fixture
def clock() -> Clock:
  return Clock()


@pytest.mark.parametrize(
  ("seconds", "text"),
  [
    (0.2, "0 s"),
    (59.4, "59 s"),
    (59.6, "1:00"),
    (62, "1:02"),
    (3599.7, "1:00:00"),
    (11045, "3:04:05"),
    (None, "-"),
    (float("nan"), "-"),
  ],
)
def test_seconds_are_short_text(seconds, text):
  assert progress.format_seconds(seconds) == text


def test_a_plain_line_holds_every_reading(clock):
  out = io.StringIO()
  with progress.Progress(200, out, clock=clock) as shown:
    clock.now += 10
    shown.update(
      50,
      {
        "solve_rate/deduction": 0.5,
        "solve_rate/abduction": 0.25,
        "eval/deduction": 0.125,
        "eval/induction": None,
        "accept/rate": 0.75,
        "speed/rows_per_s": 12345.6,
        "bits/stored_per_weight": 2.0625,
        "loss/total": 3.0,
      },
    )
  assert out.getvalue() == (
    "step 50/200 (25 %) | elapsed 10 s, left 30 s | solve D 50.0% A 25.0%"
    " | held-out D 12.5% I - | accept 75.0% | rows/s 12,346"
    " | bits/weight 2.06\n"
  )


def test_time_left_counts_only_this_process_after_a_resume(clock):
  with progress.Progress(100, io.StringIO(), start=80, clock=clock) as shown:
    assert shown.seconds_left() is None
    clock.now += 30
    shown.update(90, {})
    assert shown.seconds_left() == pytest.approx(30.0)


def test_time_left_leaves_compiling_out(clock):
  with progress.Progress(100, io.StringIO(), clock=clock) as shown:
    with shown.compiling("round"):
      clock.now += 60
    shown.update(10, {})
    assert shown.seconds_left() is None
    clock.now += 5
    shown.update(20, {})
    with shown.compiling("evaluate"):
      clock.now += 40
    shown.update(30, {})
    clock.now += 5
    shown.update(40, {})
  assert shown.seconds_left() == pytest.approx(60 * 10 / 20)


def test_compiling_tells_its_seconds(clock):
  out = io.StringIO()
  shown = progress.Progress(1, out, clock=clock)
  with shown, shown.compiling("round"):
    assert out.getvalue() == "compiling round ...\n"
    clock.now += 12.34
  assert out.getvalue().endswith("compiled round in 12.3 s\n")


def test_a_failed_compilation_is_not_called_done(clock):
  out = io.StringIO()
  shown = progress.Progress(1, out, clock=clock)
  with shown, pytest.raises(RuntimeError), shown.compiling("round"):
    raise RuntimeError
  assert "compiled round" not in out.getvalue()


def test_plain_lines_are_spaced_and_the_last_step_always_prints(clock):
  out = io.StringIO()
  with progress.Progress(10, out, print_every=5, clock=clock) as shown:
    for step in range(1, 11):
      clock.now += 1
      shown.update(step, {})
  steps = [line.split()[1] for line in out.getvalue().splitlines()]
  assert steps == ["1/10", "6/10", "10/10"]


def test_held_out_accuracy_stays_until_a_newer_one(clock):
  out = io.StringIO()
  with progress.Progress(10, out, print_every=0, clock=clock) as shown:
    shown.update(1, {"eval/deduction": 0.5})
    shown.update(2, {"solve_rate/deduction": 0.1})
  assert "held-out D 50.0%" in out.getvalue().splitlines()[-1]


def test_finish_prints_the_summary(clock):
  out = io.StringIO()
  with progress.Progress(10, out, clock=clock) as shown:
    clock.now += 70
    shown.update(10, {})
    shown.finish({"eval/deduction": 0.123456, "report": "report.html"})
  assert out.getvalue().splitlines()[-3:] == [
    "done: step 10/10 in 1:10",
    "  eval/deduction  0.1235",
    "  report          report.html",
  ]


def test_a_terminal_gets_a_live_panel_and_notes_that_stay(clock, monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "100")
  out = Terminal()
  with progress.Progress(8, out, clock=clock) as shown:
    shown.update(4, {"solve_rate/deduction": 0.5, "accept/rate": 0.75})
    shown.note("a note [not markup]")
    with shown.compiling("round"):
      clock.now += 3
  text = out.getvalue()
  assert "step 4/8" in text
  assert "D 50.0%" in text
  assert "75.0%" in text
  assert "a note [not markup]" in text
  assert "compiled round in 3.0 s" in text


def test_total_must_be_positive():
  with pytest.raises(ValueError, match="total=0"):
    progress.Progress(0)
