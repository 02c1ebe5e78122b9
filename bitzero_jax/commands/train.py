"""`bitzero train`: here, or as one of several processes."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from bitzero_jax import arguments
from bitzero_jax.commands.compiled import keep_compiled


def run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Trains or resumes; returns the exit status, 1 of a run that had to stop."""
  config = arguments.read_config(options.config, overrides)
  keep_compiled(config.cache)
  if options.distributed:
    return _together(config, options)
  return _here(config, options)


def _here(config: Any, options: argparse.Namespace) -> int:
  from bitzero_jax import loop

  try:
    with arguments.bad_input():
      loop.train(config, options.workdir)
  except loop.RunError as error:
    sys.stderr.write(f"bitzero: {error}\n")
    return 1
  return 0


def _together(config: Any, options: argparse.Namespace) -> int:
  """As one of several processes: none outlives a failure of another."""
  from bitzero_jax.runtime import processes

  with arguments.bad_input():
    processes.start(options.coordinator, options.processes, options.process)
  try:
    status = _here(config, options)
  except BaseException as error:
    if not isinstance(error, SystemExit):
      traceback.print_exc()
    status = 2 if isinstance(error, SystemExit) else 1
  if status:
    processes.part()
    processes.leave(status)
  return status
