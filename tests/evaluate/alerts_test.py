"""A limit that was passed is said."""

import json


def test_limits_that_were_passed_are_said(workdir, written):
  line = {"step": 110, "executor/unknown_rate": 0.02, "gap/logprob_max": 1e-4}
  with (workdir / "metrics.jsonl").open("a") as file:
    file.write(json.dumps(line) + "\n")
  _, page = written(workdir)
  assert "The unknown rate reached 2 %; the limit is 0.5 %." in page.text("p")
  assert "The log-prob gap reached 0.0001 nats; it must be 0." in page.text("p")
