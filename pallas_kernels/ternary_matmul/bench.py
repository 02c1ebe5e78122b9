"""Measures the ternary product on whatever device there is: right, then fast.

A contender first multiplies fresh random numbers over a result full of NaN; it
is timed only if every number is what `base` computes. A wrong one is shown as
wrong and makes the benchmark fail.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pallas_kernels.ternary_matmul import (
  api,
  base,
  contenders,
  measured,
  targets,
  timing,
)
from pallas_kernels.ternary_matmul.contenders import Case, Contender, Inputs
from pallas_kernels.ternary_matmul.shapes import ROWS, SHAPES, TINY, TINY_ROWS

RIGHT, WRONG, FAILED = "right", "WRONG", "does not run"
_DTYPE = jnp.bfloat16  # of the results, as in a model
_GAP = 1.0  # microseconds between two kernels of a captured graph on an H100


class Result(NamedTuple):
  """What came out for one contender in one case.

  Attributes:
    case: which.
    contender: its name.
    tiles: by name, {} where there are none.
    verdict: RIGHT, WRONG or FAILED, and then why.
    timing: None where nothing was timed.
    ours: whether it reads packed weights.
  """

  case: Case
  contender: str
  tiles: dict[str, int]
  verdict: str
  timing: timing.Timing | None
  ours: bool


def cases(
  names: Sequence[str] = (),
  rows: Sequence[int] = (),
  planes: Sequence[int] = (),
  kinds: Sequence[str] = (),
) -> list[Case]:
  """The cells of the table; empty sequences stand for all that fit a device.

  Args:
    names: of matrices, in `shapes`.
    rows: M.
    planes: P, by default 1, and 2 at one row.
    kinds: dtypes of x; by default int8, and bfloat16 from 1024 rows on.

  Raises:
    ValueError: a name or a number that is not allowed.
  """
  small = jax.default_backend() == "cpu"
  known = SHAPES | TINY
  for name in names:
    if name not in known:
      raise ValueError(f"--shapes={name!r} must be in: {', '.join(known)}")
  for number in rows:
    if number < 1:
      raise ValueError(f"--rows={number} must be at least 1")
  for number in planes:
    if not 1 <= number <= 5:
      raise ValueError(f"--planes={number} must be 1 to 5")
  for kind in kinds:
    if kind not in ("int8", "bfloat16"):
      raise ValueError(f"--x={kind!r} must be int8 or bfloat16")
  found = []
  for name in names or (TINY if small else SHAPES):
    for count in rows or (TINY_ROWS if small else ROWS):
      floats = small or count >= 1024
      for kind in kinds or (("int8", "bfloat16") if floats else ("int8",)):
        both = count == 1 and kind == "int8"
        for number in planes or ((1, 2) if both else (1,)):
          found.append(Case(name, known[name], count, number, kind))
  return found


def field(case: Case, tune: bool) -> Iterator[Contender]:
  """Everybody who takes part in a case."""
  for turned in (False, True):
    yield contenders.xla_bfloat16(turned)
    if case.x == "int8":
      yield contenders.xla_int8(turned)
  platform = jax.default_backend()
  for name, chosen in api.IMPLEMENTATIONS.items():
    if case.x not in chosen.dtypes:
      continue
    if chosen.most_rows is not None and case.count > chosen.most_rows:
      continue
    if case.planes > chosen.most_planes:
      continue
    interpret = False
    if chosen.platform not in (None, platform):
      if platform != "cpu" or not chosen.interpretable:
        continue
      interpret = _interpreted(chosen.platform)
    if name == "triton_dot" and case.shape.columns % 16:
      continue
    for tiles in targets.candidates(name, case.count, case.x):
      yield contenders.kernel(name, case.shape.rows, tiles, interpret)
      if not tune or interpret:
        break


def _interpreted(platform: str | None) -> Any:
  """How a kernel of another platform runs on a CPU."""
  if platform == "tpu":
    from jax.experimental.pallas import tpu as pltpu

    return pltpu.InterpretParams()
  return True


def gate(case: Case, contender: Contender) -> str:
  """RIGHT, or what is wrong with a contender's numbers.

  By integers all must agree to the last bit, after one rounding. Floats may
  add up in another order.
  """
  inputs = contenders.draw(case, jax.random.key(case.count))
  poison = jnp.full((case.count, case.shape.columns), jnp.nan, _DTYPE)
  weight = contender.make(inputs)
  before = poison if contender.chained else None
  got = contender.run(contender.ready(inputs), weight, before, _DTYPE)
  got = np.asarray(contender.finish(inputs, got), np.float64)
  truth = base.ternary_matmul(
    inputs.x,
    inputs.packed,
    inputs.scale,
    x_scale=inputs.x_scale,
    out_dtype=_DTYPE,
  )
  truth = np.asarray(truth, np.float64)
  if case.x == "int8" and not contender.name.startswith("xla bf16"):
    wrong = got != truth
  else:
    # Two roundings to bfloat16, 8 bits, and float32 sums of K terms.
    size = np.sqrt(case.shape.rows) * 3.0 ** (case.planes - 1)
    size *= 127 if case.x == "int8" else 1
    wrong = ~(np.abs(got - truth) <= 2**-7 * np.abs(truth) + 1e-4 * size)
  if not wrong.any():
    return RIGHT
  return f"{WRONG}: {wrong.sum()} of {wrong.size} numbers"


def clock(case: Case, contender: Contender) -> timing.Timing:
  """Times a contender on cold weights."""
  ready = contender.make(contenders.draw(case, jax.random.key(0)))
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(ready))
  copies = timing.copies(size, _cold_bytes())
  inputs, weights = [], []
  for number in range(copies):
    drawn = contenders.draw(case, jax.random.key(number))
    weights.append(contender.make(drawn))
    inputs.append(_without_bytes(contender.ready(drawn)))
  poison = jnp.full((case.count, case.shape.columns), jnp.nan, _DTYPE)
  launch = contenders.program(contender)
  launches = copies if contender.apart else copies * contenders.LAPS
  return timing.measure(launch, (inputs, weights, poison), launches)


def _without_bytes(inputs: Inputs) -> Inputs:
  """What a launch reads beside its weights."""
  return inputs._replace(packed=None)  # type: ignore[arg-type]


def _cold_bytes() -> float:
  """On a CPU nothing is claimed, so little is enough."""
  return 4e6 if jax.default_backend() == "cpu" else timing.COLD_BYTES


def run(
  chosen: Sequence[Case],
  *,
  tune: bool = False,
  say: Callable[[str], None] = lambda text: None,
) -> Iterator[Result]:
  """Results of every contender in every case, as they come.

  Args:
    chosen: from `cases`.
    tune: every candidate's tiles, not the first ones alone.
    say: told what is going on.
  """
  for case in chosen:
    for contender in field(case, tune):
      tiles = contender.tiles._asdict() if contender.tiles else {}
      say(f"{title(case)}: {contender.name} {tiles or ''}".rstrip())
      yield _one(case, contender, tiles)


def _one(case: Case, contender: Contender, tiles: dict[str, int]) -> Result:
  blank = Result(case, contender.name, tiles, "", None, contender.ours)
  try:
    verdict = gate(case, contender)
    timed = verdict == RIGHT and not _is_interpreted(contender)
    spent = clock(case, contender) if timed else None
  except (
    Exception
  ) as error:  # a compiler that refuses tiles must not end a sweep
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return blank._replace(verdict=f"{FAILED}: {reason[0][:100]}")
  return blank._replace(verdict=verdict, timing=spent)


def _is_interpreted(contender: Contender) -> bool:
  chosen = api.IMPLEMENTATIONS.get(contender.name)
  return chosen is not None and chosen.platform not in (
    None,
    jax.default_backend(),
  )


def title(case: Case) -> str:
  """A case in a few words."""
  return f"{case.shape} M={case.count} P={case.planes} {case.x}"


def _cost(result: Result) -> float:
  """Microseconds, with the gap in front of a split's second kernel."""
  assert result.timing is not None
  return result.timing.best + (_GAP if result.tiles.get("split", 1) > 1 else 0)


def dispatch_rows(
  results: Sequence[Result], today: datetime.date
) -> list[measured.Row]:
  """The fastest right kernel of each case, as rows of the checked-in table."""
  best: dict[Case, Result] = {}
  for result in results:
    if result.ours and result.timing is not None:
      first = best.get(result.case)
      if first is None or _cost(result) < _cost(first):
        best[result.case] = result
  rows = []
  for case, result in best.items():
    assert result.timing is not None
    least, most = targets.BUCKETS.get(case.count, (case.count, case.count))
    rows.append(
      measured.Row(
        device=jax.devices()[0].device_kind,
        rows=case.shape.rows,
        columns=case.shape.columns,
        planes=case.planes,
        x=case.x,
        least=least,
        most=most,
        implementation=result.contender,
        tiles=result.tiles,
        microseconds=round(result.timing.best, 3),
        harness="chain" if result.timing.kernel is None else "kernel",
        jax=jax.__version__,
        date=today.isoformat(),
      )
    )
  return rows
