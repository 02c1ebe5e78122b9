"""`bitzero report`: one page of what a run left."""

import argparse
from collections.abc import Sequence

from bitzero_jax import arguments


def run(options: argparse.Namespace, _: Sequence[str]) -> int:
  """Writes the page and prints where it lies; returns the exit status."""
  with arguments.bad_input():
    from bitzero_jax import config as config_lib
    from bitzero_jax.evaluate import report

    defaults = config_lib.default().to_dict()
    print(report.write_report(options.workdir, defaults=defaults))
  return 0
