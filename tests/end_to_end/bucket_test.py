"""A run whose workdir lies in a bucket is the run of a folder.

The bucket is `bucket_server.py`'s: no cloud was asked.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.end_to_end import bucket_server

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore:the load_module"),
]

pytest.importorskip("gcsfs", reason="needs the extra gcs")

WORKDIR = "gs://bucket/runs/tiny"


@pytest.fixture
def store(monkeypatch):
  """An empty bucket that the commands of a test are sent to."""
  with bucket_server.serve() as (url, store):
    for client in ("STORAGE_EMULATOR_HOST", "TENSORSTORE_GCS_HTTP_URL"):
      monkeypatch.setenv(client, url)
    # gcsfs asks Google itself what kind of bucket it is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    yield store


def copied(store, folder: pathlib.Path) -> pathlib.Path:
  """The run as a folder on the disk."""
  for name, held in store.objects.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(held.data)
  return folder / "runs" / "tiny"


def test_a_killed_run_goes_on_from_the_bucket(
  bitzero, experiment, straight, same, store, tmp_path
):
  command = ["train", f"--config={experiment}", f"--workdir={WORKDIR}"]
  process = subprocess.Popen(
    [sys.executable, "-m", "bitzero_jax.main", *command],
    env=dict(os.environ),
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  whole = "runs/tiny/checkpoints/2/commit_success.txt"
  while whole not in store.objects and process.poll() is None:
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  said = process.communicate()[1]
  assert process.returncode == -signal.SIGKILL, said

  again = bitzero(*command)
  assert again.returncode == 0, again.stderr
  assert "resuming after round" in again.stderr
  assert f"report: {WORKDIR}/report.html\n" in again.stderr
  folder = copied(store, tmp_path)
  same(folder, straight)
  assert "<html" in (folder / "report.html").read_text()
  assert list((folder / "tensorboard").iterdir())


def test_a_checkpoint_that_is_not_complete_is_not_read(
  bitzero, experiment, straight, same, store, tmp_path
):
  command = [f"--config={experiment}", f"--workdir={WORKDIR}"]
  done = bitzero("train", *command)
  assert done.returncode == 0, done.stderr
  del store.objects["runs/tiny/checkpoints/6/commit_success.txt"]
  again = bitzero("train", *command)
  assert again.returncode == 0, again.stderr
  assert "resuming after round 4\n" in again.stderr
  same(copied(store, tmp_path), straight)

  sat = bitzero("evaluate", f"--workdir={WORKDIR}", "--suite=heldout", "--save")
  assert sat.returncode == 0, sat.stderr
  assert "runs/tiny/evaluations/heldout.json" in store.objects
  drawn = bitzero("report", f"--workdir={WORKDIR}")
  assert drawn.returncode == 0, drawn.stderr


@pytest.mark.parametrize(
  ("workdir", "said"),
  [
    ("gs://nowhere/run", "there is no bucket 'nowhere'"),
    ("gs://bucket", "must be gs://BUCKET/FOLDER"),
    ("gs://bucket/thesis", "is not empty and holds no BitZero run"),
  ],
)
def test_what_cannot_hold_a_run_is_refused(
  bitzero, experiment, store, workdir, said
):
  store.write("thesis/thesis.tex", b"mine", None)
  done = bitzero("train", f"--config={experiment}", f"--workdir={workdir}")
  assert done.returncode == 2, done.stderr
  line = done.stderr.splitlines()[-1]
  assert line.startswith(f"bitzero: --workdir={workdir}") and said in line
  assert list(store.objects) == ["thesis/thesis.tex"]
