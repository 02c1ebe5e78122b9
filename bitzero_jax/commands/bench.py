"""`bitzero bench PART`: what a part of the house costs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bitzero_jax import arguments
from bitzero_jax.commands.compiled import keep_compiled


def run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints what was measured; returns the exit status, 1 of a wrong kernel."""
  if options.part == "kernels":
    return _kernels(options)
  measure = {
    "decode": _decode,
    "executor": _executor,
    "export": _export,
    "loop": _loop,
  }[options.part]
  with arguments.bad_input():
    measure(options, overrides)
  return 0


def _kernels(options: argparse.Namespace) -> int:
  with arguments.bad_input():
    for path in filter(None, (options.json, options.table)):
      if not Path(path).resolve().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")
    from bitzero_jax.bench import kernels

    chosen = kernels.choose(
      options.shapes, options.rows, options.planes, options.x
    )
  right = kernels.measure(
    chosen, options.tune, options.json, options.table, print, arguments.say
  )
  return 0 if right else 1


def _decode(options: argparse.Namespace, _: Sequence[str]) -> None:
  from bitzero_jax.bench import decode, kernels

  batches = kernels.numbers("--batch", options.batch)
  rows = decode.measure(batches, options.slots, options.tokens, arguments.say)
  print(decode.HEADER)
  for row in rows:
    print(decode.line(row), flush=True)


def _executor(options: argparse.Namespace, _: Sequence[str]) -> None:
  try:
    from bitzero_jax.bench import executor
  except ModuleNotFoundError as error:
    arguments.fail(f"needs {error.name}: pip install 'bitzero-jax[bench]'")
  if options.programs < 1:
    raise ValueError(f"--programs={options.programs} must be at least 1")
  crux = Path(options.cruxeval) if options.cruxeval else None
  rows = executor.measure(options.programs, crux)
  row = next(rows)  # bad input shows before anything is written
  print(executor.HEADER)
  while row:
    print(executor.line(row), flush=True)
    row = next(rows, None)


def _loop(options: argparse.Namespace, overrides: Sequence[str]) -> None:
  config = arguments.read_config(options.config, overrides)
  keep_compiled(config.cache)
  if options.rounds < 1 or options.warm < 0:
    raise ValueError(
      f"--rounds={options.rounds} must be at least 1 and "
      f"--warm={options.warm} at least 0"
    )
  from bitzero_jax.bench import loop, scaling

  if options.devices is not None:
    counts = arguments.numbers("devices", options.devices)
    for line in scaling.measure(
      config, counts, options.rounds, options.warm, arguments.say
    ):
      print(line, flush=True)
    return
  print(
    loop.table(
      loop.measure(config, options.rounds, options.warm, arguments.say)
    )
  )


def _export(options: argparse.Namespace, overrides: Sequence[str]) -> None:
  if (options.workdir is None) == (options.config is None):
    arguments.fail("needs --workdir=RUN or --config=FILE, one of them")
  if options.tokens < 1:
    raise ValueError(f"--tokens={options.tokens} must be at least 1")
  if options.config is not None:
    config = arguments.read_config(options.config, overrides)
    keep_compiled(config.cache)
  from bitzero_jax import shipped
  from bitzero_jax.bench import export

  if options.config is None:
    model = shipped.open_model(options.workdir, "last", None)
  else:
    model = export.random_model(config)
  rows = export.measure(model, options.tokens)
  row = next(rows)  # bad input shows before anything is written
  print(export.HEADER)
  while row:
    print(export.line(row), flush=True)
    row = next(rows, None)
