"""Which matrix has how many planes, under a budget of stored bits.

All allocators train until `freeze`, then round to the budget once and train on
with what they have. Until then the learned one trains the mean weight over its
chances of each number of planes; the others train with most planes.

Shapes: N = matrices, or their groups as in `ledger`; K = most planes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.precision import filling, ledger, rounding
from bitzero_jax.precision.base import (
  Observed,
  Params,
  Precision,
  set_control,
)
from bitzero_jax.quant import adaptive
from bitzero_jax.quant.adaptive import UNDECIDED
from bitzero_jax.quant.base import Quantizer
from bitzero_jax.quant.tree import kernels, together

_ASKED = 16  # pairs that are measured in a round, times groups of a matrix
_REMEMBERED = 0.9  # share of what was observed that a round keeps


class Budget(NamedTuple):
  """What an allocation may spend.

  Attributes:
    bits: mean stored bits a weight of the quantized matrices.
    most: K, planes of one matrix at most.
    freeze: share of the run after which the allocation stays.
    sharpness: logit that a plane has won by the freeze if a bit of it is worth
      more than the mean in every round, by the mean distance from the mean.
  """

  bits: float
  most: int
  freeze: float
  sharpness: float


def _memory(params: Params, budget: Budget, gain: jax.Array) -> Params:
  memory = {
    "budget": jnp.float32(budget.bits),  # or each budget would compile anew
    "frozen": jnp.float32(0),
    "gain": gain,
  }
  return params | {"precision": memory}


def _metrics(params: Params) -> dict[str, jax.Array]:
  found = ledger.entries(params)
  planes = ledger.read(params, found, "planes")
  return {
    "precision/bits": ledger.mean_bits(planes, ledger.sizes(found)),
    "precision/planes": planes,
  }


def _advance(
  budget: Budget, before: float
) -> Callable[[Params, jax.Array, Observed], Params]:
  """Planes before, at and after the freeze, by the gains that are remembered.

  Args:
    budget: what may be spent.
    before: planes of every matrix until then.
  """

  def advance(params: Params, progress: jax.Array, _: Observed) -> Params:
    found = ledger.entries(params)
    size = ledger.sizes(found)
    memory = params["precision"]
    now = jnp.float32(progress >= budget.freeze)
    rounded = rounding.to_budget(memory["gain"], size, memory["budget"])
    planes = jnp.where(now > 0, rounded, before)
    kept = ledger.read(params, found, "planes")
    planes = jnp.where(memory["frozen"] > 0, kept, planes)
    params = ledger.write(params, found, "planes", planes)
    return params | {"precision": memory | {"frozen": now}}

  return advance


def learned(budget: Budget) -> Precision:
  """Chances of each number of planes, learned by the gradient of self-play.

  Until the freeze a matrix runs as the mean over its chances, between the
  numbers of planes. The gradient to a chance says what a bit of a plane is
  worth there; each round's worths, over their spread, are added up, and the
  sums are the logits of the next round's chances (`filling`). So a plane that
  is worth more than others where it stands becomes likelier until it is worth
  the same, or sure. The bits that are expected fall from those of most planes
  to the budget, by as much in each round; at the freeze the likeliest planes
  fill it.

  Chances are no parameters of the optimizer: Adam moves every logit by the same
  step, whatever its gradient, so that all would fall together.
  """
  cost = np.diff(ledger.BITS[: budget.most])  # of plane 2, 3, ... K
  top = float(ledger.BITS[budget.most - 1])

  def start(params: Params, key: jax.Array) -> Params:
    del key
    params = set_control(params, "planes", UNDECIDED)
    reach = ledger.read(params, ledger.entries(params), "reach")
    none = jnp.zeros_like(reach)
    params = _memory(params, budget, none)
    more = {"logits": none, "share": jnp.float32(0)}
    return params | {"precision": params["precision"] | more}

  def observe(params: Params, gradient: Params) -> Observed:
    found = ledger.entries(params)
    bits = ledger.sizes(found)[:, None] * cost
    return {"worth": -ledger.read(gradient, found, "reach") / bits}

  settle = _advance(budget, UNDECIDED)

  def advance(
    params: Params, progress: jax.Array, observed: Observed
  ) -> Params:
    found = ledger.entries(params)
    size = ledger.sizes(found)
    memory = params["precision"]
    share = jnp.minimum(progress / budget.freeze, 1.0) if budget.freeze else 1.0
    worth = observed["worth"] - observed["worth"].mean()
    spread = jnp.maximum(jnp.mean(jnp.abs(worth)), 1e-30)
    step = budget.sharpness * (share - memory["share"])  # 0 from the freeze on
    logits = memory["logits"] + step * worth / spread
    reach = filling.fill(logits, size, top + share * (memory["budget"] - top))
    params = ledger.write(params, found, "reach", reach)
    memory = memory | {
      "logits": logits,
      "share": jnp.float32(share),
      "gain": reach * jnp.asarray(cost * size[:, None], jnp.float32),
    }
    return settle(params | {"precision": memory}, progress, observed)

  def metrics(params: Params) -> dict[str, jax.Array]:
    values = _metrics(params)
    found = ledger.entries(params)
    reach = ledger.read(params, found, "reach")
    expected = adaptive.chances(reach), ledger.sizes(found)
    frozen = params["precision"]["frozen"] > 0
    return {
      "precision/bits": jnp.where(
        frozen, values["precision/bits"], ledger.expected_bits(*expected)
      ),
      "precision/planes": jnp.where(
        frozen, values["precision/planes"], 1 + reach.sum(1)
      ),
    }

  return Precision(start, None, observe, None, advance, metrics)


def _by_gain(
  budget: Budget,
  first: Callable[[Params, jax.Array], jax.Array],
  observe: Callable[[Params, Params], Observed] | None,
) -> Precision:
  """An allocator that trains with most planes and remembers gains.

  Args:
    budget: what may be spent.
    first: (params, key) -> gains [N, K - 1] before anything is observed.
    observe: as in `Precision`, with gains [N, K - 1] under "gain".
  """
  settle = _advance(budget, float(budget.most))

  def advance(
    params: Params, progress: jax.Array, observed: Observed
  ) -> Params:
    memory = params["precision"]
    gain = memory["gain"]
    if observe is not None:
      fresh = (1 - _REMEMBERED) * observed["gain"]
      memory = memory | {"gain": _REMEMBERED * gain + fresh}
    return settle(params | {"precision": memory}, progress, observed)

  return Precision(
    start=lambda params, key: _memory(params, budget, first(params, key)),
    penalty=None,
    observe=observe,
    probe=None,
    advance=advance,
    metrics=_metrics,
  )


def random(budget: Budget) -> Precision:
  """The control: planes go to matrices by chance, as many as fit.

  What a byte gains is drawn, not what a plane gains: else small matrices would
  come first, and in a decoder those are attention's.
  """
  cost = np.diff(ledger.BITS[: budget.most])

  def first(params: Params, key: jax.Array) -> jax.Array:
    bits = ledger.sizes(ledger.entries(params))[:, None] * cost
    return jax.random.uniform(key, bits.shape) * bits

  return _by_gain(budget, first, None)


def sensitivity(budget: Budget, quantizer: Quantizer) -> Precision:
  """One-shot ranking by the diagonal of the empirical Fisher information.

  With k planes a loss is expected to rise by half the sum of gradient^2 *
  (W_k - W_K)^2; a plane gains the difference. Close to HAWQ's Hessian ranking
  (arXiv:1911.03852) and to OBD.

  Args:
    budget: what may be spent.
    quantizer: whose "planes" are asked for.
  """

  def rise(weight: jax.Array, numbers, slope: jax.Array) -> jax.Array:
    """Of one matrix, [K], or of its groups, [G, K]."""
    planes = numbers["planes"]
    values = [
      quantizer.fake_quant(
        weight, numbers | {"planes": jnp.full_like(planes, k + 1)}
      )
      for k in range(budget.most)
    ]
    by_group = (weight.shape[0], *planes.shape, -1)
    squares = [jnp.square(slope * (v - values[-1])) for v in values]
    return jnp.stack(
      [0.5 * jnp.sum(s.reshape(by_group), axis=(0, -1)) for s in squares],
      axis=-1,
    )

  def observe(params: Params, gradient: Params) -> Observed:
    weights = kernels(params["model"], params["quant"])
    slopes = kernels(gradient["model"], {})
    rows = {path: (*weights[path], slopes[path][0]) for path in weights}
    found = together(quantizer, lambda _: rise, rows)
    paths = [entry.path for entry in ledger.entries(params)]
    rise_of = jnp.concatenate(
      [found[path].reshape(-1, budget.most) for path in paths]
    )
    return {"gain": rise_of[:, :-1] - rise_of[:, 1:]}

  def first(params: Params, key: jax.Array) -> jax.Array:
    del key
    count = len(ledger.sizes(ledger.entries(params)))
    return jnp.zeros((count, budget.most - 1))

  return _by_gain(budget, first, observe)


def measured(budget: Budget) -> Precision:
  """Gains that are measured: the loss with fewer planes of one matrix.

  Each round asks a few pairs of a matrix and a number of planes, in turn, on
  rows that are drawn for it, while all others keep most planes. A pair that is
  asked again is averaged with what was found before. A round asks as many times
  more pairs as a matrix has groups, so each is asked as often as without them.
  """

  def start(params: Params, key: jax.Array) -> Params:
    del key
    count = len(ledger.sizes(ledger.entries(params)))
    shape = (count, budget.most - 1)
    params = _memory(params, budget, jnp.zeros(shape))
    more = {
      "rise": jnp.zeros(shape),  # of the loss, with 1, 2, ... K - 1 planes
      "asked": jnp.zeros(shape),  # times
      "turn": jnp.float32(0),
    }
    return params | {"precision": params["precision"] | more}

  def turn_of(params: Params) -> jax.Array:
    """Pairs of this round, as places in a flat [N, K - 1]: int32 [M]."""
    cells = params["precision"]["rise"].size
    begin = params["precision"]["turn"].astype(int)
    groups = max(entry.groups for entry in ledger.entries(params))
    return (begin + jnp.arange(min(_ASKED * groups, cells))) % cells

  def probe(params: Params, loss: Callable[[Params], jax.Array]) -> Observed:
    found = ledger.entries(params)
    planes = jnp.full(len(ledger.sizes(found)), float(budget.most))

    def with_planes(values: jax.Array) -> jax.Array:
      return loss(ledger.write(params, found, "planes", values))

    before = with_planes(planes)

    def rise(cell: jax.Array) -> jax.Array:
      row, column = cell // (budget.most - 1), cell % (budget.most - 1)
      fewer = planes.at[row].set(column.astype(jnp.float32) + 1)
      return with_planes(fewer) - before

    return {"rise": jax.lax.map(rise, turn_of(params))}

  settle = _advance(budget, float(budget.most))

  def advance(params: Params, progress: jax.Array, seen: Observed) -> Params:
    memory = params["precision"]
    cells = turn_of(params)
    shape = memory["rise"].shape
    asked = memory["asked"].reshape(-1).at[cells].add(1.0)
    rise = memory["rise"].reshape(-1)
    rise = rise.at[cells].add((seen["rise"] - rise[cells]) / asked[cells])
    rise, asked = rise.reshape(shape), asked.reshape(shape)
    fewer = jnp.concatenate([rise, jnp.zeros((shape[0], 1))], axis=1)
    memory = memory | {
      "rise": rise,
      "asked": asked,
      "turn": (memory["turn"] + len(cells)) % rise.size,
      "gain": fewer[:, :-1] - fewer[:, 1:],
    }
    return settle(params | {"precision": memory}, progress, seen)

  return Precision(start, None, None, probe, advance, _metrics)
