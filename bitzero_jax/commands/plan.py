"""`bitzero plan`: does a round fit a TPU slice that is not here?"""

import argparse
import json
from collections.abc import Sequence

from bitzero_jax import arguments


def run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints each trial; returns the exit status, 1 where nothing fits."""
  config = arguments.read_config(options.config, overrides)
  with arguments.bad_input():
    from bitzero_jax.plan import search, table, topology

    if options.tries < 1 or options.timeout < 1:
      raise ValueError(
        f"--tries={options.tries} and --timeout={options.timeout} must be at "
        "least 1"
      )
    where = topology.parse(options.topology)
    search.need_libtpu()
    fits = False
    for trial in search.search(
      config, where, options.tries, options.timeout, arguments.say
    ):
      fits = trial.fits
      if options.json:
        print(json.dumps(table.record(config.name, trial)), flush=True)
      else:
        print("\n".join([*table.lines(config.name, trial), ""]), flush=True)
  return 0 if fits else 1
