"""A disk that is full or has changed what was written is told in one line."""

import shutil

import pytest

from bitzero_jax.runtime import checkpoint, metrics

# The way ml_collections reads an experiment file, on Python 3.11.
pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings("ignore:the load_module"),
]

# The command, which from the sixth update on may write no file past a size.
FULL = """
import pathlib, resource, sys, time
from bitzero_jax import main
from bitzero_jax.runtime import metrics

most = int(sys.argv[1])
folder = pathlib.Path(sys.argv[4].removeprefix("--workdir="))
write = metrics.MetricsWriter.write

def write_and_fill(self, at, values):
  write(self, at, values)
  if at == 6:
    while not (folder / "checkpoints" / "2").is_dir():
      time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

metrics.MetricsWriter.write = write_and_fill
sys.exit(main.main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
  ("most", "said", "last"),
  [
    (40_000, "a checkpoint cannot be written: ", 2),
    (8_000, "metrics.jsonl: File too large", 2),
    (1_000, "graded.jsonl: File too large", 2),
    (100_000, "a file of the run: File too large", 6),  # the report
  ],
  ids=["checkpoint", "metrics", "grades", "report"],
)
def test_a_full_disk_stops_the_run(
  bitzero, experiment, straight, same, tmp_path, most, said, last
):
  command = [f"--config={experiment}", f"--workdir={tmp_path / 'run'}"]
  done = bitzero(most, "train", *command, script=FULL)
  assert done.returncode == 1, done.stderr
  lines = done.stderr.splitlines()  # TensorBoard's thread may have the last
  (line,) = [line for line in lines if line.startswith("bitzero: ")]
  assert said in line
  assert f"the last good checkpoint is round {last}" in line
  assert max(checkpoint.held(tmp_path / "run")) == last
  written = metrics.read(tmp_path / "run" / "metrics.jsonl")
  assert [line["round"] for line in written][:3] == [1, 2, 3]

  again = bitzero("train", *command)  # the disk has room again
  assert again.returncode == 0, again.stderr
  assert f"resuming after round {last}\n" in again.stderr
  same(tmp_path / "run", straight)


def flip(folder):
  """A bit of the largest file."""
  path = max(
    (p for p in folder.rglob("*") if p.is_file()),
    key=lambda p: p.stat().st_size,
  )
  held = bytearray(path.read_bytes())
  held[len(held) // 2] ^= 1
  path.write_bytes(bytes(held))


def cut(folder):
  """Every file but the first bytes, as after a power cut."""
  for path in folder.rglob("*"):
    if path.is_file() and path.stat().st_size > 1000:
      path.write_bytes(path.read_bytes()[:100])


def empty(folder):
  for path in folder.rglob("*"):
    if path.is_file():
      path.write_bytes(b"")


@pytest.mark.parametrize(
  ("harm", "said"),
  [
    (flip, "checkpoint 6 cannot be read: "),
    (cut, "checkpoint 6 cannot be read: "),
    (empty, "checkpoint 6 cannot be read: it is set aside as 6.damaged"),
  ],
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_goes_on(
  bitzero, experiment, straight, same, tmp_path, harm, said
):
  folder = tmp_path / "run"
  shutil.copytree(straight, folder)
  harm(folder / "checkpoints" / "6")
  again = bitzero("train", f"--config={experiment}", f"--workdir={folder}")
  assert again.returncode == 0, again.stderr
  assert said in again.stderr
  assert "resuming after round 4\n" in again.stderr
  same(folder, straight)


def test_where_none_can_be_read_the_run_stops(
  bitzero, experiment, straight, tmp_path
):
  folder = tmp_path / "run"
  shutil.copytree(straight, folder)
  for number in checkpoint.held(folder):
    flip(folder / "checkpoints" / str(number))
  again = bitzero("train", f"--config={experiment}", f"--workdir={folder}")
  assert again.returncode == 1, again.stderr
  assert "no checkpoint can be read" in again.stderr.splitlines()[-1]
