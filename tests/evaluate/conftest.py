"""A run's files written by hand, and the page that is made of them."""

import html.parser
import json
import pathlib
import re
from xml.etree import ElementTree

import pytest

from bitzero_jax.evaluate import report

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
  "repetitive",
  "known",
  "barred",
  "unknown",
)
PROGRAM = (
  "def f(s):\n  return s if s < \"<b>&amp;</b>\" else '</pre><script>'\n"
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


def _train_line(step: int) -> dict:
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
    "novelty/behaviours": 20 + step,
    "learnability/histogram": [6, 1, 1, 1, 1],
    "trained/lengths": [0, 0.5, 0.25, 0.25],
    "depth/random": 3.5,
    "depth/model": 4.5,
    "constant/random": 0.4,
    "constant/model": 0.1,
    "known/random": 0.2,
    "known/model": 0.6,
    "learnability/random": 0.1,
    "learnability/model": 0.15,
    "length/random": 11.0,
    "length/model": 12.5,
    "gap/logprob_max": 0.0,
    "ternary/flip_rate": 0.002,
    "ternary/zero_share": 0.31,
    "ternary/clipped_share": 0.0,
    "ternary/dead_outputs": 0.0,
    "ternary/scale_drift": 0.01,
    "ternary/kernels/flip_rate": [0.002] * 9,  # as many as `workdir` has
    "ternary/kernels/zero_share": [0.31] * 9,
    "ternary/kernels/scale": [0.03 + 0.001 * step] * 9,
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


def _eval_line(step: int) -> dict:
  line = {"step": step, "eval/constant": 0.0825}
  for index, kind in enumerate(TYPES):
    line[f"eval/{kind}"] = 0.011 + 0.003 * step / (index + 1)
    line[f"eval/human/{kind}"] = 0.05
    line[f"eval/nll/{kind}"] = 2 - 0.01 * step
    for place, bucket in enumerate(("long 9-14", "10-11", "2-3")):
      line[f"eval/{kind}/{bucket}"] = 0.1 * (place + 1) + 0.001 * step
  return line


def _parameter(path: str, **changes) -> dict:
  row = {"path": path, "shape": [128, 128], "parameters": 16384, "bits": 1.58}
  row |= {"stored_bits": 2.0625, "bytes": 4224, "quantizer": "absmean"}
  return row | changes


def _write_lines(path: pathlib.Path, lines: list[dict]) -> None:
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def workdir(tmp_path) -> pathlib.Path:
  """A run of 100 updates with every file that a run leaves."""
  lines = []
  for step in range(0, 101, 10):
    lines.append(_train_line(step))
    if step % 50 == 0:
      lines.append(_eval_line(step))
  _write_lines(tmp_path / "metrics.jsonl", lines)
  learn = {"lr": 0.001, "steps": 100, "rows": [1, 2]}
  config = {"name": "run <1>", "learn": learn, "seed": 0}
  (tmp_path / "config.json").write_text(json.dumps(config))
  environment = {"device": "one CPU", "versions": {"jax": "0.10.2"}}
  (tmp_path / "environment.json").write_text(json.dumps(environment))
  parameters = [
    _parameter(f"params/layer_{layer}/attention/{name}/kernel")
    for layer in range(2)
    for name in ("q", "k", "v", "o")
  ]
  parameters += [
    _parameter("params/layer_1/feed_forward/gate/kernel", bits=3.17),
    _parameter("params/embedding/table", bits=16, stored_bits=16, bytes=32768),
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
    for source in ("random", "model")
  ]
  _write_lines(tmp_path / "tasks.jsonl", tasks)
  return tmp_path


def _written(workdir: pathlib.Path, **options) -> tuple[str, Page]:
  path = report.write_report(workdir, **options)
  assert path == workdir / "report.html"
  source = path.read_text(encoding="utf-8")
  return source, Page(source)


def _figure(source: str, title: str) -> str:
  start = source.index(f"<figcaption>{title}</figcaption>")
  return source[start : source.index("</figure>", start)]


def _svg_of(source: str, title: str) -> ElementTree.Element:
  found = re.search(r"<svg.*</svg>", _figure(source, title), re.DOTALL)
  assert found is not None
  return ElementTree.fromstring(found.group())


def _last_values(source: str, title: str) -> list[str | None]:
  texts = _svg_of(source, title).iter("text")
  return [x.text for x in texts if x.get("class", "").startswith("last")]


@pytest.fixture
def program():
  """The program of every task in the run."""
  return PROGRAM


@pytest.fixture
def train_line():
  """What one update logs: (step)."""
  return _train_line


@pytest.fixture
def eval_line():
  """What one evaluation logs: (step)."""
  return _eval_line


@pytest.fixture
def write_lines():
  """Writes JSON lines: (path, lines)."""
  return _write_lines


@pytest.fixture
def page_of():
  """Parses HTML, checking that its tags nest: (source)."""
  return Page


@pytest.fixture
def written():
  """Writes the report; its source and page: (workdir, **options)."""
  return _written


@pytest.fixture
def svg_of():
  """The drawing of a chart: (source, title)."""
  return _svg_of


@pytest.fixture
def last_values():
  """What stands at the ends of a chart's curves: (source, title)."""
  return _last_values
