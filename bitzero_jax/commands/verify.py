"""`bitzero verify`: verdicts without a model, and without JAX."""

import argparse
import os
import sys
from collections.abc import Sequence

from bitzero_jax import arguments


def run(options: argparse.Namespace, _: Sequence[str]) -> int:
  """Prints a verdict a line; returns the exit status."""
  with arguments.bad_input():
    from bitzero_jax.verify import lines

    total = lines.check(options.file)
    try:
      lines.write(lines.read(options.file), sys.stdout, total)
    except BrokenPipeError:
      # The reader has left, as `head` does. Python would complain at exit too.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return 0
