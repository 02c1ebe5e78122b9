"""The language of a run."""

from typing import Any

from bitzero_jax.config_checks.choices import LEVELS
from bitzero_jax.config_checks.require import require, within


def check_language(config: Any) -> None:
  """Levels, how they widen, and the pairs of a task."""
  language, propose = config.language, config.propose
  for level in language.levels:
    require(
      level in LEVELS,
      f"language.levels: {level!r} must be one of {', '.join(LEVELS)}",
    )
  by_rate = language.widen_rate > 0
  require(
    not (by_rate and language.widen_at),
    f"language.widen_at={language.widen_at} must be empty where "
    f"language.widen_rate={language.widen_rate} decides",
  )
  require(
    by_rate or len(language.levels) == len(language.widen_at) + 1,
    f"language.widen_at={language.widen_at} must hold one update for each of "
    f"language.levels={language.levels} but the first",
  )
  require(
    list(language.widen_at) == sorted(language.widen_at),
    f"language.widen_at={language.widen_at} must not decrease",
  )
  require(
    language.shown > 0 and language.hidden > 0,
    f"language.shown={language.shown} and language.hidden={language.hidden} "
    "must be at least 1",
  )
  require(
    language.shown + language.hidden <= language.pairs,
    f"language.shown + language.hidden = {language.shown + language.hidden} "
    f"must be at most language.pairs={language.pairs}",
  )
  require(
    language.spare >= 0, f"language.spare={language.spare} must not be negative"
  )
  within(config, "gate.outputs", 1, language.pairs)
  within(config, "probe.pair", 0, language.pairs - 1)
  require(
    language.widen_rate == 0
    or propose.measured > 0
    or max(propose.model_share, propose.edit_share) < 1,
    f"propose.measured={propose.measured} must be above 0 for "
    f"language.widen_rate={language.widen_rate}, which looks at the prior's "
    "tasks, where another share is 1",
  )
