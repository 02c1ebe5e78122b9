"""A file that is written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def check(path: Path) -> None:
  """Asks, before any work, whether a file can be written there.

  Raises:
    ValueError: it is a folder, or lies in none that can be written.
  """
  if path.is_dir():
    raise ValueError(f"--out={path} is a folder")
  if not path.parent.is_dir():
    raise ValueError(f"--out={path}: {path.parent} is not a folder")
  if not os.access(path.parent, os.W_OK | os.X_OK):
    raise ValueError(f"--out={path}: {path.parent} cannot be written")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
  """A path to write to, which becomes `path` at the end; on an error, nothing.

  An older file at `path` stays until then.
  """
  unfinished = path.with_name(f"{path.name}.unfinished")
  try:
    yield unfinished
    os.replace(unfinished, path)
  finally:
    unfinished.unlink(missing_ok=True)
