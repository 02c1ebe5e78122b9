"""A workdir in a bucket of Google Cloud Storage, through etils.epath.

There an address has the methods of a folder, and what is written whole is
written as on a disk. But objects take no further lines: files that grow lie in
a folder of this machine, and are copied whole at each save.
"""

import contextlib
import errno
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

PREFIX = "gs://"


def locate(text: str | os.PathLike[str]) -> Path:
  """The folder of a run, or an address that is used like one.

  Raises:
    ValueError: an address of another kind, or the client of the bucket is not
      installed.
  """
  text = os.fspath(text)
  if "://" not in text:
    return Path(text)
  if not text.startswith(PREFIX):
    raise ValueError(f"--workdir={text} must be a folder or gs://BUCKET/FOLDER")
  if importlib.util.find_spec("gcsfs") is None:
    raise ValueError(
      f"--workdir={text} needs gcsfs: pip install 'bitzero-jax[gcs]'"
    )
  from etils import epath

  return cast(Path, epath.Path(text))


def is_address(folder: Path) -> bool:
  """Whether a folder lies in a bucket."""
  return str(folder).startswith(PREFIX)


def absolute(folder: Path) -> Path:
  """From the root of the disk; an address is."""
  return folder if is_address(folder) else folder.absolute()


def check(folder: Path) -> None:
  """Asks for the bucket of an address.

  Raises:
    ValueError: it cannot be reached, or there is none.
  """
  name, _, inner = str(folder).removeprefix(PREFIX).partition("/")
  if not inner:
    raise ValueError(f"--workdir={folder} must be gs://BUCKET/FOLDER")
  try:
    with telling(folder):
      found = locate(PREFIX + name).exists()
  except OSError as error:
    raise ValueError(f"--workdir={folder}: {error.strerror}") from None
  if not found:
    raise ValueError(f"--workdir={folder}: there is no bucket {name!r}")


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
  """Turns what the client of a bucket raises, of any class, into `OSError`."""
  try:
    yield
  except Exception as error:
    if not is_address(path):
      raise
    said = " ".join(str(error).split()) or repr(error)
    raise OSError(errno.EIO, said[:200], str(path)) from error


class Spool:
  """Where the files of a run grow. Use as a context manager.

  Attributes:
    here: a folder on this machine: the run's own, or one that stands for it.
  """

  def __init__(self, folder: Path, files: Sequence[str]):
    """Brings those of `files` that the run has."""
    self._folder = folder
    self._stands_in: tempfile.TemporaryDirectory[str] | None = None
    self._copied: dict[Path, int] = {}
    self.here = folder
    if not is_address(folder):
      return
    self._stands_in = tempfile.TemporaryDirectory(prefix="bitzero-")
    self.here = Path(self._stands_in.name)
    for name in files:
      with telling(folder / name):
        if (folder / name).is_file():
          (self.here / name).write_bytes((folder / name).read_bytes())

  def copy(self) -> None:
    """Copies what has grown to the bucket; a folder has it already.

    Raises:
      OSError: it cannot be written there.
    """
    if self._stands_in is None:
      return
    for path in sorted(p for p in self.here.rglob("*") if p.is_file()):
      data = path.read_bytes()
      if self._copied.get(path) == len(data):
        continue
      there = self._folder / path.relative_to(self.here).as_posix()
      with telling(there):
        there.write_bytes(data)
      self._copied[path] = len(data)

  def __enter__(self) -> "Spool":
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
    if self._stands_in is None:
      return
    # The first error is the one to tell.
    told = contextlib.suppress(*([OSError] if kind else []))
    with self._stands_in, told:
      self.copy()
