"""Compiles a config for a slice, and smaller ones where it does not fit."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bitzero_jax.config_checks import validate
from bitzero_jax.plan.program import STAGES, Program
from bitzero_jax.plan.resident import Resident
from bitzero_jax.plan.topology import Slice

SPARE = 0.1  # share of the memory that must be left, for what is not counted
# libtpu asks a cloud for its machine and locks itself, unless it is told.
_ENVIRONMENT = {
  "JAX_PLATFORMS": "cpu",
  "TPU_SKIP_MDS_QUERY": "1",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "JAX_ENABLE_COMPILATION_CACHE": "0",  # the seconds are to be a compiler's
}


class Trial(NamedTuple):
  """A config that was compiled for a slice.

  Attributes:
    where: the slice.
    settings: what the config was changed by, as config keys.
    mesh: devices along each axis.
    resident: what lies on one chip; None where nothing was counted.
    programs: stages that compiled.
    failure: what did not, and the compiler's first line; "" for nothing.
  """

  where: Slice
  settings: dict[str, Any]
  mesh: dict[str, int]
  resident: Resident | None
  programs: list[Program]
  failure: str

  def peak(self, program: Program) -> int:
    """Bytes on one chip while a stage runs."""
    held = self.resident
    # Only `learn` is given the optimizer's state; it stays there all the same.
    beside = held.optimizer if held and program.stage != "learn" else 0
    return program.peak + beside

  @property
  def most(self) -> int:
    """Bytes on one chip while the largest stage runs."""
    return max(map(self.peak, self.programs), default=0)

  @property
  def fits(self) -> bool:
    """Whether all stages compiled and leave `SPARE` of the memory."""
    if self.failure or len(self.programs) < len(STAGES):
      return False
    return self.most <= (1 - SPARE) * self.where.memory


def need_libtpu() -> None:
  """Raises ValueError, with what to install, where there is no compiler."""
  if importlib.util.find_spec("libtpu") is None:
    raise ValueError(
      "plan needs the TPU's compiler: pip install 'bitzero-jax[tpu]'"
    )


def spread(config: Any, chips: int) -> dict[str, Any]:
  """Settings of a mesh over all chips, none where the config has its own.

  Parameters are split over as many chips as divide them; rows over all.

  Raises:
    ValueError: the config's mesh is not of so many devices, or no mesh is.
  """
  mesh = config.mesh
  said = mesh.data * mesh.fsdp * mesh.tensor
  if said == chips:
    return {}
  if said != 1:
    raise ValueError(
      f"mesh.data={mesh.data} * mesh.fsdp={mesh.fsdp} * mesh.tensor="
      f"{mesh.tensor} is {said} devices, but the slice has {chips} chips"
    )
  fsdp, reason = chips, ""
  while fsdp >= 1:
    settings = {"mesh.data": chips // fsdp, "mesh.fsdp": fsdp}
    try:
      changed(config, settings)
      return settings
    except ValueError as error:
      reason = reason or str(error)
    if fsdp % 2:
      break
    fsdp //= 2
  raise ValueError(f"no mesh of {chips} chips: {reason}")


def changed(config: Any, settings: dict[str, Any]) -> Any:
  """A copy with other values.

  Raises:
    ValueError: it is not valid.
  """
  made = config.copy_and_resolve_references()  # a plain copy shares rooms
  made.update_from_flattened_dict(settings)
  validate(made)
  return made


def smaller(config: Any) -> Iterator[dict[str, Any]]:
  """Settings that take less memory, the cheapest first, each of its own.

  What is not worked out again costs memory, so that goes first; then fewer
  rows an update and fewer answers at once, which change what is learned.
  """
  order = ("none", "dots", "full")
  settings: dict[str, Any] = {}
  for remat in order[order.index(config.model.remat) + 1 :]:
    settings = {"model.remat": remat}
    yield settings
  rows, fresh = config.learn.rows, config.solve.fresh_rows
  while min(max(rows), fresh) > 1:
    rows, fresh = tuple(-(-row // 2) for row in rows), fresh // 2
    settings = settings | {"learn.rows": rows, "solve.fresh_rows": fresh}
    try:
      changed(config, settings)
    except ValueError:
      return  # rows are dealt out to updates and devices: no fewer will do
    yield settings


def search(
  config: Any,
  where: Slice,
  tries: int,
  timeout: int,
  say: Callable[[str], None],
) -> Iterator[Trial]:
  """Compiles the config; where it does not fit, smaller ones, until one does.

  Args:
    config: validated.
    where: the slice.
    tries: most configs that are compiled.
    timeout: seconds for one of them.
    say: told what is going on.

  Raises:
    ValueError: the config cannot lie on the slice.
  """
  mesh = spread(config, where.chips)
  config = changed(config, mesh)
  plans = [{}, *smaller(config)][:tries]
  for settings in plans:
    shown = " ".join(f"--config.{k}={v}" for k, v in settings.items())
    say(f"compiling for {where.name}, {shown or 'as it is'}")
    trial = attempt(
      changed(config, settings), where, mesh | settings, timeout, say
    )
    yield trial
    held = trial.resident
    if trial.fits or (held and held.state > (1 - SPARE) * where.memory):
      return


def attempt(
  config: Any,
  where: Slice,
  settings: dict[str, Any],
  timeout: int,
  say: Callable[[str], None],
) -> Trial:
  """Compiles one config in a process of its own.

  Raises:
    ValueError: libtpu refuses the slice.
    RuntimeError: the process failed in another way than for want of memory.
  """
  request = {"config": config.to_dict(), "topology": where.name}
  plain = {k: v for k, v in os.environ.items() if not k.startswith("TPU_")}
  try:
    done = subprocess.run(
      [sys.executable, "-m", "bitzero_jax.plan.compile_stages"],
      input=json.dumps(request),
      env=plain | _ENVIRONMENT,
      capture_output=True,
      text=True,
      timeout=timeout,
      check=False,
    )
  except subprocess.TimeoutExpired as error:
    written = error.stdout or b""
    text = written.decode() if isinstance(written, bytes) else written
    return _trial(config, where, settings, text, f"more than {timeout} s", say)
  last = (done.stderr.strip().splitlines() or ["no word"])[-1]
  failure = f"exit {done.returncode}: {last}" if done.returncode else ""
  return _trial(config, where, settings, done.stdout, failure, say)


def _trial(
  config: Any,
  where: Slice,
  settings: dict[str, Any],
  text: str,
  failure: str,
  say: Callable[[str], None],
) -> Trial:
  """From the lines that the process wrote before it ended, as it may have."""
  held, programs, begun = None, [], "the start"
  for line in map(json.loads, text.splitlines()):
    if "refused" in line:
      raise ValueError(line["refused"])
    if "resident" in line:
      held = Resident(**line["resident"])
    if "begun" in line:
      begun = line["begun"]
    if "program" in line:
      programs.append(Program(**line["program"]))
    if "overflow" in line:
      failure = f"{line['overflow']}: {line['reason']}"
  if failure and "RESOURCE_EXHAUSTED" not in failure:
    failure = f"{begun}: {failure}"
  for line in filter(None, [failure]):
    say(line)
  return Trial(where, settings, config.mesh.to_dict(), held, programs, failure)
