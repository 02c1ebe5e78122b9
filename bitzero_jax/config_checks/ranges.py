"""The numbers that a config may hold: each field's smallest and largest."""

import math
from collections.abc import Iterator
from typing import Any

from bitzero_jax.config_checks.require import get, require, within

POSITIVE = (
  "rounds mesh.data mesh.fsdp mesh.tensor model.width model.layers "
  "model.heads model.kv_heads model.hidden precision.groups "
  "propose.candidates propose.temperature solve.samples solve.temperature "
  "learn.updates learn.imitate_rows language.widen_rounds "
  "optimizer.learning_rate optimizer.clip pool.capacity executor.workers "
  "executor.steps heldout.candidates heldout.tasks every.log every.tasks "
  "every.evaluate every.save practice.kept practice.updates "
  "practice.learning_rate"
)
RANGES = (
  ("seeds", 1, 64),
  ("practice.seed", 0, (1 << 32) - 1),
  ("solve.buffer_rows propose.references propose.measured", 0, 1 << 20),
  ("optimizer.warmup", 0, 1 << 30),
  ("quant.planes", 1, 5),
  ("precision.most", 2, 5),
  (
    "language.widen_rate precision.freeze precision.ramp_weights "
    "precision.ramp_activations propose.model_share propose.edit_share "
    "curriculum.top_share curriculum.random_share curriculum.decay "
    "learn.fresh_share learn.clip_low learn.confidence_weight optimizer.b1 "
    "optimizer.b2 optimizer.final_share optimizer.second_stage_at "
    "optimizer.second_stage_share optimizer.decay_until "
    "executor.unknown_limit heldout.bar_share heldout.output_share "
    "practice.edit_share practice.resume_share",
    0.0,
    1.0,
  ),
  ("practice.sharpness", 0.0, 100.0),
  (
    "curriculum.prior_kl learn.hindsight learn.shown_weight learn.solve "
    "learn.propose learn.imitate learn.clip_high optimizer.weight_decay "
    "precision.gap",
    0.0,
    1e3,
  ),
  ("precision.sharpness", 1.0, 1e3),
)


def check_ranges(config: Any) -> None:
  """Every number alone."""
  for path, value in _floats(config, ""):
    require(math.isfinite(value), f"{path}={value} must be finite")
  for path in POSITIVE.split():
    value = get(config, path)
    require(value > 0, f"{path}={value} must be above 0")
  for paths, low, high in RANGES:
    for path in paths.split():
      within(config, path, low, high)


def _floats(room: Any, path: str) -> Iterator[tuple[str, float]]:
  for name, value in room.items():
    if isinstance(value, float):
      yield path + name, value
    elif hasattr(value, "items"):
      yield from _floats(value, f"{path}{name}.")
