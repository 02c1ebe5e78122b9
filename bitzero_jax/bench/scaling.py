"""The same work a device on more devices: what a further one brings."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from bitzero_jax.bench import loop
from bitzero_jax.config_checks import validate

# Rows of a round, which grow with the devices.
_ROWS = (
  "propose.candidates",
  "propose.measured",
  "solve.fresh_rows",
  "solve.buffer_rows",
  "learn.rows",
)
HEADER = (
  "| devices | rows a round | rows/s | tokens/s | times the first | "
  "waits for the executor |\n|---:|---:|---:|---:|---:|---:|"
)


def grown(config: Any, devices: int) -> Any:
  """The config with so many times the rows, which as many devices split.

  Raises:
    ValueError: it has a mesh of its own, or is not valid with so many.
  """
  shape = config.mesh.to_dict()
  if set(shape.values()) != {1}:
    said = ", ".join(f"mesh.{axis}={size}" for axis, size in shape.items())
    raise ValueError(f"{said}: all must be 1, for --devices sets mesh.data")
  made = config.copy_and_resolve_references()
  flat: dict[str, Any] = {"mesh.data": devices}
  for path in _ROWS:
    room, name = path.split(".")
    rows = config[room][name]
    many = isinstance(rows, tuple)
    flat[path] = tuple(devices * n for n in rows) if many else devices * rows
  made.update_from_flattened_dict(flat)
  validate(made)
  return made


def measure(
  config: Any,
  counts: Sequence[int],
  rounds: int,
  warm: int,
  say: Callable[[str], None],
) -> Iterator[str]:
  """A table as it comes: whole rounds of `bench loop` on so many devices each.

  The interpreters are as many in all of them: they share the host.

  Args:
    config: validated, without a mesh.
    counts: numbers of devices, the first to compare with.
    rounds, warm, say: as in `loop.measure`.

  Raises:
    ValueError: a number is below 1 or above what this process has.
    RuntimeError: the executor failed.
  """
  here = len(jax.devices())
  for count in counts:
    if not 1 <= count <= here:
      raise ValueError(
        f"--devices={','.join(map(str, counts))}: {count} must be in 1 ... "
        f"{here}, what this process has"
      )
  configs = [grown(config, count) for count in counts]
  yield HEADER
  every: list[loop.Phases] = []
  for count, larger in zip(counts, configs, strict=True):
    say(f"{count} devices")
    done = loop.measure(larger, rounds, warm, say)
    every.append(done)
    speed, first = (each.rows / each.whole for each in (done, every[0]))
    yield (
      f"| {done.device} | {done.rows:,} | {speed:,.0f} | "
      f"{done.tokens / done.whole:,.0f} | {speed / first:.2f} | "
      f"{done.waited / done.whole:.1%} |"
    )
  yield _seconds(every)
  if jax.default_backend() == "cpu":
    yield "\nDevices of one CPU share its cores: these speeds say nothing."


def _seconds(every: Sequence[loop.Phases]) -> str:
  """Seconds of each phase, which further devices should leave as they are."""
  names = " | ".join(loop.PHASES)
  lines = [
    "",
    f"| seconds a round | {names} | whole, as trained |",
    "|---|" + "---:|" * (len(loop.PHASES) + 1),
  ]
  for done in every:
    seconds = (*(done.seconds[name] for name in loop.PHASES), done.whole)
    cells = " | ".join(f"{each:.3f}" for each in seconds)
    lines.append(f"| {done.device} | {cells} |")
  return "\n".join(lines)
