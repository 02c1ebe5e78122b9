"""The model that a command is about."""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bitzero_jax import arguments


@contextlib.contextmanager
def opened(options: argparse.Namespace) -> Iterator[Any]:
  """The model that --model, or --workdir and --checkpoint, name."""
  from bitzero_jax import config as config_lib
  from bitzero_jax import trained

  if options.model is not None:
    with trained.unpacked(Path(options.model)) as model:
      yield model
    return
  which = options.checkpoint or "last"
  with trained.opened(options.workdir, which) as model:
    updates = model.round * model.config.learn.updates
    if not config_lib.settled(model.config, updates):
      arguments.say(
        f"round {model.round}: precision still moves, so these weights are not "
        "yet of the bits that the run will end with"
      )
    yield model


def is_gguf(options: argparse.Namespace) -> bool:
  """Whether --model is a file for llama.cpp, which says so in its first bytes.

  Raises:
    OSError: it cannot be read.
  """
  if options.model is None:
    return False
  with open(options.model, "rb") as file:
    return file.read(4) == b"GGUF"
