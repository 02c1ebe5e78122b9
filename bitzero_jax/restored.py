"""What a run left: its config, and the weights of a checkpoint."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from bitzero_jax import config as config_lib
from bitzero_jax.export.model import transformer
from bitzero_jax.models import leaves
from bitzero_jax.runtime import bucket, checkpoint, workdir
from bitzero_jax.state import Start

_LOG = logging.getLogger(__name__)

# What the weights fit, and what the exam is drawn from: a run that begins with
# another's weights must bar the behaviours that the other was barred from.
_SHARED = (
  "seed",
  "model",
  "language.weights",
  "language.pairs",
  "language.shown",
  "language.hidden",
  "language.spare",
  "heldout.candidates",
  "heldout.tasks",
  "heldout.weights",
  "heldout.bar_share",
  "heldout.output_share",
)


class Restored(NamedTuple):
  """What a workdir's checkpoint holds.

  Attributes:
    config: the run's frozen config.
    params: latent parameters.
    round: the checkpoint's round.
  """

  config: Any
  params: Any
  round: int


def restore(folder: Path, which: str) -> Restored:
  """Restores the "last" or the "best" checkpoint of a run.

  Raises:
    ValueError: the folder holds no run, or no checkpoint yet, or one that is
      not of its config.
    CheckpointError: it is damaged.

  Warns of the keys that its config lacks, and takes their defaults.
  """
  return _restore(folder, which, f"--workdir={folder}")


def _restore(folder: Path, which: str, named: str) -> Restored:
  """The same, where errors call the folder what the user called it."""
  config, missing = config_lib.of_a_run(workdir.read_config(folder))
  if missing:
    _LOG.warning(
      "%s is of an earlier version; defaults are taken for %s",
      folder,
      ", ".join(missing),
    )
  with checkpoint.opened(folder, create=False) as checkpoints:
    number = checkpoints.last() if which == "last" else checkpoints.best()
    if number is None and checkpoints.last() is not None:
      raise ValueError(
        f"{named} holds no best checkpoint yet: none was evaluated "
        "with its final precision; --checkpoint=last is there"
      )
    if number is None:
      raise ValueError(f"{named} holds no checkpoint yet")
    try:
      params = checkpoints.read(number)["params"]
    except checkpoint.CheckpointError as error:
      raise checkpoint.CheckpointError(f"{named}: its {error}") from error
  _check_leaves(named, config, params["model"])
  return Restored(config, params, number)


def _check_leaves(named: str, config: Any, params: Any) -> None:
  flat: dict[str, Any] = traverse_util.flatten_dict(dict(params), sep="/")
  found = {path: leaf.shape for path, leaf in flat.items()}
  try:
    leaves.check(transformer(config), found)
  except ValueError as error:
    raise ValueError(f"{named}: its checkpoint {error}") from None


def start(config: Any) -> Start | None:
  """What a run begins with, of the run that `config.start` names.

  Args:
    config: validated, of one seed.

  Returns:
    The last checkpoint's, without what quantizers or an optimizer learned;
    None where no start is named.

  Raises:
    ValueError: there is no such run, or its model or its exam is another one.
  """
  if not config.start:
    return None
  folder = bucket.locate(config.start)
  if not workdir.is_run(folder):
    folder = workdir.of_seed(folder, config.seed)
  if not workdir.is_run(folder):
    raise ValueError(
      f"start={config.start!r} holds no BitZero run of seed {config.seed}"
    )
  held = _restore(folder, "last", f"start={str(folder)!r}")
  for path in _SHARED:
    _same(config, held.config, path, folder)
  _same_level(config, held.config, folder)
  return Start(jax.device_get(held.params["model"]), np.int32(held.round))


def _same(config: Any, other: Any, path: str, folder: Path) -> None:
  mine, its = config, other
  for name in path.split("."):
    mine, its = mine[name], its[name]
  if mine != its:
    raise ValueError(
      f"{path}={mine!r} must be that of start={str(folder)!r}, {its!r}"
    )


def _same_level(config: Any, other: Any, folder: Path) -> None:
  mine, its = config.language.levels[-1], other.language.levels[-1]
  if mine != its:
    raise ValueError(
      f"language.levels must end with {its!r}, as start={str(folder)!r} does, "
      f"not with {mine!r}: its exam was another one"
    )
