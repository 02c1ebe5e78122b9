"""When the language widens: by updates taken, or by what the model can do."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from bitzero_jax.quant.ordered_sum import ordered_sum
from bitzero_jax.state import Widening

Widen = Callable[[Widening, jax.Array, jax.Array], Widening]


def start(rounds: int, widen_at: Sequence[int]) -> Widening:
  """Before the first round: the first level that has not been passed yet."""
  level = sum(update <= 0 for update in widen_at)
  return Widening(jnp.int32(level), jnp.zeros(rounds, jnp.float32))


def by_updates(widen_at: Sequence[int]) -> Widen:
  """The next level begins at the next of these updates."""
  at = jnp.array(widen_at, jnp.int32)

  def widen(state: Widening, updates: jax.Array, rate: jax.Array) -> Widening:
    level = jnp.sum(updates >= at).astype(jnp.int32)
    return Widening(level, _newest(state.recent, rate))

  return widen


def by_rate(least: float, levels: int) -> Widen:
  """The next level begins when the mean of the recent solve rates is `least`.

  Rounds before the start or at an earlier level count as 0, so a level lasts at
  least `least` times as many rounds as are remembered. The first round of a new
  level still solves what was proposed at the level before.
  """

  def widen(state: Widening, updates: jax.Array, rate: jax.Array) -> Widening:
    del updates
    recent = _newest(state.recent, rate)
    mean = ordered_sum(recent)[0] / recent.shape[0]
    able = (mean >= least) & (state.level < levels - 1)
    return Widening(state.level + able, jnp.where(able, 0.0, recent))

  return widen


def _newest(recent: jax.Array, rate: jax.Array) -> jax.Array:
  return jnp.concatenate([recent[1:], rate[None]])
