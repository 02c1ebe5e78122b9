"""How deep a program is nested, read off its tokens."""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.language import grammar as g

# Arguments that each token leaves to write; a literal has none.
_ARGUMENTS = np.zeros(g.VOCABULARY, np.int32)
for _row in g.PRODUCTIONS:
  _ARGUMENTS[g.TOKEN_OF[_row.name]] = len(_row.arguments)


def depth(program: jax.Array) -> jax.Array:
  """Levels of the expression tree: int32 [B] from int32 [B, Lp].

  `x` is 1 deep, `sorted(x)` 2, and padding 0.

  In prefix order a token lies under an earlier one as long as the earlier one's
  arguments are not all written: while the tokens from it on have asked for at
  least as much as they have given.
  """
  asks = jnp.asarray(_ARGUMENTS)[program] - 1
  after = jnp.cumsum(asks, axis=1)  # still to write, less one, after each token
  before = after - asks
  columns = jnp.arange(program.shape[1])
  since = columns[None, :] >= columns[:, None]  # [first, last]
  owed = jnp.where(since, after[:, None, :] - before[:, :, None], 0)
  # Over the tokens from `first` up to the one before: what is the least owed?
  least = jax.lax.cummin(owed, axis=2)[:, :, :-1]
  under = (least >= 0) & (columns[None, :-1] >= columns[:, None])
  ancestors = jnp.pad(under.sum(axis=1), ((0, 0), (1, 0)))
  return jnp.max(jnp.where(program != g.PAD, ancestors + 1, 0), axis=1)
