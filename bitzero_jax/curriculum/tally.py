"""What became of a round's candidates, in numbers, and by who wrote them."""

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum.base import Judged
from bitzero_jax.language.depth import depth
from bitzero_jax.quant.ordered_sum import ordered_sum
from bitzero_jax.state import PRIOR, REASON, REASONS, SOURCES, Task

Metrics = dict[str, jax.Array]
DULL = ("invalid", "constant", "identity", "known")  # shares by who proposed


def tally(tasks: Task, judged: Judged, learnability: jax.Array) -> Metrics:
  """Counts and means over candidates.

  Args:
    tasks: Task [B].
    judged: Judged [B].
    learnability: float32 [B].

  Returns:
    Scalars, and two histograms, int32 [5]. A mean over nobody is NaN.
  """
  reason, sound = judged.reason, judged.sound
  metrics = {
    f"reject/{name}": jnp.mean(reason == code)
    for code, name in enumerate(REASONS)
    if code != REASON["accepted"]
  }
  metrics["accept/rate"] = jnp.mean(reason == REASON["accepted"])
  metrics["accept/sound"] = jnp.mean(sound)
  kept = jnp.maximum(sound.sum(), 1)
  deep = depth(tasks.program)
  metrics["novelty/new_share"] = jnp.sum(reason == REASON["accepted"]) / kept
  metrics["novelty/duplicate_share"] = jnp.sum(reason == REASON["known"]) / kept
  for source, name in enumerate(SOURCES):
    mine = tasks.source == source
    good = mine & sound
    metrics[f"length/{name}"] = mean(judged.length, mine)
    metrics[f"depth/{name}"] = mean(deep, mine)
    metrics[f"learnability/{name}"] = mean(learnability, good)
    metrics[f"probe/{name}"] = mean(judged.solve_rate, good)
    if judged.gap is not None:
      metrics[f"precision/gap/{name}"] = mean(judged.gap, good)
    metrics[f"accept/{name}"] = mean(reason == REASON["accepted"], mine)
    for why in DULL:
      metrics[f"{why}/{name}"] = mean(reason == REASON[why], mine)
  metrics["solve_rate/histogram"] = _histogram(judged.solve_rate, sound)
  metrics["learnability/histogram"] = _histogram(
    4 * learnability, sound & (tasks.source == PRIOR)
  )
  return metrics


def mean(values: jax.Array, where: jax.Array) -> jax.Array:
  """Mean over the chosen rows, NaN when there are none."""
  return jnp.sum(values * where) / jnp.sum(where)


def exact_mean(values: jax.Array, where: jax.Array) -> jax.Array:
  """The same, to the last bit in every program, and 0 when there are none."""
  total = ordered_sum(jnp.where(where, values, 0.0))[0]
  return total / jnp.maximum(jnp.sum(where), 1)


def _histogram(rate: jax.Array, where: jax.Array) -> jax.Array:
  """Tasks by a rate from 0 to 1, in five equal bins: int32 [5]."""
  bins = jnp.minimum((rate * 5).astype(jnp.int32), 4)
  return jnp.sum((bins[:, None] == jnp.arange(5)) & where[:, None], axis=0)
