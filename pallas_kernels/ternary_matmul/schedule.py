"""Static schedules of the TPU kernel, beside ready int8 weights.

    python -m pallas_kernels.ternary_matmul.schedule

The TPU's compiler writes its final instruction bundles to a folder when it is
asked by flags that are not documented. A bundle is about one cycle where
nothing stalls; waiting for memory is not in it, and so it is no time. Where no
such files appear the report says "not available".
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# Most bundles over those of the same blocks of ready int8 weights.
BARS = {128: 1.15, 32: 1.10}
TARGETS = ("v5e", "v6e", "v5p")
_SHAPE = "2048x256"  # one block of the default tiles
_FLAGS = "--xla_jf_dump_to={} --xla_jf_dump_llo_text=true"
_SPILLS = ("VLOAD:FILL", "VSTORE:SPILL")


class Schedule(NamedTuple):
  """Of a whole kernel, its pipeline's beginning and end included.

  Attributes:
    bundles: instruction bundles.
    spills: registers written to memory and read back, for want of room.
  """

  bundles: int
  spills: int


def read(text: str) -> Schedule:
  """A schedule from the text of a "static-per-bundle-utilization" file."""
  head, _, body = text.partition("== UTILIZATION:")
  names = [name.strip() for name in head.splitlines()[1].split(",")]
  rows = [list(map(int, line.split())) for line in body.split("\n") if line]
  columns = [names.index(name) for name in _SPILLS]
  return Schedule(len(rows), sum(row[c] for row in rows for c in columns))


def measure(target: str, kernel: str, count: int) -> Schedule | None:
  """Compiles in a process of its own; None where no schedule was written.

  Args:
    target: a TPU in `aot.TPUS`.
    kernel: "forward", "input_gradient" or "ready".
    count: rows of x.

  Raises:
    RuntimeError: the kernel does not compile.
  """
  with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run(
      [
        *(sys.executable, "-m", "pallas_kernels.ternary_matmul.aot"),
        *(f"--target={target}", f"--kernel={kernel}", f"--count={count}"),
        f"--shapes={_SHAPE}",
      ],
      env=os.environ | {"LIBTPU_INIT_ARGS": _FLAGS.format(folder)},
      capture_output=True,
      text=True,
      timeout=300,
      check=False,
    )
    if done.returncode:
      reason = done.stderr.strip().splitlines()[-1:]
      raise RuntimeError(f"{target} {kernel}: {' '.join(reason)}")
    name = "backward" if kernel == "input_gradient" else "forward"
    pattern = f"*-{name}.*final_hlo-static-per-bundle-utilization.txt"
    found = list(Path(folder).glob(pattern))
    return read(found[0].read_text()) if found else None


def report(targets: Sequence[str] = TARGETS) -> Iterator[str]:
  """Lines of a Markdown table, as they come."""
  yield "| TPU | rows of x | int2 words | ready int8 | ratio | spills | must |"
  yield "|---|---:|---:|---:|---:|---:|---:|"
  for target in targets:
    for count, bar in BARS.items():
      ours = measure(target, "forward", count)
      ready = measure(target, "ready", count)
      if ours is None or ready is None:
        yield f"| {target} | {count} | not available | | | | {bar} |"
        continue
      ratio = ours.bundles / ready.bundles
      yield (
        f"| {target} | {count} | {ours.bundles} | {ready.bundles} | "
        f"{ratio:.3f} | {ours.spills} | {bar} |"
      )


def main() -> int:
  """Prints the report."""
  for line in report():
    print(line, flush=True)
  return 0


if __name__ == "__main__":
  sys.exit(main())
