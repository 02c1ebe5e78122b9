"""Names of curricula: the one row that a new variant adds."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bitzero_jax.curriculum import (
  azr,
  edits,
  learnability,
  length_matched,
  progress,
  proposer,
  random,
  trr,
  trr_kl,
)
from bitzero_jax.curriculum.base import Curriculum

_sfl = learnability.learnability

# Each with the keys of the config's `curriculum` that it reads.
CURRICULA: Mapping[str, tuple[Callable[..., Curriculum], tuple[str, ...]]] = (
  MappingProxyType(
    {
      "random": (random.random, ()),
      "random_novel": (random.random_novel, ()),
      "trr": (trr.trr, ("learnability", "refused")),
      "trr_kl": (trr_kl.trr_kl, ("learnability", "refused", "prior_kl")),
      "azr": (azr.azr, ()),
      "proposer": (proposer.proposer, ("learnability", "top_share")),
      "progress": (progress.progress, ("decay",)),
      "edits": (edits.edits, ()),
      "learnability": (
        functools.partial(_sfl, by_length=False),
        ("top_share", "random_share"),
      ),
      "learnability_by_length": (
        functools.partial(_sfl, by_length=True),
        ("top_share", "random_share"),
      ),
      "length_matched": (length_matched.length_matched, ("lengths",)),
    }
  )
)


def make(name: str, options: Mapping[str, Any]) -> Curriculum:
  """Makes a curriculum by name.

  Args:
    name: a name in the table.
    options: every key of the config's `curriculum`; it takes what it reads.

  Raises:
    ValueError: the name is unknown.
  """
  if name not in CURRICULA:
    allowed = ", ".join(CURRICULA)
    raise ValueError(f"unknown curriculum {name!r}, allowed: {allowed}")
  constructor, keys = CURRICULA[name]
  return constructor(**{key: options[key] for key in keys})
