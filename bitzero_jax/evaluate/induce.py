"""Programs that a model writes when it is shown pairs."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax import sample
from bitzero_jax.language import layout, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level, build
from bitzero_jax.language.render import Tokens
from bitzero_jax.models.network import Network
from bitzero_jax.verify.judge import Bounds, in_bounds

_ROWS = 256  # programs written in one device call

Pair = tuple[str, str]


def shown(pairs: Sequence[Pair], bounds: Bounds, count: int) -> list[Pair]:
  """The first `count` pairs that a level can say.

  If there are fewer they come again from the first; if there is none, the
  result is empty.
  """
  sayable = [p for p in pairs if all(in_bounds(text, bounds) for text in p)]
  return list(itertools.islice(itertools.cycle(sayable), count))


def value_row(text: str, width: int) -> list[int]:
  """Tokens of a value's text, padded.

  Raises:
    ValueError: the language cannot say it, or it does not fit.
  """
  tokens = render.value_tokens(text)
  if tokens is None:
    raise ValueError(f"{text!r} is no value of the language")
  return render.pad(tokens, width)


def programs(
  network: Network,
  params: Any,
  pairs: Sequence[Sequence[Pair]],
  level: Level,
  sizes: Sizes,
  samples: int,
  key: jax.Array,
) -> list[list[Tokens]]:
  """Samples programs at temperature 1.

  Args:
    network, params: the model.
    pairs: for each function, `sizes.shown` pairs of input and output text.
    level: the language's level.
    sizes: lengths of the run.
    samples: programs for each function.
    key: PRNG key, consumed.

  Returns:
    For each function, its programs.
  """
  tables = jax.tree.map(jnp.asarray, build(level))
  values = np.array(
    [
      [[value_row(text, sizes.value) for text in pair] for pair in mine]
      for mine in pairs
    ],
    np.int32,
  )
  inputs, outputs = jnp.asarray(values[:, :, 0]), jnp.asarray(values[:, :, 1])
  count = len(pairs) * samples
  index = np.arange(count + -count % _ROWS) // samples % len(pairs)
  index = jnp.asarray(index.reshape(-1, _ROWS))

  @jax.jit
  def write(params, keys):
    weights = network.weights(params)

    def some(call):
      rows, row_key = call
      return sample.write(
        network,
        weights,
        tables,
        layout.program_plan(tables, _ROWS),
        layout.induction(inputs[rows], outputs[rows]),
        row_key,
        length=sizes.program,
        slots=sizes.slots,
        temperature=1.0,
      ).answer

    return jax.lax.map(some, (index, keys)).reshape(-1, sizes.program)

  rows = np.asarray(write(params, jax.random.split(key, len(index))))
  return deal([render.strip(row) for row in rows[:count]], samples)


def deal(written: Sequence[Tokens], samples: int) -> list[list[Tokens]]:
  """Cuts programs into groups of `samples`, one group for each function."""
  return [
    list(written[i : i + samples]) for i in range(0, len(written), samples)
  ]
