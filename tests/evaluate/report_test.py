"""The page holds what the run wrote, and nothing from outside."""

import html.parser
import json
import pathlib
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from bitzero_jax.evaluate import charts, report

TYPES = ("deduction", "abduction", "induction")
REASONS = (
  "invalid",
  "timeout",
  "memory",
  "forbidden",
  "nondeterministic",
  "unbounded",
  "constant",
  "identity",
  "known",
  "barred",
  "unknown",
)
PROGRAM = (
  "def f(s):\n  return s if s < \"<b>&amp;</b>\" else '</pre><script>'\n"
)

PANELS = (
  "By task type",
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
  "Entropy",
  "Advantage collapse",
  "Duplicate share",
  "Ternary flip rate",
  "Log-prob gap, sampler to learner",
  "Executor doubts",
  "Stored bits over the run",
  "Seconds by phase, whole run",
  "Training rows",
  "Tokens",
  "Tasks checked",
  "Peak memory",
  "Executor",
)


class Page(html.parser.HTMLParser):
  """Checks nesting while it gathers attributes, text and headings."""

  _VOID = frozenset({"meta", "br"})
  _END_MAY_BE_LEFT_OUT = frozenset({"td", "th", "tr"})

  def __init__(self, source: str):
    super().__init__()
    self.open: list[str] = []
    self.tags: list[str] = []
    self.attributes: list[tuple[str, str | None]] = []
    self.by_tag: dict[str, list[str]] = {}
    self.feed(source)
    self.close()

  def handle_starttag(self, tag, attrs):
    if tag in self._END_MAY_BE_LEFT_OUT:
      while self.open[-1:] in (["td"], ["th"]) or self.open[-1:] == [tag]:
        self.open.pop()
    self.tags.append(tag)
    self.attributes += attrs
    self.by_tag.setdefault(tag, []).append("")
    if tag not in self._VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += attrs

  def handle_endtag(self, tag):
    while self.open[-1] != tag and self.open[-1] in self._END_MAY_BE_LEFT_OUT:
      self.open.pop()
    assert self.open.pop() == tag

  def handle_data(self, data):
    for tag in set(self.open):
      self.by_tag[tag][-1] += data

  def text(self, tag: str) -> list[str]:
    return self.by_tag.get(tag, [])


def train_line(step: int) -> dict:
  line = {"step": step, "round": step // 10, "seconds": 2.0 * step}
  for index, kind in enumerate(TYPES):
    line[f"loss/hindsight/{kind}"] = 2.0 - 0.01 * step + index
    line[f"solve_rate/{kind}"] = 0.004 * step / (index + 1)
  for role in ("propose", "solve"):
    line[f"loss/policy/{role}"] = 0.1
    line[f"entropy/{role}"] = 1.5
    line[f"advantage_collapse/{role}"] = 0.4
  for reason in REASONS:
    line[f"reject/{reason}"] = 0.5 / len(REASONS)
  for phase in ("propose", "check", "solve", "grade", "learn", "evaluate"):
    line[f"seconds/{phase}"] = 1.5
  return line | {
    "loss/total": 3.0 - 0.01 * step,
    "solve_rate/histogram": [4, 3, 2, 1, 10],
    "accept/rate": 0.5,
    "novelty/new_share": 0.7,
    "novelty/duplicate_share": 0.2,
    "pool/size": 30 + step,
    "pool/behaviours": 20 + step,
    "learnability/random": 0.1,
    "learnability/model": 0.15,
    "length/random": 11.0,
    "length/model": 12.5,
    "gap/logprob_max": 0.0,
    "gap/logprob_mean": 0.0,
    "ternary/flip_rate": 0.002,
    "bits/stored_per_weight": 2.0625,
    "executor/unknown_rate": 0.0,
    "executor/flip_rate": 0.0,
    "executor/seconds": 0.3,
    "executor/share": 0.1,
    "speed/rows_per_s": 1234.0,
    "speed/tokens_per_s": 56000.0,
    "speed/tasks_per_s": 78.0,
    "memory/peak_mb": 512,
  }


def eval_line(step: int) -> dict:
  line = {"step": step, "eval/constant": 0.0825}
  for index, kind in enumerate(TYPES):
    line[f"eval/{kind}"] = 0.011 + 0.003 * step / (index + 1)
    line[f"eval/human/{kind}"] = 0.05
    for place, bucket in enumerate(("long 9-14", "10-11", "2-3")):
      line[f"eval/{kind}/{bucket}"] = 0.1 * (place + 1) + 0.001 * step
  return line


def parameter(path: str, **changes) -> dict:
  row = {"path": path, "shape": [128, 128], "parameters": 16384, "bits": 1.58}
  row |= {"stored_bits": 2.0625, "bytes": 4224, "quantizer": "absmean"}
  return row | changes


def write_lines(path: pathlib.Path, lines: list[dict]) -> None:
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def workdir(tmp_path) -> pathlib.Path:
  """A run of 100 updates with every file that a run leaves."""
  lines = []
  for step in range(0, 101, 10):
    lines.append(train_line(step))
    if step % 50 == 0:
      lines.append(eval_line(step))
  write_lines(tmp_path / "metrics.jsonl", lines)
  config = {"name": "run <1>", "learn": {"lr": 0.001, "steps": 100}, "seed": 0}
  (tmp_path / "config.json").write_text(json.dumps(config))
  environment = {"device": "one CPU", "versions": {"jax": "0.10.2"}}
  (tmp_path / "environment.json").write_text(json.dumps(environment))
  parameters = [
    parameter(f"params/layer_{layer}/attention/{name}/kernel")
    for layer in range(2)
    for name in ("q", "k", "v", "o")
  ]
  parameters += [
    parameter("params/layer_1/feed_forward/gate/kernel", bits=3.17),
    parameter("params/embedding/table", bits=16, stored_bits=16, bytes=32768),
  ]
  (tmp_path / "parameters.json").write_text(json.dumps(parameters))
  tasks = [
    {
      "step": step,
      "round": step // 10,
      "type": kind,
      "source": source,
      "program": f"# {source} {step}\n" + PROGRAM,
      "input": "'<i>'",
      "output": [["1", "2"]],
      "status": "accepted",
      "solve_rate": None if step == 0 else 0.25,
    }
    for step in (0, 30, 60, 90)
    for kind in TYPES
    for source in ("prior", "model")
  ]
  write_lines(tmp_path / "tasks.jsonl", tasks)
  return tmp_path


def written(workdir: pathlib.Path, **options) -> tuple[str, Page]:
  path = report.write_report(workdir, **options)
  assert path == workdir / "report.html"
  source = path.read_text(encoding="utf-8")
  return source, Page(source)


def figure(source: str, title: str) -> str:
  start = source.index(f"<figcaption>{title}</figcaption>")
  return source[start : source.index("</figure>", start)]


def svg_of(source: str, title: str) -> ElementTree.Element:
  found = re.search(r"<svg.*</svg>", figure(source, title), re.DOTALL)
  assert found is not None
  return ElementTree.fromstring(found.group())


def last_values(source: str, title: str) -> list[str | None]:
  texts = svg_of(source, title).iter("text")
  return [x.text for x in texts if x.get("class", "").startswith("last")]


def test_every_panel_and_section_is_there(workdir):
  source, page = written(workdir)
  assert page.open == []
  assert sorted(page.text("figcaption")) == sorted(PANELS)
  assert page.text("h2") == [
    "Held-out accuracy",
    "Training",
    "Proposals",
    "Collapse indicators",
    "Bits",
    "Time and speed",
    "Config",
    "Environment",
    "All metrics",
  ]
  drawn = len(PANELS) - 1  # seconds by phase is a table
  assert source.count("<svg") == drawn


def test_verdict_says_first_and_last_accuracy_and_the_constant(workdir):
  _, page = written(workdir)
  assert page.text("h1") == ["run <1>"]
  assert (
    "Held-out accuracy: deduction 1.1 % → 31.1 %, abduction 1.1 % → 16.1 %,"
    " induction 1.1 % → 11.1 %; the best constant answer scores 8.2 %."
  ) in page.text("p")


def test_charts_end_in_the_last_values(workdir):
  source, _ = written(workdir)
  assert last_values(source, "By task type") == [
    "31.1 %",
    "16.1 %",
    "11.1 %",
    "8.2 %",
  ]
  assert last_values(source, "Total loss") == ["2"]
  assert last_values(source, "Pool") == ["130", "120"]
  assert last_values(source, "Training rows") == ["1234"]


def test_every_collapse_indicator_says_what_is_bad(workdir):
  source, _ = written(workdir)
  start = source.index("<h2>Collapse indicators")
  panels = source[start : source.index("<h2>Bits", start)].split("<figure")[1:]
  assert len(panels) == 6
  for panel in panels:
    assert '<p class="note">Bad: ' in panel
  assert 'class="alert"' not in source


def test_limits_that_were_passed_are_said(workdir):
  line = {"step": 110, "executor/unknown_rate": 0.02, "gap/logprob_max": 1e-4}
  with (workdir / "metrics.jsonl").open("a") as file:
    file.write(json.dumps(line) + "\n")
  _, page = written(workdir)
  assert "The unknown rate reached 2 %; the limit is 0.5 %." in page.text("p")
  assert "The log-prob gap reached 0.0001 nats; it must be 0." in page.text("p")


def test_length_buckets_stand_in_order_of_length(workdir):
  source, _ = written(workdir)
  svg = svg_of(source, "Deduction by program length")
  labels = [x.text for x in svg.iter("text") if x.get("class") == "tick mid"]
  assert labels == ["2-3", "10-11", "long 9-14"]
  values = [x.text for x in svg.iter("text") if x.get("class") == "value mid"]
  assert values == ["30", "40", "20", "30", "10", "20"]


def test_candidates_add_up_to_all_of_them(workdir):
  source, _ = written(workdir)
  shares = last_values(source, "What became of the candidates")
  assert len(shares) == 7  # accepted, five reasons, the rest
  total = sum(float(text.removesuffix(" %")) for text in shares if text)
  assert total == pytest.approx(100, abs=0.5)


def test_programs_show_to_the_letter_and_are_escaped(workdir):
  source, page = written(workdir)
  shown = page.text("pre")
  assert len(shown) == 9  # early, middle, late, by three types
  assert {text.splitlines()[0] for text in shown} == {
    "# model 0",
    "# model 60",
    "# model 90",
  }
  for text in shown:
    assert text.split("\n", 1)[1] == PROGRAM
  assert "script" not in page.tags
  assert "b" not in page.tags
  assert "i" not in page.tags
  assert "'<i>'" in page.text("code")
  assert "<b>" not in source


def test_nothing_comes_from_outside(workdir):
  source, page = written(workdir)
  names = {name for name, _ in page.attributes}
  assert not names & {"src", "href", "srcset", "data", "xlink:href"}
  assert not set(page.tags) & {"link", "script", "img", "iframe", "object"}
  assert "url(" not in source
  assert "@import" not in source
  assert "http" not in source


def test_bits_by_layer_and_projection(workdir):
  source, page = written(workdir)
  start = source.index('<table class="bits">')
  table = Page(source[start : source.index("</table>", start)])
  assert table.text("th")[1:7] == ["q", "k", "v", "o", "gate", "bytes"]
  cells = table.text("td")
  # Layer 0 has no gate: its cell stays empty.
  assert cells[:6] == ["1.58"] * 4 + ["", "16.9 kB"]
  assert cells[6:12] == ["1.58"] * 4 + ["3.17", "21.1 kB"]
  assert cells[12:] == ["8.45 kB"] * 4 + ["4.22 kB", "38 kB"]
  assert "params/embedding/table" in page.text("th")
  assert any(
    "In all 163,840 weights in 70.8 kB: 3.46 stored bits a weight" in text
    for text in page.text("p")
  )


@pytest.mark.parametrize(
  ("path", "place"),
  [
    ("params/layer_3/attention/q/kernel", (3, "q")),
    ("params/layers_12/mlp/down_proj/kernel", (12, "down")),
    ("['params']['block_0']['attention']['value']['kernel']", (0, "v")),
    ("params/layers/attention/o/kernel", (-1, "o")),
    ("params/layer_3/norm/scale", None),
    ("params/embedding/table", None),
  ],
)
def test_place_of_reads_common_paths(path, place):
  assert charts.place_of(path) == place


def test_config_differences_come_first(workdir):
  defaults = {"name": "run <1>", "learn": {"lr": 0.01, "steps": 100}, "seed": 0}
  source, page = written(workdir, defaults=defaults)
  changed = source[source.index("<h3>Differs from the defaults") :]
  changed = Page(changed[: changed.index("<details>")])
  assert changed.text("th") == ["learn.lr"]
  assert changed.text("code") == ["0.001  (default 0.01)"]
  assert "learn.steps" in page.text("th")


def test_every_metric_is_listed(workdir):
  _, page = written(workdir)
  names = set(train_line(0)) | set(eval_line(0))
  names -= {"step", "solve_rate/histogram"}
  assert names <= set(page.text("th"))


@pytest.mark.parametrize(
  "line",
  [
    {"step": 0},
    {"step": 0, "loss/total": None, "solve_rate/histogram": None},
    train_line(0),
    eval_line(5),
    train_line(10) | eval_line(10),
  ],
)
def test_a_run_of_one_line_and_no_other_file(tmp_path, line):
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


def test_verdict_before_the_first_evaluation():
  assert report.verdict([{"step": 1}]) == "No accuracy was measured yet."
  assert report.verdict([{"step": 1, "solve_rate/abduction": 0.5}]) == (
    "Not evaluated yet; solve rate on fresh tasks: abduction 50 %."
  )
  assert report.verdict([eval_line(0)]) == (
    "Held-out accuracy: deduction 1.1 %, abduction 1.1 %, induction 1.1 %;"
    " the best constant answer scores 8.2 %."
  )


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


def test_a_new_report_replaces_the_old_one(workdir):
  report.write_report(workdir)
  with (workdir / "metrics.jsonl").open("a") as file:
    file.write(json.dumps({"step": 110, "eval/deduction": 0.99}) + "\n")
  _, page = written(workdir)
  assert any("deduction 1.1 % → 99 %" in text for text in page.text("p"))
  assert not list(workdir.glob("*.new"))


def test_highlight_keeps_any_text():
  for text in ("", "def f(x): return 'a", 'é < & > "', PROGRAM, "1if x else"):
    assert "".join(Page(f"<p>{charts.highlight(text)}</p>").text("p")) == text
  assert '<span class="kw">return</span>' in charts.highlight("return x")
  assert "span" not in charts.highlight("returned")


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (0.0, "0 %"),
    (0.6, "60 %"),
    (0.345, "34.5 %"),
    (1.0, "100 %"),
    (0.00025, "0.025 %"),
  ],
)
def test_percent(value, text):
  assert charts.percent(value) == text


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (0, "0"),
    (0.01234, "0.0123"),
    (1234.4, "1234"),
    (162_400, "162k"),
    (1_311_000, "1.31M"),
    (-25_000, "-25k"),
    (2.5e9, "2.5G"),
  ],
)
def test_number(value, text):
  assert charts.number(value) == text


@pytest.mark.parametrize(
  ("low", "high"),
  [(0, 1), (0, 0.0013), (-3, 7), (0.2, 0.21), (5, 5), (0, 123456)],
)
def test_ticks_enclose_the_range_with_few_round_numbers(low, high):
  found = charts.ticks(low, high)
  assert 2 <= len(found) <= 7
  assert found[0] <= low + 1e-9
  assert found[-1] >= high - 1e-9


def test_smooth_keeps_length_and_mean_of_a_flat_curve():
  flat = np.full(200, 0.25)
  np.testing.assert_allclose(charts.smooth(flat), flat)
  noisy = np.tile([0.0, 1.0], 100)
  assert np.ptp(charts.smooth(noisy)) < 0.2


def test_a_long_run_stays_a_small_page_and_keeps_its_peaks(tmp_path):
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


def test_end_labels_never_overlap():
  steps = np.array([0, 1])
  series = [
    charts.Series(str(i), steps, np.array([0.0, 0.001 * i]), i)
    for i in range(6)
  ]
  svg = charts.line_chart("t", series, axis="a", from_zero=False)
  heights = re.findall(r'class="last c\d" x="\d+" y="([\d.]+)"', svg)
  gaps = np.diff(sorted(map(float, heights)))
  assert len(heights) == 6
  assert gaps.min() >= 12
