"""Checkpoints of the whole loop state: asynchronous, the last and the best."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers as managers

from bitzero_jax.runtime import bucket, orphans
from bitzero_jax.runtime.digest import digest

FOLDER = "checkpoints"
T = TypeVar("T")
_DIGEST = "digest_by_path"  # of the state, in a checkpoint's own metadata
_METADATA = "_CHECKPOINT_METADATA"  # orbax's name of that file
_COMMITTED = "commit_success.txt"  # its last file, in a bucket


class CheckpointError(OSError):
  """A checkpoint could not be written, or what was written cannot be read."""


class Checkpoints:
  """Saves and restores one pytree by round.

  A save that a kill interrupts is never seen by a later restore: orbax writes
  to a temporary folder and renames it when all is on disk. What it left is
  gone when the folder is open to write again.
  """

  def __init__(self, workdir: Path, *, create: bool = True):
    """Opens `workdir`/checkpoints; `create=False` only reads.

    Raises:
      FileNotFoundError: `create` is False and there is no such folder.
      OSError: what a kill left cannot be deleted.
    """
    folder = bucket.absolute(workdir) / FOLDER
    if not create and not folder.is_dir():
      raise FileNotFoundError(f"{folder} does not exist: nothing was trained")
    keep = managers.AnyPreservationPolicy(
      [
        managers.LatestN(2),
        managers.BestN(
          get_metric_fn=lambda metrics: metrics["score"],
          n=1,
          keep_checkpoints_without_metrics=False,
        ),
      ]
    )
    # Processes save together. Who only reads may be alone.
    here = jax.process_index()
    if create and here == 0:  # the others wait for it where orbax opens
      _delete_torn(folder)
    together = ocp.options.MultiprocessingOptions()
    alone = ocp.options.MultiprocessingOptions(
      primary_host=here, active_processes={here}
    )
    self._manager = ocp.CheckpointManager(
      folder,
      item_handlers=ocp.StandardCheckpointHandler(),
      options=ocp.CheckpointManagerOptions(
        create=create,
        preservation_policy=keep,
        best_fn=lambda metrics: metrics["score"],
        read_only=not create,
        multiprocessing_options=together if create else alone,
      ),
    )

  def save(self, step: int, state: Any, score: float | None) -> None:
    """Starts a save; `score` (higher is better) decides which one is best.

    Raises:
      CheckpointError: it, or one that was still under way, cannot be written.
    """
    if step in self._manager.all_steps():
      return
    # Whoever saves asks for the transfer, however orbax does it.
    with jax.transfer_guard("allow"):
      # Not tried: where this fails, a process is gone and no disk is at fault.
      bits = _digest(state)
      _trying(
        "a checkpoint cannot be written",
        lambda: self._manager.save(
          step,
          args=ocp.args.StandardSave(state),
          metrics=None if score is None else {"score": score},
          custom_metadata={_DIGEST: bits},
        ),
      )

  def last(self) -> int | None:
    """Round of the newest complete checkpoint, or None."""
    return self._manager.latest_step()

  def rounds(self) -> list[int]:
    """Rounds of all complete checkpoints, ascending."""
    return sorted(self._manager.all_steps())

  def forget_after(self, step: int) -> None:
    """Deletes the checkpoints of later rounds, which will be run again."""
    for later in self.rounds():
      if later > step:
        self._manager.delete(later)

  def best(self) -> int | None:
    """Round of the checkpoint with the highest score, or None."""
    return self._manager.best_step()

  def restore(self, step: int, like: Any) -> Any:
    """Reads a checkpoint.

    Args:
      step: round to read.
      like: a state of the same structure; its shapes, dtypes and shardings
        are what the result has.

    Raises:
      ValueError: the checkpoint has another structure.
      CheckpointError: it is damaged.
    """
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    saved = _reading(step, lambda: _shapes(self._manager.item_metadata(step)))
    if not saved:
      raise CheckpointError(f"{_damaged(step)}: nothing says what it holds")
    wanted = _shapes(shapes)
    # Asked first: a read that fails half-way leaves orbax in disorder.
    for path in sorted(saved.keys() | wanted.keys()):
      if saved.get(path) != wanted.get(path):
        raise ValueError(
          f"checkpoint {step} does not fit: {path} is {saved.get(path)} there, "
          f"{wanted.get(path)} here"
        )
    args = ocp.args.StandardRestore(shapes)
    state = _reading(step, lambda: self._manager.restore(step, args=args))
    self._check_bits(step, state)
    return state

  def read(self, step: int) -> dict[str, Any]:
    """Reads a checkpoint as nested dicts of arrays, whatever its shapes.

    They lie on this process's first device, whatever device they came from.

    Raises:
      CheckpointError: it is damaged.
    """
    state = _reading(step, lambda: self._read(step))
    self._check_bits(step, state)
    return state

  def _read(self, step: int) -> dict[str, Any]:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
      dict(self._manager.item_metadata(step)),
    )
    args = ocp.args.StandardRestore(shapes)
    return dict(self._manager.restore(step, args=args))

  def _check_bits(self, step: int, state: Any) -> None:
    # Of an earlier version there is no digest.
    due = (self._manager.metadata(step).custom_metadata or {}).get(_DIGEST)
    if due is not None and _digest(state) != due:
      raise CheckpointError(f"{_damaged(step)}: its bits have changed")

  def wait(self) -> None:
    """Blocks until every started save is on disk.

    Raises:
      CheckpointError: one cannot be written.
    """
    _trying("a checkpoint cannot be written", self._manager.wait_until_finished)

  def close(self) -> None:
    """Waits, then frees the writer; raises as `wait` does."""
    _trying("a checkpoint cannot be written", self._manager.close)


def _trying(what: str, act: Callable[[], T]) -> T:
  """Orbax and what is under it raise errors of every class, and long ones."""
  try:
    return act()
  except Exception as error:
    said = " ".join(str(error).split()) or repr(error)
    raise CheckpointError(f"{what}: {said[:200]}") from error


def _damaged(step: int) -> str:
  return f"checkpoint {step} cannot be read"


def _reading(step: int, act: Callable[[], T]) -> T:
  with orphans.unheard():
    return _trying(_damaged(step), act)


def _digest(state: Any) -> int:
  return int(digest(_by_path(state)))


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  return {path: tuple(leaf.shape) for path, leaf in _by_path(tree).items()}


def _by_path(tree: Any) -> dict[str, Any]:
  """Leaves by their paths, which records and dicts of the same have alike."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  names = ("key", "name", "idx")
  return {
    "/".join(
      str(next(getattr(k, n) for n in names if hasattr(k, n))) for k in path
    ): leaf
    for path, leaf in leaves
  }


def _delete_torn(folder: Path) -> None:
  """Deletes the saves that a kill cut off.

  Orbax would do it in a thread of its own, for which only a save waits: where a
  folder is closed without one and opened again, two threads delete the same, or
  the older one deletes a save that is under way.
  """
  for torn in folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"):
    epath.Path(torn).rmtree()  # of a folder and of an address


@contextlib.contextmanager
def opened(workdir: Path, *, create: bool = True) -> Iterator[Checkpoints]:
  """`Checkpoints`, closed at the end."""
  checkpoints = Checkpoints(workdir, create=create)
  try:
    yield checkpoints
  except BaseException:
    with contextlib.suppress(Exception):  # the first error is the one to tell
      checkpoints.close()
    raise
  checkpoints.close()


def held(workdir: Path) -> list[int]:
  """Rounds of a run's checkpoints, ascending, but for those without a head."""
  return [round_ for round_, head in _heads(workdir) if head]


def set_aside(workdir: Path) -> list[int]:
  """Puts checkpoints without a head away: orbax may open none beside them.

  A power cut may leave a file empty though its folder was renamed after it was
  written. Those before a whole one are old, and a kill cut their deletion off:
  it is done now. Only one process may do this, before any opens the folder.

  In a bucket objects are whole or not there, and orbax deletes what is not
  complete.

  Returns:
    The rounds that are now called N.damaged.
  """
  if bucket.is_address(workdir):
    return []
  heads = _heads(workdir)
  newest = max((round_ for round_, head in heads if head), default=-1)
  damaged = []
  for round_ in (round_ for round_, head in heads if not head):
    folder = workdir / FOLDER / str(round_)
    if round_ < newest:
      shutil.rmtree(folder)
    else:
      folder.replace(folder.with_name(f"{round_}.damaged"))
      damaged.append(round_)
  return damaged


def _heads(workdir: Path) -> list[tuple[int, bool]]:
  """Each round, and whether its checkpoint says what it is."""
  folder = workdir / FOLDER
  names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
  found = []
  for round_ in sorted(int(name) for name in names if name.isdigit()):
    inside = folder / str(round_)
    try:
      head = json.loads((inside / _METADATA).read_text())
    except (OSError, ValueError):
      head = None
    # A folder gets its name when it is complete; there are none in a bucket.
    if bucket.is_address(workdir) and not (inside / _COMMITTED).exists():
      head = None
    found.append((round_, isinstance(head, dict)))
  return found
