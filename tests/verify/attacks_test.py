"""Hostile programs: the corpus, and the public exploits of other executors.

A row of attacks.jsonl allows the statuses in `must_be`; `expect` is the value
where "ok" is allowed, `error` the name where "error" is.
"""

import json
import os
from pathlib import Path

import pytest

from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job, Limits, Verdict


def corpus(name: str) -> list[dict]:
  text = Path(__file__).with_name(name).read_text("utf-8")
  return [json.loads(line) for line in text.splitlines()]


ROWS = corpus("attacks.jsonl")
MORE = corpus("attacks_more.jsonl")  # by somebody who read the executor
CANARY = Path("/tmp/bz_canary")
# Loops that build something deep: the default steps run out before it is.
LONG_LOOPS = {
  "crash/deep-list-repr",
  "crash/deep-list-return",
  "crash/deep-list-eq",
}


def fault(row: dict, verdict: Verdict) -> str | None:
  """What is wrong with this verdict, or None."""
  allowed = row["must_be"].split("|")
  if verdict.status not in allowed:
    return f"{row['name']}: {verdict.status} {verdict.error}, not {allowed}"
  if (
    verdict.status == "ok" and row.get("expect", verdict.value) != verdict.value
  ):
    return f"{row['name']}: {verdict.value}, not {row['expect']}"
  if (
    verdict.status == "error"
    and row.get("error", verdict.error) != verdict.error
  ):
    return f"{row['name']}: {verdict.error}, not {row['error']}"
  return None


def faults(rows: list[dict], executor: Executor) -> list[str]:
  jobs = [Job(row["program"], (row["input"],)) for row in rows]
  verdicts = [verdict for (verdict,) in executor.run(jobs)]
  found = [fault(r, v) for r, v in zip(rows, verdicts, strict=True)]
  return [text for text in found if text]


def test_corpus_in_one_batch(executor):
  CANARY.unlink(missing_ok=True)
  assert len(ROWS) == 300
  assert not faults([r for r in ROWS if r["name"] not in LONG_LOOPS], executor)
  assert not CANARY.exists()


def test_second_corpus_in_one_batch(executor):
  CANARY.unlink(missing_ok=True)
  assert not {row["name"] for row in MORE} & {row["name"] for row in ROWS}
  assert not faults(MORE, executor)
  assert not CANARY.exists()


def test_long_loops_are_on_contract_with_more_steps():
  rows = [row for row in ROWS if row["name"] in LONG_LOOPS]
  assert len(rows) == len(LONG_LOOPS)
  with Executor(Limits(steps=250_000)) as executor:
    assert not faults(rows, executor)


@pytest.mark.slow
def test_corpus_row_by_row(executor):
  for row in ROWS + MORE:
    CANARY.unlink(missing_ok=True)
    if row["name"] not in LONG_LOOPS:
      assert not faults([row], executor)
    assert not CANARY.exists(), row["name"]


def test_nothing_reaches_the_host(executor):
  rows = [r for r in ROWS if r["name"].startswith("escape/")]
  verdicts = executor.run([Job(r["program"], (r["input"],)) for r in rows])
  reached = {
    row["name"]: verdict.value
    for row, (verdict,) in zip(rows, verdicts, strict=True)
    if verdict.status == "ok" and "ok" not in row["must_be"]
  }
  assert not reached


def test_a_leak_over_many_calls_hurts_nobody_later(executor):
  leak = next(r for r in ROWS if r["name"] == "mem/leak-across-calls")
  jobs = [
    Job(leak["program"], ("[1]",) * 50),
    Job("def f(x): return x", ("[7]",)),
  ]
  leaked, (probe,) = executor.run(jobs)
  assert {v.status for v in leaked} == {"memory"}
  assert probe.value == "7"


ALWAYS_EQUAL = (
  "class A:\n  def __eq__(self, other): return True\ndef f(x): return A()"
)
PAYLOAD = "__import__('os').system('touch /tmp/bz_canary')"


def test_azr_hack_a_an_object_that_equals_everything(ask):
  assert ask(ALWAYS_EQUAL).status == "forbidden"


@pytest.mark.parametrize(
  "text",
  [
    "0) or True or f(0)",
    "[0) or True or f(0)]",
    "[0 if True else f(0)]",
    "[f(0)]",
  ],
)
def test_azr_hack_b_an_input_that_rewrites_the_call(ask, text):
  verdict = ask("def f(x): return x", text)
  assert verdict.status in ("forbidden", "error")
  assert verdict.value == ""


def test_azr_hack_c_an_answer_that_builds_an_always_equal_object(ask):
  answer = "[type('A', (), {'__eq__': lambda s, o: True})()]"
  assert ask("def f(x): return x", answer).status == "forbidden"


def test_azr_answers_are_never_evaluated_in_the_host(ask):
  CANARY.unlink(missing_ok=True)
  assert ask("def f(x): return x", f"[{PAYLOAD}]").status == "forbidden"
  assert ask(f"def f(x): return {PAYLOAD}").status == "forbidden"
  value = ask(f"def f(x): return {PAYLOAD!r}")
  assert value.value == repr(PAYLOAD)
  assert not CANARY.exists()


def test_azr_reduce_payload_in_a_result(ask):
  CANARY.unlink(missing_ok=True)
  program = (
    "class A:\n"
    f"  def __reduce__(self): return (eval, ({PAYLOAD!r},))\n"
    "repr = lambda value: A()\n"
    "def f(x): return A()"
  )
  assert ask(program).status == "forbidden"
  assert not CANARY.exists()


def test_azr_poisoned_module_does_not_reach_the_next_program(executor):
  poison = Job("import math\ndef f(x):\n  math.pi = 3\n  return 1", ("[1]",))
  probe = Job("import math\ndef f(x): return math.pi", ("[1]",))
  (poisoned,), (probed,) = executor.run([poison, probe])
  assert poisoned.status == "forbidden"
  assert probed.value == "3.141592653589793"


def test_azr_hash_seed_dependence_is_found(ask):
  program = "def f(x): return list({'alpha', 'beta', 'gamma', 'delta'})"
  assert (ask(program).status, ask(program).error) == (
    "error",
    "Nondeterministic",
  )


def test_azr_long_results_are_not_cut(ask):
  verdict = ask("def f(x): return list(range(x))", "[500]")
  assert verdict.value == repr(list(range(500)))


@pytest.mark.parametrize(
  "program",
  [
    "import os\ndef f(x): return os.getcwd()",
    "import sys\ndef f(x): return sys.modules",
    "import shutil\ndef f(x): return 1",
    "def f(x): return __import__('subprocess')",
    "def f(x): return open('/etc/passwd').read()",
  ],
)
def test_azr_imports_and_files(ask, program):
  assert ask(program).status == "forbidden"


@pytest.mark.skipif(
  "BITZERO_CRUXEVAL" not in os.environ, reason="needs a path to CRUXEval rows"
)
def test_cruxeval_functions_give_their_outputs(executor):
  path = Path(os.environ["BITZERO_CRUXEVAL"])
  rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
  got = executor.run([Job(r["code"], (f"[{r['input']}]",)) for r in rows])
  identity = "def f(x): return x"
  gold = executor.run([Job(identity, (f"[{r['output']}]",)) for r in rows])
  right = sum(
    a.status == "ok" and a.value == b.value
    for (a,), (b,) in zip(got, gold, strict=True)
  )
  # The rest have inputs that are calls or operators, not literals.
  assert right >= 0.98 * len(rows)
