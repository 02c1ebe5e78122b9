"""Seconds are the process's, speeds those of one run."""

import jax
import pytest

from bitzero_jax.runtime import pace


def test_a_lap_is_what_happened_since_the_last(monkeypatch):
  clock = {"now": 100.0, "waited": 0.0, "verified": 0.0}
  monkeypatch.setattr(pace.time, "monotonic", lambda: clock["now"])
  work = pace.Work(rows=30, tokens=300, tasks=6)
  measured = pace.Pace(
    work, 4, lambda: clock["waited"], lambda: clock["verified"]
  )
  clock |= {"now": 110.0, "waited": 1.0, "verified": 3.0}
  measured.evaluating += 4.0
  lap = measured.lap(6)
  assert 0 < lap.pop("memory/mb", 1) <= lap.pop("memory/peak_mb") * 1.01
  assert lap.pop("memory/arrays") == len(jax.live_arrays())
  assert lap == pytest.approx(
    {
      "speed/rows_per_s": 10.0,  # two rounds in the six seconds
      "speed/tokens_per_s": 100.0,
      "speed/tasks_per_s": 2.0,
      "seconds/verify": 1.0,
      "seconds/evaluate": 4.0,
      "seconds/device": 5.0,
      "executor/share": 0.1,
      "executor/seconds": 3.0,
    }
  )
  clock |= {"now": 112.0}
  lap = measured.lap(7)
  assert lap["speed/rows_per_s"] == pytest.approx(15.0)
  assert lap["seconds/evaluate"] == lap["seconds/verify"] == 0
