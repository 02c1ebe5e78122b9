"""What a plan says: a table for the terminal, a row for a README."""

import importlib.metadata
from typing import Any

from bitzero_jax.plan.search import SPARE, Trial
from bitzero_jax.plan.topology import GIB


def lines(name: str, trial: Trial) -> list[str]:
  """Markdown: what lies on a chip, the stages, the verdict."""
  where, mesh = trial.where, trial.mesh
  axes = ", ".join(f"{axis} {size}" for axis, size in mesh.items())
  made = [
    f"{name} on {where.name} ({where.chips} x {where.memory / GIB:.2f} GiB); "
    f"mesh of {axes}; {versions()}",
  ]
  held = trial.resident
  if held is not None:
    made += [
      "",
      "| on one chip | GiB |",
      "|---|---:|",
      f"| parameters | {_gib(held.parameters)} |",
      f"| optimizer | {_gib(held.optimizer)} |",
      f"| pool, proposals, counters | {_gib(held.rest)} |",
      f"| keys and values, at most, among the temporaries | "
      f"{_gib(held.cache)} |",
    ]
  if trial.programs:
    made += [
      "",
      "| stage | temporaries, GiB | peak, GiB | collectives | largest "
      "gathered, GiB | traced, s | compiled, s |",
      "|---|---:|---:|---|---:|---:|---:|",
    ]
    made += [
      f"| {p.stage} | {_gib(p.temporaries)} | {_gib(trial.peak(p))} | "
      f"{_calls(p.collectives)} | {_gib(p.gathered)} | {p.lowering:.0f} | "
      f"{p.compiling:.0f} |"
      for p in trial.programs
    ]
  return [*made, "", verdict(trial)]


def verdict(trial: Trial) -> str:
  """Whether it fits, and what to set."""
  memory = trial.where.memory
  flags = " ".join(
    f"--config.{key}={_flag(value)}" for key, value in trial.settings.items()
  )
  if trial.fits:
    free = 1 - trial.most / memory
    return (
      f"compiles and fits, {free:.0%} of a chip free"
      + (f"; set {flags}" if flags else "")
      + ". Nothing ran."
    )
  held = trial.resident
  if held and held.state > (1 - SPARE) * memory:
    return (
      f"does not fit: parameters, optimizer and pool alone take "
      f"{_gib(held.state)} GiB of {_gib(memory)}; more chips must share them "
      "(mesh.fsdp)"
    )
  if trial.failure:
    return f"does not fit: {trial.failure}"
  return (
    f"does not fit: {_gib(trial.most)} GiB of {_gib(memory)}, where "
    f"{SPARE:.0%} must be left"
  )


def record(name: str, trial: Trial) -> dict[str, Any]:
  """The same as JSON: bytes of one chip, and seconds."""
  return {
    "config": name,
    "topology": trial.where.name,
    "chips": trial.where.chips,
    "memory": trial.where.memory,
    "mesh": trial.mesh,
    "settings": trial.settings,
    "resident": trial.resident and trial.resident._asdict(),
    "programs": [
      program._asdict() | {"peak": trial.peak(program)}
      for program in trial.programs
    ],
    "fits": trial.fits,
    "verdict": verdict(trial),
    "versions": versions(),
  }


def versions() -> str:
  """Of what compiled."""
  names = ("jax", "libtpu")
  return ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)


def _gib(size: float) -> str:
  return f"{size / GIB:.2f}"


def _calls(collectives: dict[str, int]) -> str:
  found = ", ".join(f"{count} {name}" for name, count in collectives.items())
  return found or "none"


def _flag(value: Any) -> str:
  return f'"{value}"' if isinstance(value, tuple) else str(value)
