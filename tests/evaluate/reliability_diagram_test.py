"""The reliability diagrams of the page, by task type."""

import json

import numpy as np

from bitzero_jax.evaluate.graded import Graded, to_record
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG

TITLE = "Deduction: accuracy by confidence"
SAT = Graded(
  exam="e",
  names=("2-3", "long"),
  bucket=np.array([0, 0, 0, 0, 1]),
  program=np.arange(5),
  grade={"deduction": np.array([RIGHT, WRONG, RIGHT, UNKNOWN, RIGHT])},
  nats={},
  tokens={},
  probability={"deduction": np.array([0.85, 0.85, 0.15, 0.5, 0.5])},
  agreement={},
)


def sitting(graded, step):
  return {"step": step} | to_record("heldout", graded)


def numbers(svg):
  """What stands above the bars."""
  return [x.text for x in svg.iter("text") if x.get("class") == "value mid"]


def test_a_bin_is_a_dot_and_a_counted_bar(
  workdir, written, svg_of, write_lines
):
  later = SAT.probability["deduction"] - 0.1
  lines = [
    sitting(SAT, 50),
    sitting(SAT, 100) | {"suite": "human"},
    sitting(SAT._replace(probability={"deduction": later}), 100),
  ]
  write_lines(workdir / "graded.jsonl", lines)
  source, page = written(workdir)
  svg = svg_of(source, TITLE)
  assert numbers(svg) == ["1", "2"]
  dots = [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle")]
  # The plot is 332 wide from 50, and 196 high from 24.
  np.testing.assert_allclose(
    dots, [(50 + 0.05 * 332, 24), (50 + 0.75 * 332, 24 + 98)], atol=0.1
  )
  assert "probability, ECE 0.483" in page.text("span")
  assert "Confidence" in page.text("h2")


def test_an_evaluation_brings_agreement_until_the_run_goes_on(
  workdir, written, svg_of, write_lines
):
  share = {"deduction": np.array([1.0, 1.0, 0.0, 0.0, 0.0])}
  saved = {
    "scores": {"step": 50},
    "tasks": to_record("heldout", SAT._replace(agreement=share)),
  }
  (workdir / "evaluations").mkdir()
  (workdir / "evaluations" / "heldout.json").write_text(json.dumps(saved))
  write_lines(workdir / "graded.jsonl", [sitting(SAT, 50)])
  source, page = written(workdir)
  assert numbers(svg_of(source, TITLE)) == ["1", "2", "1", "2"]
  assert "agreement, ECE 0.667" in page.text("span")
  write_lines(workdir / "graded.jsonl", [sitting(SAT, 51)])
  assert "agreement" not in written(workdir)[0]


def test_a_run_of_before_there_was_confidence_has_no_diagram(
  workdir, written, write_lines
):
  write_lines(
    workdir / "graded.jsonl", [sitting(SAT._replace(probability={}), 50)]
  )
  _, page = written(workdir)
  assert "Confidence" not in page.text("h2")
