"""Other Pythons on the PATH give the corpus the verdicts that it allows."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPORA = [str(HERE / name) for name in ("attacks.jsonl", "attacks_more.jsonl")]
# What is too deep is the interpreter's business.
DEEP = {
  "crash/deep-list-repr",
  "crash/deep-list-return",
  "crash/deep-list-eq",
  "swallow/str-of-deep-list",
  "swallow/eq-of-deep-lists",
}
RUN = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job
rows = [json.loads(line) for name in {CORPORA!r} for line in open(name)]
with Executor() as executor:
  verdicts = executor.run([Job(r["program"], (r["input"],)) for r in rows])
print(json.dumps([v[:3] for (v,) in verdicts]))
"""


def found(version: str) -> str | None:
  path = shutil.which(f"python{version}")
  if path is None or sys.version.startswith(f"{version}."):
    return None
  done = subprocess.run([path, "--version"], capture_output=True, check=False)
  return path if done.returncode == 0 else None


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_the_corpus_under_another_python(version):
  path = found(version)
  if path is None:
    pytest.skip(f"no other python{version} on the PATH")
  done = subprocess.run(
    [path, "-S", "-c", RUN], capture_output=True, text=True, check=True
  )
  texts = [Path(name).read_text("utf-8") for name in CORPORA]
  rows = [json.loads(line) for text in texts for line in text.splitlines()]
  wrong = [
    (row["name"], verdict)
    for row, verdict in zip(rows, json.loads(done.stdout), strict=True)
    if row["name"] not in DEEP and verdict[0] not in row["must_be"].split("|")
  ]
  assert not wrong
