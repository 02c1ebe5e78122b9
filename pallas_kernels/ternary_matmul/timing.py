"""Microseconds of one launch, cold, by two clocks.

Between two launches other weights are read, more bytes than the second-level
cache holds, so every launch finds its weights in memory. All of them lie in
a loop of one compiled program, which a GPU runs as a captured graph where XLA
captures it.

    chain    wall time of the program over its launches: gaps are in it
    kernel   what the profiler says the launches took on the device, alone

The same harness times every contender: eager calls would measure the host.
"""

import glob
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

COLD_BYTES = 150e6  # of distinct weights; an H100's cache holds 50e6
MOST_COPIES = 128
REPEATS = 10


class Timing(NamedTuple):
  """Microseconds a launch.

  Attributes:
    chain: median of `REPEATS` programs, over their launches.
    kernel: on the device, None where the profiler shows no device.
    launches: in a program.
  """

  chain: float
  kernel: float | None
  launches: int

  @property
  def best(self) -> float:
    """The clock to compare by: the kernel's where there is one."""
    return self.chain if self.kernel is None else self.kernel


def copies(weight_bytes: int, cold: float = COLD_BYTES) -> int:
  """How many weights of that size are more than a cache holds, at least 2."""
  return max(2, min(MOST_COPIES, -(-int(cold) // max(weight_bytes, 1))))


def measure(
  program: Callable[..., Any], arguments: Sequence[Any], launches: int
) -> Timing:
  """Times a compiled program that launches one kernel after the other.

  Args:
    program: of `jax.jit`; its results are small.
    arguments: what it is called with.
    launches: L, in the program.
  """
  for _ in range(3):
    jax.block_until_ready(program(*arguments))
  spent = []
  for _ in range(REPEATS):
    begin = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    spent.append(time.perf_counter() - begin)
  chain = 1e6 * statistics.median(spent) / launches
  return Timing(chain, _by_profiler(program, arguments, launches), launches)


def _by_profiler(program, arguments, launches: int) -> float | None:
  """Mean microseconds on the device a launch; None without a device.

  An event counts whose name occurs at least once a launch: what the program
  does once, such as gathering its results, does not.
  """
  if jax.default_backend() == "cpu":
    return None
  runs = 3
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      for _ in range(runs):
        jax.block_until_ready(program(*arguments))
    events = device_events(folder)
  return per_launch(events, runs * launches)


def device_events(folder: str) -> list[tuple[str, float]]:
  """(name, nanoseconds) of all that ran on a device, but for copies.

  Args:
    folder: that a trace of `jax.profiler` was written to.
  """
  files = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
  return [event for file in files for event in _events(file)]


def _events(file: str) -> list[tuple[str, float]]:
  data: Any = jax.profiler.ProfileData.from_file(file)
  return [
    (event.name, event.duration_ns)
    for plane in data.planes
    if plane.name.startswith("/device:")
    for line in plane.lines
    if line.name.startswith("Stream")
    for event in line.events
    if not event.name.startswith("Memcpy")
  ]


def per_launch(
  events: Sequence[tuple[str, float]], launches: int
) -> float | None:
  """Microseconds a launch of the events that occur with every launch.

  Args:
    events: (name, nanoseconds).
    launches: that there were in all.

  Returns:
    None where no event occurred as often.
  """
  kept = [(_plain(name), ns) for name, ns in events]
  counts = Counter(name for name, _ in kept)
  often = {name for name, count in counts.items() if count >= launches}
  if not often:
    return None
  return sum(ns for name, ns in kept if name in often) / launches / 1e3


def _plain(name: str) -> str:
  """A kernel's name without the number that XLA gives to each of a kind."""
  return re.sub(r"([._]\d+)+$", "", name)
