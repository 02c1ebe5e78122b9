"""What was saved comes back, bit for bit, or not at all."""

import functools
import os
import shutil
import subprocess
import sys
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.runtime import checkpoint, orphans


def state(seed=0):
  """Every kind of leaf that a run has."""
  key = jax.random.key(seed)
  return {
    "params": {
      "kernel": jax.random.normal(key, (64, 32)),
      "half": jax.random.normal(key, (5,)).astype(jnp.bfloat16),
    },
    "key": jax.random.key_data(key),
    "round": jnp.int32(seed),
    "odd": jnp.array([jnp.nan, jnp.inf, -0.0]),
    "flags": jnp.array([True, False]),
  }


def assert_same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert a.dtype == b.dtype
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_every_bit_comes_back(tmp_path):
  with checkpoint.opened(tmp_path) as checkpoints:
    assert checkpoints.last() is None
    assert checkpoints.best() is None
    checkpoints.save(3, state(1), None)
    checkpoints.wait()
    assert_same(checkpoints.restore(3, state(0)), state(1))
  with checkpoint.opened(tmp_path, create=False) as checkpoints:
    assert checkpoints.last() == 3
    assert_same(checkpoints.restore(3, state(0)), state(1))
    assert_same(checkpoints.read(3), state(1))


def test_a_save_holds_what_was_given_though_its_buffers_go_on(tmp_path):
  """A round donates its state, while the save may still be under way."""

  @functools.partial(jax.jit, donate_argnums=0)
  def move(x):
    return jax.tree.map(lambda leaf: leaf + 1, x)

  live = {"big": jnp.zeros(4_000_000), "small": jnp.zeros(3)}
  with checkpoint.opened(tmp_path) as checkpoints:
    for number in (0, 1):
      checkpoints.save(number, live, None)
      live = jax.block_until_ready(move(live))
      like = live
    checkpoints.wait()
    for number in (0, 1):
      back = checkpoints.restore(number, like)
      for leaf in jax.tree.leaves(back):
        np.testing.assert_array_equal(leaf, number)


def test_the_last_two_and_the_best_are_kept(tmp_path):
  scores = {1: 0.2, 2: 0.9, 3: 0.4, 4: 0.3, 5: None}
  with checkpoint.opened(tmp_path) as checkpoints:
    for number, score in scores.items():
      checkpoints.save(number, state(number), score)
    checkpoints.wait()
    assert checkpoints.last() == 5
    assert checkpoints.best() == 2
  with checkpoint.opened(tmp_path, create=False) as checkpoints:
    assert (checkpoints.last(), checkpoints.best()) == (5, 2)
    assert_same(checkpoints.restore(2, state()), state(2))
  kept = {p.name for p in (tmp_path / checkpoint.FOLDER).iterdir()}
  assert kept == {"2", "4", "5"}


def test_a_round_is_saved_once(tmp_path):
  with checkpoint.opened(tmp_path) as checkpoints:
    checkpoints.save(1, state(1), None)
    checkpoints.save(1, state(2), None)
    checkpoints.wait()
    assert_same(checkpoints.restore(1, state()), state(1))


def test_a_torn_save_is_never_seen(tmp_path):
  with checkpoint.opened(tmp_path) as checkpoints:
    checkpoints.save(1, state(1), None)
  torn = tmp_path / checkpoint.FOLDER / "2.orbax-checkpoint-tmp"
  (torn / "default").mkdir(parents=True)
  for create in (False, True):
    with checkpoint.opened(tmp_path, create=create) as checkpoints:
      # Gone at once: whoever deleted it later could meet the next save of 2.
      assert torn.exists() is not create
      assert checkpoints.last() == 1
      assert_same(checkpoints.restore(1, state()), state(1))
  with checkpoint.opened(tmp_path) as checkpoints:
    checkpoints.save(2, state(2), None)
    checkpoints.wait()
    assert_same(checkpoints.restore(2, state()), state(2))


def test_what_fails_at_the_end_is_told_as_elsewhere(tmp_path, monkeypatch):
  with (
    pytest.raises(checkpoint.CheckpointError, match="be written: disk full"),
    checkpoint.opened(tmp_path) as checkpoints,
  ):
    close = checkpoints._manager.close

    def fail():
      close()
      raise OSError("disk full")

    monkeypatch.setattr(checkpoints._manager, "close", fail)


def without(name):
  return {k: v for k, v in state().items() if k != name}


@pytest.mark.parametrize(
  "like",
  [
    without("odd"),
    state() | {"more": jnp.zeros(3)},
    state() | {"flags": jnp.zeros(3, bool)},
  ],
  ids=["less", "more", "wider"],
)
def test_another_structure_is_refused(tmp_path, like):
  with checkpoint.opened(tmp_path) as checkpoints:
    checkpoints.save(1, state(1), None)
    checkpoints.wait()
    with pytest.raises(ValueError, match="checkpoint 1 does not fit"):
      checkpoints.restore(1, like)


def test_reading_makes_no_folder(tmp_path):
  with pytest.raises(FileNotFoundError, match="nothing was trained"):
    checkpoint.Checkpoints(tmp_path, create=False)
  assert list(tmp_path.iterdir()) == []


def test_rounds_are_told_without_a_trace(tmp_path):
  assert checkpoint.held(tmp_path / "nothing") == []
  assert not (tmp_path / "nothing").exists()
  with checkpoint.opened(tmp_path) as checkpoints:
    checkpoints.save(2, state(1), None)
    checkpoints.save(7, state(2), None)
  assert checkpoint.held(tmp_path) == [2, 7]


def test_later_rounds_are_forgotten_and_saved_again(tmp_path):
  with checkpoint.opened(tmp_path) as checkpoints:
    for step in (2, 7):
      checkpoints.save(step, state(step), None)
    checkpoints.wait()
    checkpoints.forget_after(7)
    assert checkpoints.rounds() == [2, 7]
    checkpoints.forget_after(2)
    assert checkpoints.last() == 2
    checkpoints.save(7, state(8), None)
    checkpoints.wait()
    again = checkpoints.restore(7, state(0))
  for got, due in zip(
    jax.tree.leaves(again), jax.tree.leaves(state(8)), strict=True
  ):
    np.testing.assert_array_equal(got, due)


def test_what_another_machine_saved_can_be_read(tmp_path):
  """A run of a GPU is opened on a laptop: the device that wrote is not here."""
  program = (
    "import sys, jax\n"
    "from pathlib import Path\n"
    "from bitzero_jax.runtime import checkpoint\n"
    "x = jax.device_put(jax.numpy.arange(3.0), jax.devices()[1])\n"
    "with checkpoint.opened(Path(sys.argv[1])) as checkpoints:\n"
    "  checkpoints.save(1, {'params': {'x': x}}, None)\n"
  )
  flags = "--xla_force_host_platform_device_count=2"
  subprocess.run(
    [sys.executable, "-c", program, str(tmp_path)],
    env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    check=True,
  )
  with checkpoint.opened(tmp_path, create=False) as checkpoints:
    read = checkpoints.read(1)
  np.testing.assert_array_equal(read["params"]["x"], [0.0, 1.0, 2.0])


def test_what_has_no_head_is_put_away(tmp_path):
  folder = tmp_path / checkpoint.FOLDER
  with checkpoint.opened(tmp_path) as checkpoints:
    for step in (2, 7):
      checkpoints.save(step, state(step), None)
  shutil.copytree(folder / "7", folder / "9")
  for step in (2, 9):  # a deletion that was cut off, and a power cut
    (folder / str(step) / "_CHECKPOINT_METADATA").write_text("")
  assert checkpoint.held(tmp_path) == [7]
  assert checkpoint.set_aside(tmp_path) == [9]
  assert {p.name for p in folder.iterdir()} == {"7", "9.damaged"}
  assert checkpoint.set_aside(tmp_path) == []
  with checkpoint.opened(tmp_path) as checkpoints:
    assert checkpoints.last() == 7


READS = pytest.mark.parametrize(
  "read",
  [
    lambda checkpoints: checkpoints.restore(1, state(0)),
    lambda checkpoints: checkpoints.read(1),
  ],
  ids=["restore", "read"],
)


@READS
def test_changed_bits_are_noticed(tmp_path, read):
  with checkpoint.opened(tmp_path) as checkpoints:
    checkpoints.save(1, state(1), None)
  largest = max(
    (p for p in tmp_path.rglob("*") if p.is_file()),
    key=lambda p: p.stat().st_size,
  )
  held = bytearray(largest.read_bytes())
  held[len(held) // 2] ^= 1
  largest.write_bytes(bytes(held))
  with (
    checkpoint.opened(tmp_path, create=False) as checkpoints,
    pytest.raises(checkpoint.CheckpointError, match="checkpoint 1 cannot"),
  ):
    read(checkpoints)


@READS
def test_numbers_that_can_be_read_and_are_others_are_noticed(
  tmp_path, monkeypatch, read
):
  with checkpoint.opened(tmp_path) as checkpoints:
    with monkeypatch.context() as patched:
      patched.setattr(checkpoint, "digest", lambda _: 8)
      checkpoints.save(1, state(1), None)
    checkpoints.wait()
    with pytest.raises(checkpoint.CheckpointError, match="its bits have chan"):
      read(checkpoints)


class Record(NamedTuple):
  """Its fields do not stand in the order of their names."""

  second: dict[str, jax.Array]
  first: tuple[jax.Array, jax.Array]


def test_a_record_and_the_dicts_that_are_read_have_one_digest(tmp_path):
  saved = Record({"b": jnp.arange(3), "a": jnp.ones(2)}, (jnp.zeros(()),) * 2)
  with checkpoint.opened(tmp_path / "record") as checkpoints:
    checkpoints.save(1, saved, None)
    checkpoints.wait()
    read = checkpoints.read(1)
  with checkpoint.opened(tmp_path / "dicts") as checkpoints:
    checkpoints.save(1, read, None)
    checkpoints.wait()
    assert_same(checkpoints.restore(1, saved), saved)


def test_a_checkpoint_that_was_cut_short_is_refused_in_one_line(tmp_path):
  """In a process of its own, whose last threads may end late."""
  program = (
    "import sys, time\n"
    "import jax.numpy as jnp\n"
    "from pathlib import Path\n"
    "from bitzero_jax.runtime import checkpoint\n"
    "workdir = Path(sys.argv[1])\n"
    "state = {str(n): jnp.full((64, 64), n) for n in range(40)}\n"
    "with checkpoint.opened(workdir) as checkpoints:\n"
    "  checkpoints.save(3, state, None)\n"
    "for path in (workdir / checkpoint.FOLDER / '3').rglob('d/*'):\n"
    "  path.write_bytes(path.read_bytes()[:-10000])\n"
    "for number in range(6):\n"
    "  with checkpoint.opened(workdir, create=False) as checkpoints:\n"
    "    try:\n"
    "      if number % 2:\n"
    "        checkpoints.read(3)\n"
    "      checkpoints.restore(3, state)\n"
    "    except checkpoint.CheckpointError as error:\n"
    "      print(error)\n"
    "time.sleep(0.5)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", program, str(tmp_path)],
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    check=True,
  )
  lines = done.stdout.splitlines()
  assert len(lines) == 6
  assert all(x.startswith("checkpoint 3 cannot be read: ") for x in lines)
  assert "Event loop" not in done.stderr


def test_only_reads_of_a_closed_loop_are_kept_quiet(monkeypatch):
  told = []
  monkeypatch.setattr(sys, "unraisablehook", told.append)

  def report(error):
    sys.unraisablehook(types.SimpleNamespace(exc_value=error))

  with orphans.unheard():
    report(RuntimeError("Event loop is closed"))
    report(RuntimeError("other"))
    report(ValueError("Event loop is closed"))
  assert [str(x.exc_value) for x in told] == ["other", "Event loop is closed"]
  report(RuntimeError("Event loop is closed"))
  assert len(told) == 3
  for _ in range(2):
    with pytest.raises(KeyError), orphans.unheard():
      raise KeyError
  report(RuntimeError("Event loop is closed"))  # those that come late
  report(RuntimeError("other"))
  assert len(told) == 4
