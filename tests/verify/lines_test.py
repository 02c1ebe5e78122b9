"""`bitzero verify`: JSON lines in, verdicts out."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from bitzero_jax.verify import lines

ROOT = pathlib.Path(__file__).parents[2]
KEYS = {"verdict", "value", "error", "engine", "cpu_us"}
CASES = {
  "ok": ("def f(x): return sorted(x)", "[[3, 1, 2]]", "[1, 2, 3]", None),
  "two arguments": ("def f(x, y): return {x: y}", "[1, 'a']", "{1: 'a'}", None),
  "error": ("def f(x): return x[5]", "[[1]]", None, "IndexError"),
  "timeout": ("def f(x):\n  while True: pass", "[1]", None, None),
  "memory": ("def f(x): return [0] * 10**11", "[1]", None, None),
  "forbidden": ("import os\ndef f(x): return 1", "[1]", None, None),
}


def bitzero(*arguments, given="", env=None):
  return subprocess.run(
    [sys.executable, "-m", "bitzero_jax.main", "verify", *map(str, arguments)],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
    input=given.encode(errors="surrogateescape"),
    capture_output=True,
    timeout=120,
    check=False,
  )


def written(*jobs):
  return "".join(json.dumps(job) + "\n" for job in jobs)


@pytest.fixture(scope="module")
def verdicts():
  """One line for each case, and one that depends on the hash seed."""
  jobs = [
    {"name": name, "program": program, "input": given}
    for name, (program, given, *_) in CASES.items()
  ]
  program = "def f(x): return list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"
  jobs.append({"program": program, "input": "[1]"})
  done = bitzero("-", given=written(*jobs))
  assert done.returncode == 0, done.stderr
  return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_keep_their_order_and_their_names(verdicts):
  assert [line.get("name") for line in verdicts] == [*CASES, None]
  assert all(set(line) - {"name"} == KEYS for line in verdicts)
  assert "name" not in verdicts[-1]


def test_each_kind_of_verdict(verdicts):
  for line, (name, case) in zip(verdicts, CASES.items(), strict=False):
    *_, value, error = case
    assert line["verdict"] == ("ok" if value else name)
    assert line["value"] == value
    if error:
      assert line["error"] == error
    assert (line["error"] is None) == (line["verdict"] == "ok")
    assert line["engine"]
    assert isinstance(line["cpu_us"], int)
    assert line["cpu_us"] >= 0


def test_what_depends_on_the_hash_seed_is_an_error(verdicts):
  assert verdicts[-1]["verdict"] == "error"
  assert verdicts[-1]["error"] == "Nondeterministic"
  assert verdicts[-1]["value"] is None


def test_more_than_one_batch_stays_in_order(executor, tmp_path, capsys):
  count = 1100
  file = tmp_path / "jobs.jsonl"
  file.write_text(
    written(
      *(
        {"name": i, "program": "def f(x): return x + 1", "input": f"[{i}]"}
        for i in range(count)
      )
    )
  )
  lines.write(lines.read(str(file)), sys.stdout)
  rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
  assert [row["name"] for row in rows] == list(range(count))
  assert [row["value"] for row in rows] == [str(i + 1) for i in range(count)]


def test_the_executor_as_a_tool_needs_no_jax():
  job = written({"program": "def f(x): return x", "input": "[1]"})
  script = (
    "import sys\nfrom bitzero_jax import main\n"
    "status = main.main(['verify', '-'])\n"
    "heavy = {'jax', 'jaxlib', 'numpy', 'flax', 'absl'} & set(sys.modules)\n"
    "sys.exit(f'imported {heavy}' if heavy else status)"
  )
  done = subprocess.run(
    [sys.executable, "-c", script],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    input=job,
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout)["value"] == "1"


def test_no_jobs_are_no_lines(tmp_path):
  file = tmp_path / "empty.jsonl"
  file.write_text("\n  \n")
  assert lines.check(str(file)) == 0


@pytest.mark.parametrize("name", ["a", 7, ["x"], {"y": 1}, False, 0, ""])
def test_any_name_is_kept(tmp_path, name):
  file = tmp_path / "jobs.jsonl"
  job = {"name": name, "program": "def f(x): return 1", "input": "[1]"}
  file.write_text(written(job))
  assert [line.name for line in lines.read(str(file))] == [name]


def test_text_of_any_kind_is_one_job_a_line(tmp_path):
  """Separators other than a line feed, CRLF, lone surrogates, no UTF-8."""
  file = tmp_path / "jobs.jsonl"
  odd = ["\u2028", "\x85", "\ud800", "é", "\0"]
  jobs = [{"program": f"# {text}", "input": "[]"} for text in odd]
  raw = written(*jobs).replace("\n", "\r\n").encode()
  raw += '{"program": "# \u2028é", "input": "[]"}\n'.encode()
  raw += b'{"program": "# \xff", "input": "[]"}'
  file.write_bytes(raw)
  read = list(lines.read(str(file)))
  assert [line.job.program for line in read] == [
    *(f"# {text}" for text in odd),
    "# \u2028é",
    "# \udcff",
  ]


def test_odd_text_gets_a_verdict_whatever_the_locale():
  raw = '{"name": "é\udcff", "program": "def f(x): return \\"é\\"", '
  raw += '"input": "[1]"}\n{"program": "\\ud800", "input": "[1]"}\n'
  done = bitzero("-", given=raw, env={"LC_ALL": "C", "PYTHONUTF8": "0"})
  assert done.returncode == 0, done.stderr
  first, second = (json.loads(line) for line in done.stdout.splitlines())
  assert first["name"] == "é\udcff"
  assert first["value"] == "'é'"
  assert second["verdict"] in ("error", "forbidden")


@pytest.mark.parametrize(
  ("line", "said"),
  [
    ("{", "not JSON"),
    ("[1]", "must be an object, got list"),
    ("3", "must be an object, got int"),
    ('{"input": "[1]"}', "'program' must be text, got None"),
    ('{"program": "def f(x): return 1"}', "'input' must be text, got None"),
    ('{"program": "", "input": [1]}', "'input' must be text, got [1]"),
    ('{"program": 1, "input": "[1]"}', "'program' must be text, got 1"),
    ("[" * 100_000, "not JSON"),
    ("1" * 10_000, "not JSON"),
  ],
)
def test_a_bad_line_is_named(tmp_path, line, said):
  file = tmp_path / "jobs.jsonl"
  good = written({"program": "def f(x): return x", "input": "[1]"})
  file.write_text(f"{good}\n{line}\n")
  with pytest.raises(ValueError, match=r"jobs\.jsonl:3: ") as caught:
    lines.check(str(file))
  assert said in str(caught.value)


@pytest.mark.parametrize("case", ["missing", "folder", "bad line"])
def test_bad_input_is_one_line_and_no_verdict(tmp_path, case):
  file = tmp_path / "jobs.jsonl"
  if case == "folder":
    file.mkdir()
  elif case == "bad line":
    good = {"program": "def f(x): return x", "input": "[1]"}
    file.write_text(written(good) + "nothing\n")
  done = bitzero(file)
  assert done.returncode == 2
  assert done.stdout == b""
  (line,) = done.stderr.decode().splitlines()
  assert str(file) in line


@pytest.fixture
def interruptible():
  """Children hear SIGINT, though a shell's background job must not."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.fixture
def running(interruptible):
  """`bitzero verify -`, ready to be written to."""
  command = [sys.executable, "-m", "bitzero_jax.main", "verify", "-"]
  with subprocess.Popen(
    command,
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    bufsize=1,
  ) as started:
    yield started


def test_a_verdict_comes_before_the_next_line_is_written(running):
  for i in range(3):
    job = {"program": "def f(x): return x + 1", "input": f"[{i}]"}
    running.stdin.write(written(job))
    assert json.loads(running.stdout.readline())["value"] == str(i + 1)
  running.stdin.close()
  assert running.wait(timeout=60) == 0
  assert running.stderr.read().splitlines()[-1] == "verdicts: 3 ok"


def test_a_stream_is_answered_up_to_its_first_bad_line(running):
  job = {"program": "def f(x): return x", "input": "[7]"}
  running.stdin.write(written(job) + "nothing\n")
  running.stdin.close()
  assert json.loads(running.stdout.readline())["value"] == "7"
  assert running.wait(timeout=60) == 2
  assert "-:2: not JSON" in running.stderr.read().splitlines()[-1]


def test_a_reader_that_leaves_early_is_no_error(running):
  job = {"program": "def f(x): return x", "input": "[1]"}
  running.stdout.close()
  running.stdin.write(written(job))
  running.stdin.close()
  said = running.stderr.read()
  assert running.wait(timeout=120) == 0
  assert said.startswith("executor: ") and len(said.splitlines()) == 1


def test_an_interrupt_is_one_line(running):
  job = {"program": "def f(x): return x", "input": "[1]"}
  running.stdin.write(written(job))
  assert json.loads(running.stdout.readline())["value"] == "1"
  running.send_signal(signal.SIGINT)
  assert running.wait(timeout=60) == 130
  assert running.stderr.read().splitlines()[1:] == ["bitzero: interrupted"]
