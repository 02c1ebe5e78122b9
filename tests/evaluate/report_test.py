"""The page holds what the run wrote, and nothing from outside."""

import json
import re
from xml.etree import ElementTree

import pytest

from bitzero_jax.evaluate import report

PANELS = (
  "By task type",
  "Log-loss by task type",
  "Tasks written by people",
  "Deduction by program length",
  "Abduction by program length",
  "Induction by program length",
  "Solve rate on fresh self-made tasks",
  "Tasks by estimated solve rate",
  "Total loss",
  "Hindsight loss",
  "Policy loss",
  "What became of the candidates",
  "Novelty",
  "Pool",
  "Learnability",
  "Program length",
  "Program depth",
  "Constant programs by source",
  "Known behaviour by source",
  "Random tasks by learnability",
  "Length of the programs trained on",
  "Entropy",
  "Advantage collapse",
  "Duplicate share",
  "Ternary flip rate",
  "Log-prob gap, sampler to learner",
  "Executor doubts",
  "Flips by matrix",
  "Zeros by matrix",
  "Scale by matrix",
  "Zero, clipped and dead",
  "Drift of the scales",
  "Stored bits over the run",
  "Seconds by phase, whole run",
  "Training rows",
  "Tokens",
  "Tasks checked",
  "Peak memory",
  "Executor",
)


def test_every_panel_and_section_is_there(workdir, written):
  source, page = written(workdir)
  assert page.open == []
  assert sorted(page.text("figcaption")) == sorted(PANELS)
  assert page.text("h2") == [
    "Held-out accuracy",
    "Training",
    "Proposals",
    "Proposals over time",
    "Collapse indicators",
    "Codes",
    "Bits",
    "Time and speed",
    "Config",
    "Environment",
    "All metrics",
  ]
  drawn = len(PANELS) - 1  # seconds by phase is a table
  assert source.count("<svg") == drawn


def test_nothing_comes_from_outside(workdir, written):
  source, page = written(workdir)
  names = {name for name, _ in page.attributes}
  assert not names & {"src", "href", "srcset", "data", "xlink:href"}
  assert not set(page.tags) & {"link", "script", "img", "iframe", "object"}
  assert "url(" not in source
  assert "@import" not in source
  assert "http" not in source


@pytest.mark.parametrize(
  "make",
  [
    lambda train, held_out: {"step": 0},
    lambda train, held_out: {
      "step": 0,
      "loss/total": None,
      "solve_rate/histogram": None,
    },
    lambda train, held_out: train(0),
    lambda train, held_out: held_out(5),
    lambda train, held_out: train(10) | held_out(10),
  ],
  ids=["step", "null", "train", "held_out", "both"],
)
def test_a_run_of_one_line_and_no_other_file(
  tmp_path, make, written, svg_of, train_line, eval_line, write_lines
):
  line = make(train_line, eval_line)
  write_lines(tmp_path / "metrics.jsonl", [line])
  source, page = written(tmp_path)
  assert page.open == []
  assert page.text("h1") == [tmp_path.name]
  assert "nan" not in source
  for svg in re.findall(r"<svg.*?</svg>", source, re.DOTALL):
    ElementTree.fromstring(svg)
  if "loss/total" in line and line["loss/total"] is not None:
    texts = list(svg_of(source, "Total loss").iter("text"))
    steps = [x.text for x in texts if x.get("class") == "tick mid"]
    assert steps == [str(line["step"]), str(line["step"] + 1)]


def test_missing_or_empty_metrics_are_named(tmp_path):
  with pytest.raises(ValueError, match=r"metrics\.jsonl is missing"):
    report.write_report(tmp_path)
  (tmp_path / "metrics.jsonl").write_text("")
  with pytest.raises(ValueError, match=r"metrics\.jsonl is empty"):
    report.write_report(tmp_path)
  assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_optional_file_is_named(workdir, content):
  (workdir / "config.json").write_text(content)
  with pytest.raises(ValueError, match=r"config\.json"):
    report.write_report(workdir)


def test_a_new_report_replaces_the_old_one(workdir, written):
  report.write_report(workdir)
  with (workdir / "metrics.jsonl").open("a") as file:
    file.write(json.dumps({"step": 110, "eval/deduction": 0.99}) + "\n")
  _, page = written(workdir)
  assert any("deduction 1.1 % → 99 %" in text for text in page.text("p"))
  assert not list(workdir.glob("*.new"))


def test_a_long_run_stays_a_small_page_and_keeps_its_peaks(
  tmp_path, written, svg_of, write_lines
):
  lines = [
    {"step": step, "executor/unknown_rate": 0.0, "loss/total": 1.0}
    for step in range(5000)
  ]
  lines[1234]["executor/unknown_rate"] = 0.004
  write_lines(tmp_path / "metrics.jsonl", lines)
  source, _ = written(tmp_path)
  assert len(source) < 50_000
  path = svg_of(source, "Executor doubts").find("path[@class='line c0']")
  assert path is not None
  heights = [float(y) for y in re.findall(r" ([\d.]+)", path.get("d", ""))]
  assert min(heights) == pytest.approx(24.0)  # the top of the plot
  assert heights.count(min(heights)) == 1
