"""`bitzero export`: a model leaves as a file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bitzero_jax import arguments


def run(options: argparse.Namespace, _: Sequence[str]) -> int:
  """Writes the file and prints what it holds; returns the exit status."""
  with arguments.bad_input():
    from bitzero_jax import shipped

    out, kinds = Path(options.out), (options.type, options.embedding)
    shipped.check(options.format, out, *kinds)
    model = shipped.open_model(
      options.workdir, options.checkpoint or "last", options.model
    )
    write = {
      "gbnf": shipped.write_gbnf,
      "gguf": shipped.write_gguf,
      "huggingface": shipped.write_huggingface,
      "packed": shipped.write_packed,
    }[options.format]
    for line in write(model, out, *kinds):
      print(line)
  return 0
