"""The rows, updates and rounds of a run, and of a practice."""

import math
from typing import Any

from bitzero_jax.config_checks.choices import REINFORCED
from bitzero_jax.config_checks.require import get, require


def total_updates(config: Any) -> int:
  """Gradient updates in the whole run."""
  return config.rounds * config.learn.updates


def check_rounds(config: Any) -> None:
  """What a round takes, makes and learns from, and which rounds are special."""
  workers = config.executor.workers
  require(
    workers % 2 == 0,
    f"executor.workers={workers} must be even: two hash seeds",
  )
  for path in ("propose.candidates", "propose.measured"):
    rows = get(config, path)
    require(rows % 3 == 0, f"{path}={rows} must be a multiple of 3")
  _check_rows("learn.rows", config.learn.rows)
  _check_lengths(config.curriculum)
  _check_split(config)
  _check_stages(config)
  _check_profile(config)


def check_practice(config: Any) -> None:
  """The rows of a practice."""
  practice = config.practice
  _check_rows("practice.rows", practice.rows)
  require(
    sum(practice.rows) > 0,
    f"practice.rows={practice.rows} must hold a row count above 0",
  )
  require(
    practice.programs > 0 and practice.programs % 256 == 0,
    f"practice.programs={practice.programs} must be a multiple of 256",
  )


def _check_rows(path: str, rows: Any) -> None:
  require(
    len(rows) == 3 and all(count >= 0 for count in rows),
    f"{path}={rows} must be three row counts: D, A, I",
  )


def _check_lengths(curriculum: Any) -> None:
  lengths = curriculum.lengths
  require(
    all(weight >= 0 for weight in lengths),
    f"curriculum.lengths={lengths} must hold weights of at least 0",
  )
  require(
    curriculum.name != "length_matched" or sum(lengths) > 0,
    f"curriculum.lengths={lengths} must hold a weight above 0 for "
    "curriculum.name='length_matched'; `python -m bitzero_jax.evaluate.compare "
    "FOLDER --lengths ARM` prints those of a finished arm",
  )


def _check_split(config: Any) -> None:
  """Sampled rows are dealt out evenly to the updates and to the devices."""
  fresh, proposed = config.solve.fresh_rows, config.propose.candidates // 3
  require(
    0 < fresh <= proposed,
    f"solve.fresh_rows={fresh} must be in 1 ... propose.candidates / 3 = "
    f"{proposed}",
  )
  require(
    config.probe.method == "gold" or fresh == proposed,
    f"probe.method='samples' needs solve.fresh_rows={fresh} to be "
    f"propose.candidates / 3 = {proposed}",
  )
  require(
    config.probe.method == "gold" or config.propose.measured == 0,
    f"propose.measured={config.propose.measured} must be 0 for "
    "probe.method='samples', which solves what it measures",
  )
  require(
    config.probe.method == "gold" or config.curriculum.name != "progress",
    f"probe.method={config.probe.method!r} must be 'gold' for "
    "curriculum.name='progress', which compares two probes",
  )
  per_kind = fresh + config.solve.buffer_rows
  answers = per_kind * config.solve.samples
  reinforced = config.curriculum.name in REINFORCED
  share = config.propose.model_share if reinforced else 0.0
  written = 3 * round(config.propose.candidates * share / 3)
  for rows, what in (
    (answers, "(solve.fresh_rows + solve.buffer_rows) * solve.samples"),
    (written, "propose.candidates * propose.model_share"),
  ):
    require(
      rows % config.learn.updates == 0,
      f"{what} = {rows} must be a multiple of learn.updates="
      f"{config.learn.updates}",
    )
  tasks = config.propose.candidates + config.propose.measured
  devices = math.prod(config.mesh.to_dict().values())
  require(
    tasks % devices == 0 and 3 * answers % devices == 0,
    f"mesh.data * mesh.fsdp * mesh.tensor = {devices} must divide "
    f"propose.candidates + propose.measured = {tasks} and the {3 * answers} "
    "answers of a round",
  )


def _check_stages(config: Any) -> None:
  """The second stage begins after the warm-up and before the end."""
  o, updates = config.optimizer, total_updates(config)
  drop = round(o.second_stage_at * updates)
  require(
    o.schedule != "two_stage" or o.warmup < drop < updates,
    f"optimizer.second_stage_at={o.second_stage_at} is update {drop} of "
    f"{updates}: it must be after optimizer.warmup={o.warmup} and before the "
    "end for optimizer.schedule='two_stage'",
  )


def _check_profile(config: Any) -> None:
  steps = config.profile.steps
  require(
    not steps
    or (len(steps) == 2 and 1 <= steps[0] <= steps[1] <= config.rounds),
    f"profile.steps={steps} must be the first and the last round of a trace, "
    f"in 1 ... rounds={config.rounds}",
  )
