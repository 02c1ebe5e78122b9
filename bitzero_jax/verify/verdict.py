"""What the executor is asked and what it answers: types only, no JAX."""

from typing import NamedTuple

OK = "ok"
ERROR = "error"
TIMEOUT = "timeout"
MEMORY = "memory"
FORBIDDEN = "forbidden"
UNKNOWN = "unknown"

STATUSES = (OK, ERROR, TIMEOUT, MEMORY, FORBIDDEN, UNKNOWN)


class Limits(NamedTuple):
  """What one run (one program on one input) may use, and what is accepted.

  Attributes:
    steps: loop iterations, calls and large copies that a run may make. They
      are counted, so a timeout by steps is the same on every machine.
    cpu_ms: CPU milliseconds of a run. Only for what steps do not see, such as
      one slow operation; at twice this the process is killed.
    memory_mb: mebibytes that a worker may add to its start size.
    source_bytes: UTF-8 bytes of a program.
    input_bytes: UTF-8 bytes of an input.
    value_nodes: scalars and containers in a result.
    value_depth: nesting of containers in a result.
    value_bytes: characters of a result's canonical text.
    stall_ms: wall milliseconds without an answer before a worker is replaced.
    batch_ms: wall milliseconds of one `Executor.run`, plus 20 for each input;
      rows that are missing then are "unknown".
  """

  steps: int = 20_000
  cpu_ms: int = 100
  memory_mb: int = 256
  source_bytes: int = 16_384
  input_bytes: int = 16_384
  value_nodes: int = 10_000
  value_depth: int = 32
  value_bytes: int = 65_536
  stall_ms: int = 10_000
  batch_ms: int = 60_000


class Job(NamedTuple):
  """One program and the inputs to run it on.

  Attributes:
    program: Python source that defines f.
    inputs: argument lists in brackets; "[[1, 2], 3]" means f([1, 2], 3).
  """

  program: str
  inputs: tuple[str, ...]


class Engine(NamedTuple):
  """What produced a verdict; verdicts of different engines do not compare.

  Attributes:
    name: interpreter and version, such as "cpython-3.11.7".
    policy: hash of the rules and the code that applies them.
    limits: the limits in force.
    seeds: hash seeds of the two runs.
    tier: how the worker was locked down, in words.
  """

  name: str
  policy: str
  limits: Limits
  seeds: tuple[int, ...]
  tier: str


class Verdict(NamedTuple):
  """What the executor says about one program on one input.

  Attributes:
    status: one of STATUSES. "unknown" is neither right nor wrong.
    value: canonical text of the result when "ok", else "".
    error: exception name, "Nondeterministic", rule that forbids, limit that
      was met, or why it is unknown; "" when "ok".
    cpu_us: CPU microseconds, summed over the runs that answered.
    runs: how many runs answered.
    engine: what produced this, shared by all verdicts of an executor.
  """

  status: str
  value: str
  error: str
  cpu_us: int
  runs: int
  engine: Engine


class Stats(NamedTuple):
  """What an executor did so far.

  Attributes:
    counts: verdicts by status.
    unknown_rate: share of verdicts that are "unknown".
    flip_rate: share of verdicts whose first two runs differed, other than by
      two different values.
    seconds: wall seconds inside `run`.
    cpu_seconds: CPU seconds of the workers' runs.
    restarts: workers that were replaced.
  """

  counts: dict[str, int]
  unknown_rate: float
  flip_rate: float
  seconds: float
  cpu_seconds: float
  restarts: int
