"""What decides how precise each weight is while a model trains, as a value.

It writes controls (`quant.base.CONTROLS`) among the quantizers' numbers and
whatever it remembers under params["precision"]. Both are part of the
parameters, so sampler, learner, exam and checkpoint see the same model, and no
optimizer moves them.

Shapes: N = matrices, or their groups as in `ledger`; K = most planes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

Params = Any  # {"model": ..., "quant": ..., "precision": ...}
Observed = dict[str, jax.Array]


class Precision(NamedTuple):
  """A bundle of pure functions.

  Attributes:
    start: (params, key) -> params, before the first update.
    penalty: params -> float32 [], a part of the loss; None for none.
    observe: (params, gradient) -> what one update says about the weights; the
      mean over a round's updates is handed to `advance`. None for nothing.
    probe: (params, loss) -> the same, once a round: the loss, (params) ->
      float32 [], is of rows that are drawn for it. None for nothing.
    advance: (params, progress, observed) -> params, after each round. Progress
      is a float32, 0 before the first update of the run and 1 after its last.
    metrics: params -> numbers for the metric line.
  """

  start: Callable[[Params, jax.Array], Params]
  penalty: Callable[[Params], jax.Array] | None
  observe: Callable[[Params, Params], Observed] | None
  probe: Callable[[Params, Callable[[Params], jax.Array]], Observed] | None
  advance: Callable[[Params, jax.Array, Observed], Params]
  metrics: Callable[[Params], dict[str, jax.Array]]


def set_control(params: Params, name: str, value: jax.Array | float) -> Params:
  """Writes one number to every quantizer that has a control of that name."""

  def write(path, leaf):
    mine = getattr(path[-1], "key", None) == name
    return jax.numpy.full_like(leaf, value) if mine else leaf

  quant = jax.tree_util.tree_map_with_path(write, params["quant"])
  return params | {"quant": quant}


def both(chosen: Sequence[Precision]) -> Precision | None:
  """Up to two as one, of which the last alone may learn; None for none."""
  if len(chosen) < 2:
    return chosen[0] if chosen else None
  first, last = chosen

  def start(params: Params, key: jax.Array) -> Params:
    return last.start(first.start(params, key), key)

  def advance(
    params: Params, progress: jax.Array, observed: Observed
  ) -> Params:
    params = first.advance(params, progress, observed)
    return last.advance(params, progress, observed)

  def metrics(params: Params) -> dict[str, jax.Array]:
    return first.metrics(params) | last.metrics(params)

  return last._replace(start=start, advance=advance, metrics=metrics)
