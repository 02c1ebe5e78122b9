"""What the entries of a tuple may be, whatever their number and order."""

import sys
from typing import Any

from bitzero_jax.config_checks.require import get, require


def _whole(entry: Any) -> bool:
  return type(entry) is int  # True is an int, and no count


def _number(entry: Any) -> bool:
  # Of either sign: no NaN, no infinity, no integer beyond what a float holds.
  return type(entry) in (int, float) and abs(entry) <= sys.float_info.max


def _name(entry: Any) -> bool:
  return isinstance(entry, str)


# Every field that is a tuple.
ENTRIES = {
  "profile.steps": (_whole, "whole numbers"),
  "language.levels": (_name, "names"),
  "language.widen_at": (_whole, "whole numbers"),
  "precision.planes": (_whole, "whole numbers"),
  "precision.planes_at": (_number, "finite numbers"),
  "precision.depths": (_whole, "whole numbers"),
  "curriculum.lengths": (_number, "finite numbers"),
  "learn.rows": (_whole, "whole numbers"),
  "practice.rows": (_whole, "whole numbers"),
}


def check_entries(config: Any) -> None:
  """No entry has a type that what follows could not compare."""
  for path, (fits, kind) in ENTRIES.items():
    value = get(config, path)
    for entry in value:
      require(fits(entry), f"{path}={value!r} must hold {kind}, not {entry!r}")
