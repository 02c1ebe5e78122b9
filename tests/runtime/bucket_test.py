"""What is said of an address before any cloud is asked, and files that grow."""

import errno
from pathlib import Path, PurePosixPath

import pytest

from bitzero_jax.runtime import bucket


class Object(PurePosixPath):
  """As much of an address as the spool asks for; a dict is the bucket."""

  held: dict[str, bytes]

  def __str__(self):
    return "gs:/" + super().__str__()

  def is_file(self):
    return str(self) in self.held

  def read_bytes(self):
    return self.held[str(self)]

  def write_bytes(self, data):
    if data == b"refused\n":
      raise RuntimeError("who\n are you?")
    self.held[str(self)] = data


@pytest.fixture
def folder():
  Object.held = {}
  return Object("/bucket/run")


def test_a_folder_is_a_folder(tmp_path):
  assert bucket.locate("runs/demo") == Path("runs/demo")
  assert not bucket.is_address(tmp_path)
  with bucket.Spool(tmp_path, ["lines"]) as spool:
    assert spool.here == tmp_path
    spool.copy()
  assert not list(tmp_path.iterdir())


def test_only_one_kind_of_address_is_known():
  with pytest.raises(ValueError, match="=s3://b/r must be a folder or gs://"):
    bucket.locate("s3://b/r")


def test_without_a_client_it_says_what_to_install(monkeypatch):
  monkeypatch.setattr(bucket.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ValueError, match=r"pip install 'bitzero-jax\[gcs\]'"):
    bucket.locate("gs://bucket/run")


def test_what_grows_is_brought_and_copied_back_whole(folder):
  Object.held["gs://bucket/run/lines"] = b"1\n"
  with bucket.Spool(folder, ["lines", "more"]) as spool:
    assert [path.name for path in spool.here.iterdir()] == ["lines"]
    with (spool.here / "lines").open("ab") as file:
      file.write(b"2\n")
    (spool.here / "events").mkdir()
    (spool.here / "events" / "a").write_bytes(b"x")
    spool.copy()
    assert Object.held["gs://bucket/run/lines"] == b"1\n2\n"
    (spool.here / "lines").write_bytes(b"1\n2\n3\n")
  assert Object.held == {
    "gs://bucket/run/lines": b"1\n2\n3\n",
    "gs://bucket/run/events/a": b"x",
  }
  assert not spool.here.exists()


def test_what_a_client_raises_names_the_object(folder):
  with bucket.Spool(folder, []) as spool:
    path = spool.here / "lines"
    path.write_bytes(b"refused\n")
    with pytest.raises(OSError, match="who are you") as told:
      spool.copy()
    path.unlink()
  assert told.value.errno == errno.EIO
  assert told.value.filename == "gs://bucket/run/lines"
