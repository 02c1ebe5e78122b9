"""The whole config, section by section."""

from typing import Any

from bitzero_jax.config_checks.choices import CHOICES
from bitzero_jax.config_checks.entries import check_entries
from bitzero_jax.config_checks.language import check_language
from bitzero_jax.config_checks.precision import (
  check_groups,
  check_precision,
  check_product,
)
from bitzero_jax.config_checks.ranges import check_ranges
from bitzero_jax.config_checks.require import get, require
from bitzero_jax.config_checks.rounds import check_practice, check_rounds
from bitzero_jax.config_checks.sizes import check_mesh, check_model, check_seeds


def validate(config: Any) -> None:
  """Checks every field against the others, before any work is done.

  Raises:
    ValueError: one line that names the field, its value and what is allowed.
  """
  for path, allowed in CHOICES.items():
    value = get(config, path)
    require(
      value in allowed,
      f"{path}={value!r} must be one of {', '.join(allowed)}",
    )
  check_entries(config)  # what follows compares them
  check_ranges(config)  # what follows divides by some of them
  check_language(config)
  check_seeds(config)
  check_mesh(config)
  check_model(config)
  check_precision(config)
  check_groups(config)
  check_product(config)
  check_rounds(config)
  check_practice(config)
