"""`bitzero bench kernels` on a CPU: right first, then what it says."""

import itertools
import json

import jax
import jax.numpy as jnp
import pytest

from bitzero_jax import main
from pallas_kernels.ternary_matmul import (
  bench,
  bench_table,
  contenders,
  measured,
  targets,
  timing,
)
from pallas_kernels.ternary_matmul.shapes import Shape

CASE = contenders.Case("down", Shape(6912, 2560), 1, 1, "int8")


def result(contender, kernel, case=CASE, ours=True, tiles=None):
  timed = timing.Timing(kernel + 1, kernel, 34)
  return bench.Result(case, contender, tiles or {}, bench.RIGHT, timed, ours)


@pytest.mark.slow
def test_the_table_on_a_cpu_says_that_it_is_one(tmp_path, capsys):
  report, table = tmp_path / "report.json", tmp_path / "table.json"
  status = main.main(
    [
      *("bench", "kernels", "--shapes=tiny", "--rows=1", "--planes=1"),
      *("--x=int8", f"--json={report}", f"--table={table}"),
    ]
  )
  out, _ = capsys.readouterr()
  assert status == 0
  assert "this is a CPU" in out
  lines = [line for line in out.splitlines() if line.startswith("| 256->128")]
  names = [line.split("|")[2].strip() for line in lines]
  ours = ["base", "triton_gemv", "triton_dot", "mosaic_tpu"]
  plain = ["xla bf16", "xla int8", "xla bf16 turned", "xla int8 turned"]
  assert names == [*plain, *ours]
  assert all("right, interpreted" in line for line in lines[5:])
  written = json.loads(report.read_text())
  assert [r["verdict"] for r in written["results"]] == [bench.RIGHT] * 8
  assert [r["chain_us"] is None for r in written["results"]] == (
    [False] * 5 + [True] * 3
  )
  (row,) = measured.read(table.read_text())
  assert (row.implementation, row.least, row.most) == ("base", 1, 2)
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    "report.json",
    "table.json",
  ]


@pytest.mark.parametrize(
  ("flag", "said"),
  [
    ("--shapes=huge", "--shapes='huge' must be in: o, qkv"),
    ("--rows=0", "--rows=0 must be at least 1"),
    ("--rows=one", "--rows=one must be whole numbers"),
    ("--planes=6", "--planes=6 must be 1 to 5"),
    ("--x=fp8", "--x='fp8' must be int8 or bfloat16"),
    ("--json=nowhere/at/all.json", "its folder does not exist"),
  ],
)
def test_bad_input_is_one_line(flag, said, capsys):
  with pytest.raises(SystemExit) as ended:
    main.main(["bench", "kernels", flag])
  out, err = capsys.readouterr()
  assert ended.value.code == 2
  assert out == "" and len(err.splitlines()) == 1 and said in err


def spoiled(spoil):
  """`base`, and then something happens to its result."""
  honest = contenders.kernel("base", 256)
  return honest._replace(run=lambda *args: spoil(honest.run(*args)))


@pytest.mark.parametrize(
  ("spoil", "verdict"),
  [
    (lambda y: y, bench.RIGHT),
    (lambda y: y.at[0, 3].set(jnp.nan), "WRONG: 1 of 256 numbers"),
    (lambda y: y.at[1].set(y[0]), "WRONG: 12"),  # some agree by chance
  ],
)
@pytest.mark.parametrize("x", ["int8", "bfloat16"])
def test_the_gate_sees_a_wrong_number(spoil, verdict, x):
  case = contenders.Case("tiny", Shape(256, 128), 2, 1, x)
  assert bench.gate(case, spoiled(spoil)).startswith(verdict)


def test_by_integers_the_gate_sees_a_last_bit():
  case = contenders.Case("tiny", Shape(256, 128), 2, 1, "int8")
  one = spoiled(lambda y: y.at[1, 127].multiply(1 + 2**-7))
  assert bench.gate(case, one) == "WRONG: 1 of 256 numbers"


def test_what_was_not_written_is_seen_by_the_poison():
  lazy = contenders.kernel("triton_gemv", 256, None, True)
  assert lazy.chained
  left = lazy._replace(run=lambda inputs, weight, before, dtype: before)
  case = contenders.Case("tiny", Shape(256, 128), 1, 1, "int8")
  assert bench.gate(case, left) == "WRONG: 128 of 128 numbers"


def test_launches_apart_give_every_result():
  case = contenders.Case("tiny", Shape(256, 128), 2, 1, "int8")
  plain = contenders.kernel("base", 256)
  inputs = [contenders.draw(case, jax.random.key(i)) for i in range(2)]
  weights = [plain.make(one) for one in inputs]
  poison = jnp.full((2, 128), jnp.nan, jnp.bfloat16)
  together = contenders.program(plain)(inputs, weights, poison)
  apart = contenders.program(plain._replace(apart=True))
  for one, other in zip(apart(inputs, weights, poison), together, strict=True):
    assert (one == other).all()


def test_a_wrong_contender_fails_the_benchmark_and_is_not_timed(monkeypatch):
  case = contenders.Case("tiny", Shape(256, 128), 2, 1, "int8")
  wrong = spoiled(lambda y: y + 1)
  broken = wrong._replace(run=lambda *args: 1 / 0)
  monkeypatch.setattr(bench, "field", lambda case, tune: [wrong, broken])
  first, second = bench.run([case])
  assert first.verdict.startswith(bench.WRONG) and first.timing is None
  assert second.verdict == "does not run: division by zero"


def test_a_launch_is_what_happens_with_every_launch():
  events = [(f"kernel_{i}", 2000.0) for i in range(6)]
  events += [("reduce", 1000.0)] * 6
  events += [("gather results", 9000.0)] * 3
  assert timing.per_launch(events, 6) == 3.0
  assert timing.per_launch(events[-3:], 6) is None


def test_rotated_weights_are_more_than_a_cache_holds():
  assert timing.copies(1_640_000) * 1_640_000 > 50e6
  assert timing.copies(134_000_000) == 2
  assert timing.copies(0) == timing.MOST_COPIES


def test_speeds_and_verdicts_compare_the_same_clock():
  wide = CASE._replace(planes=2)
  results = [
    result("xla bf16", 17.2, ours=False),
    result("xla int8", 8.6, ours=False),
    result("triton_gemv", 4.3),
    result("triton_dot", 8.0),
    result("triton_gemv", 8.0, wide),
  ]
  made = bench_table.records(results)
  assert made[2]["over_bf16"] == pytest.approx(4.0)
  assert made[2]["over_int8"] == pytest.approx(2.0)
  assert made[2]["weight_gb_per_s"] == pytest.approx(6912 * 640 / 4.3e3)
  assert made[2]["must"] == targets.must("6912->2560", 1, 1, "int8") == 3.9
  said = bench_table.judgement(results)
  assert said[0].startswith("met    6912->2560 M=1 int8: 4.00x")
  assert said[1].startswith("MISSED 6912->2560 M=1: two planes take 1.86x")
  slow = bench_table.judgement([results[0], results[3]])
  assert slow[0].startswith("MISSED 6912->2560 M=1 int8: 2.15x")


def test_the_fastest_right_kernel_becomes_a_row_for_its_bucket():
  import datetime

  tiles = {"bn": 4, "chunk": 512, "warps": 1}
  results = [
    result("xla int8", 1.0, ours=False),
    result("triton_dot", 8.0),
    result("triton_gemv", 4.3, tiles=tiles),
  ]
  (row,) = bench.dispatch_rows(results, datetime.date(2026, 11, 27))
  assert (row.implementation, row.tiles) == ("triton_gemv", tiles)
  assert (row.least, row.most) == targets.BUCKETS[1]
  assert (row.harness, row.microseconds) == ("kernel", 4.3)
  assert row.device == jax.devices()[0].device_kind


def test_buckets_leave_no_number_of_rows_out():
  ends = sorted(targets.BUCKETS.values())
  assert ends[0][0] == 1
  for (_, most), (least, _) in itertools.pairwise(ends):
    assert least == most + 1
  assert all(low <= m <= high for m, (low, high) in targets.BUCKETS.items())
