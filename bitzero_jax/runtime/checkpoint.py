"""Checkpoints of the whole loop state: asynchronous, the last and the best."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as managers

FOLDER = "checkpoints"


class Checkpoints:
  """Saves and restores one pytree by round.

  A save that a kill interrupts is never seen by a later restore: orbax writes
  to a temporary folder and renames it when all is on disk.
  """

  def __init__(self, workdir: Path, *, create: bool = True):
    """Opens `workdir`/checkpoints; `create=False` only reads.

    Raises:
      FileNotFoundError: `create` is False and there is no such folder.
    """
    folder = Path(workdir).absolute() / FOLDER
    if not create and not folder.is_dir():
      raise FileNotFoundError(f"{folder} does not exist: nothing was trained")
    self._folder = folder
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
    self._manager = ocp.CheckpointManager(
      folder,
      item_handlers=ocp.StandardCheckpointHandler(),
      options=ocp.CheckpointManagerOptions(
        create=create,
        preservation_policy=keep,
        best_fn=lambda metrics: metrics["score"],
        read_only=not create,
      ),
    )

  def save(self, step: int, state: Any, score: float | None) -> None:
    """Starts a save; `score` (higher is better) decides which one is best."""
    if step in self._manager.all_steps():
      return
    self._manager.save(
      step,
      args=ocp.args.StandardSave(state),
      metrics=None if score is None else {"score": score},
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
    """
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    saved = _shapes(self._manager.item_metadata(step))
    wanted = _shapes(shapes)
    # Asked first: a read that fails half-way leaves orbax in disorder.
    for path in sorted(saved.keys() | wanted.keys()):
      if saved.get(path) != wanted.get(path):
        raise ValueError(
          f"checkpoint {step} does not fit: {path} is {saved.get(path)} there, "
          f"{wanted.get(path)} here"
        )
    return self._manager.restore(step, args=ocp.args.StandardRestore(shapes))

  def read(self, step: int) -> dict[str, Any]:
    """Reads a checkpoint as nested dicts of arrays, whatever its shapes.

    They lie on this process's first device, whatever device they came from.

    Raises:
      ValueError: its files are broken, or were cut short.
    """
    try:
      return self._read(step)
    except Exception as error:  # tensorstore has no one class for what it finds
      raise ValueError(
        f"{self._folder / str(step)} is broken, or was cut short"
      ) from error

  def _read(self, step: int) -> dict[str, Any]:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
      dict(self._manager.item_metadata(step)),
    )
    args = ocp.args.StandardRestore(shapes)
    return dict(self._manager.restore(step, args=args))

  def wait(self) -> None:
    """Blocks until every started save is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits, then frees the writer."""
    self._manager.close()


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  """Shape of each leaf by its path; records and dicts have the same paths."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  names = ("key", "name", "idx")
  return {
    "/".join(
      str(next(getattr(k, n) for n in names if hasattr(k, n))) for k in path
    ): tuple(leaf.shape)
    for path, leaf in leaves
  }


@contextlib.contextmanager
def opened(workdir: Path, *, create: bool = True) -> Iterator[Checkpoints]:
  """`Checkpoints`, closed at the end."""
  checkpoints = Checkpoints(workdir, create=create)
  try:
    yield checkpoints
  finally:
    checkpoints.close()


def held(workdir: Path) -> list[int]:
  """Rounds of a run's checkpoints, ascending; opens nothing for writing."""
  try:
    with opened(workdir, create=False) as checkpoints:
      return checkpoints.rounds()
  except FileNotFoundError:
    return []
