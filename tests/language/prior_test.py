"""The grammar's own distribution, counted."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language import grammar as g
from bitzero_jax.language import layout, levels, prior

ROWS = 4000


@pytest.mark.parametrize("weights", ["hand", "uniform"])
def test_the_first_tokens_come_as_often_as_the_tables_say(weights):
  tables = levels.build(levels.LEVELS["small"], weights)
  tables = jax.tree.map(jnp.asarray, tables)
  plan = layout.program_plan(tables, ROWS)
  rows = jax.jit(lambda key: prior.sample(tables, plan, key, 8, 8))(
    jax.random.key(0)
  )
  top = g.NONTERMINAL_OF["program"]
  share = np.exp(np.asarray(tables.log_prior)[top])
  count = np.bincount(np.asarray(rows)[:, 0], minlength=g.VOCABULARY)
  deviation = np.sqrt(ROWS * share * (1 - share)) + 1
  assert (np.abs(count - ROWS * share) < 4.5 * deviation).all()


def test_a_key_decides_everything():
  tables = jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))
  plan = layout.argument_plan(tables, 64)
  draw = jax.jit(lambda key: prior.sample(tables, plan, key, 7, 7))
  one, same, other = (np.asarray(draw(jax.random.key(k))) for k in (0, 0, 1))
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()
  lengths = Counter((one != g.PAD).sum(1).tolist())
  assert set(lengths) <= set(range(2, 8)) and len(lengths) > 3
