"""`bitzero VERB ...`: hands over to whoever does it.

Bad input of any kind is one line on standard error and exit status 2, before
anything is written. A run that had to stop exits with 1.
"""

import logging
import sys
from collections.abc import Sequence

from bitzero_jax import arguments
from bitzero_jax.commands import (
  bench,
  evaluate,
  export,
  plan,
  report,
  solve,
  train,
  verify,
)
from bitzero_jax.commands.compiled import keep_compiled
from bitzero_jax.runtime import bucket

# Each imports JAX only once it runs, so that `verify` does without.
_VERBS = {
  "bench": bench.run,
  "evaluate": evaluate.run,
  "export": export.run,
  "plan": plan.run,
  "report": report.run,
  "solve": solve.run,
  "train": train.run,
  "verify": verify.run,
}


def main(words: Sequence[str] | None = None) -> int:
  """Entry point of the `bitzero` command; returns the exit status."""
  # orbax warns of what is meant to be so; what goes wrong is raised.
  logging.getLogger("absl").setLevel(logging.ERROR)
  parser = arguments.make_parser()
  options, rest = parser.parse_known_args(words)
  practises = getattr(options, "practice", None) is not None
  if practises and options.samples is not None:
    parser.error("--practice takes no --samples: time is its measure")
  overrides = rest if practises or "config" in options else []
  for text in rest:
    if text not in overrides and text.startswith("--config.practice."):
      parser.error(f"{text.partition('=')[0]} needs --practice=SECONDS")
    if text not in overrides or not text.startswith("--config."):
      parser.error(f"unknown argument {text!r}; see bitzero {options.verb} -h")
  if getattr(options, "workdir", None) is not None:
    with arguments.bad_input():
      options.workdir = bucket.locate(options.workdir)
  if "distributed" in options:
    arguments.check_distributed(options)
  if "model" in options:
    arguments.check_model(options)
  if options.verb != "verify" and getattr(options, "config", None) is None:
    from bitzero_jax import config as config_lib  # verify runs without JAX

    keep_compiled(config_lib.default().cache)
  try:
    return _VERBS[options.verb](options, overrides)
  except KeyboardInterrupt:  # training saves first, and does not come here
    sys.stderr.write("bitzero: interrupted\n")
    return 130


if __name__ == "__main__":
  raise SystemExit(main())
