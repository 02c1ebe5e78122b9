"""The benchmark's results as a table, and as JSON."""

from collections.abc import Sequence
from typing import Any

import jax

from pallas_kernels.ternary_matmul import bench, targets
from pallas_kernels.ternary_matmul.bench import Case, Result

HEADER = (
  "| case | contender | tiles | kernel us | chain us | GB/s | x bf16 "
  "| x int8 | must | |"
)
RULE = "|---|---|---|---:|---:|---:|---:|---:|---:|---|"


def about() -> list[str]:
  """Which device, and what the numbers are."""
  device = jax.devices()[0]
  lines = [
    f"device: {device.device_kind} ({device.platform}), jax {jax.__version__}",
    "kernel us: on the device, by the profiler; chain us: wall time of one "
    "compiled program over its launches; weights are cold; x: speed over XLA's "
    "bare product of ready operands, in its better form of the weights, by "
    "kernel us where there is one",
  ]
  if device.platform == "cpu":
    lines.append(
      "this is a CPU: kernels are interpreted, so they are checked and not "
      "timed, and no time here says anything about a GPU or a TPU"
    )
  return lines


def _speed(result: Result, other: Result | None) -> float | None:
  """How many times faster a result is than another."""
  if result.timing is None or other is None or other.timing is None:
    return None
  if result.timing.kernel is None or other.timing.kernel is None:
    return other.timing.chain / result.timing.chain
  return other.timing.kernel / result.timing.kernel


def _named(results: Sequence[Result], case: Case, name: str) -> Result | None:
  """The faster of a product's two forms; one that was not timed if none was."""
  both = [r for r in results if r.case == case and r.contender.startswith(name)]
  timed = [r for r in both if r.timing is not None]
  if not timed:
    return next(iter(both), None)
  return min(timed, key=lambda r: r.timing.best)  # type: ignore[union-attr]


def records(results: Sequence[Result]) -> list[dict[str, Any]]:
  """One flat record a result; speeds need the whole table."""
  made = []
  for result in results:
    case, timed = result.case, result.timing
    plain = _named(results, case, "xla bf16")
    integer = _named(results, case, "xla int8")
    title = str(case.shape)
    must = targets.must(title, case.count, case.planes, case.x)
    bits = 2 * case.planes if result.ours else None
    if bits is None:
      bits = 16 if result.contender.startswith("xla bf16") else 8
    size = case.shape.rows * case.shape.columns * bits / 8
    made.append(
      {
        "shape": title,
        "rows": case.count,
        "planes": case.planes,
        "x": case.x,
        "contender": result.contender,
        "tiles": result.tiles,
        "verdict": result.verdict,
        "kernel_us": timed and timed.kernel,
        "chain_us": timed and timed.chain,
        "launches": timed and timed.launches,
        "weight_gb_per_s": timed and size / timed.best / 1e3,
        "over_bf16": _speed(result, plain),
        "over_int8": _speed(result, integer),
        "must": must if result.ours else None,
      }
    )
  return made


def _number(value: float | None, form: str) -> str:
  return "-" if value is None else format(value, form)


def line(record: dict[str, Any]) -> str:
  """A row of the table."""
  tiles = " ".join(f"{k}={v}" for k, v in record["tiles"].items())
  verdict = "" if record["verdict"] == bench.RIGHT else record["verdict"]
  if not verdict and record["chain_us"] is None:
    verdict = "right, interpreted"
  case = (
    f"{record['shape']} M={record['rows']} P={record['planes']} {record['x']}"
  )
  cells = (
    case,
    record["contender"],
    tiles,
    _number(record["kernel_us"], ".2f"),
    _number(record["chain_us"], ".2f"),
    _number(record["weight_gb_per_s"], ",.0f"),
    _number(record["over_bf16"], ".2f"),
    _number(record["over_int8"], ".2f"),
    _number(record["must"], ".2f"),
    verdict,
  )
  return f"| {' | '.join(cells)} |"


def judgement(results: Sequence[Result]) -> list[str]:
  """For each case with a target, whether the best right kernel reached it."""
  lines = []
  made = [r for r in records(results) if r["chain_us"] is not None]
  best: dict[tuple[Any, ...], dict[str, Any]] = {}
  for record in made:
    if record["must"] is None or record["over_bf16"] is None:
      continue
    key = (record["shape"], record["rows"], record["planes"], record["x"])
    if key not in best or record["over_bf16"] > best[key]["over_bf16"]:
      best[key] = record
  for (shape, count, _, kind), record in best.items():
    met = record["over_bf16"] >= record["must"]
    lines.append(
      f"{'met   ' if met else 'MISSED'} {shape} M={count} {kind}: "
      f"{record['over_bf16']:.2f}x of bf16 by {record['contender']}, must be "
      f"{record['must']:.2f}x"
    )
    integer = record["over_int8"]
    if count >= 1024 and integer is not None and integer < targets.XLA_INT8:
      lines.append(
        f"MISSED {shape} M={count} {kind}: {integer:.2f}x of XLA's int8, must "
        f"be {targets.XLA_INT8}x, else dispatch to it"
      )
  return lines + _two_planes(made)


def _two_planes(made: Sequence[dict[str, Any]]) -> list[str]:
  lines = []
  spent: dict[tuple[str, int], float] = {}
  for record in made:
    if record["must"] is None and record["planes"] == 1:
      continue
    if record["rows"] != 1 or "triton" not in record["contender"]:
      continue
    key = (record["shape"], record["planes"])
    time = record["kernel_us"] or record["chain_us"]
    spent[key] = min(time, spent.get(key, time))
  for (shape, planes), time in spent.items():
    one = spent.get((shape, 1))
    if planes == 2 and one is not None:
      met = time / one <= targets.TWO_PLANES
      lines.append(
        f"{'met   ' if met else 'MISSED'} {shape} M=1: two planes take "
        f"{time / one:.2f}x of one, must be at most {targets.TWO_PLANES}x"
      )
  return lines
