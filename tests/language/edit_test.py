"""An edited program is a program, and most of it is the one before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.language import edit, layout, levels, prior, render
from bitzero_jax.language import grammar as g

ROWS = 2000


@pytest.fixture(scope="module", params=["small", "full"])
def edited(request):
  """The level's longest program, programs, and what became of them."""
  level = levels.LEVELS[request.param]
  tables = jax.tree.map(jnp.asarray, levels.build(level))
  slots = max(level.program, level.items + 2)

  @jax.jit
  def run(key):
    write_key, edit_key = jax.random.split(key)
    plan = layout.program_plan(tables, ROWS)
    before = prior.sample(tables, plan, write_key, level.program, slots)
    after = edit.resample_subtree(tables, before, edit_key, slots)
    return before, after

  return level.program, *map(np.asarray, run(jax.random.key(0)))


def test_every_edit_is_a_program_of_the_level(edited):
  longest, _, after = edited
  for row in after.tolist():
    tokens = render.strip(row)
    assert 0 < len(tokens) <= longest
    assert row == render.pad(tokens, longest)
    assert render.parse(render.source(tokens)) == tokens


def test_most_of_a_program_stays(edited):
  _, before, after = edited
  assert kept_share(before, after) > 1.5 * kept_share(before, after[::-1])


def kept_share(before, after):
  """Mean share of a program that stands before or behind what differs."""
  shares = []
  for old, new in zip(before.tolist(), after.tolist(), strict=True):
    old, new = render.strip(old), render.strip(new)
    most = min(len(old), len(new))
    ahead = next((i for i in range(most) if old[i] != new[i]), most)
    rest = most - ahead
    behind = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    shares.append((ahead + behind) / len(old))
  return np.mean(shares)


def test_edits_reach_roots_leaves_and_every_length(edited):
  longest, before, after = edited
  changed = (before != after).any(1)
  assert changed.mean() > 0.3
  first = (before[:, 0] != after[:, 0]).mean()
  assert 0.02 < first < 0.6
  lengths = set((after != g.PAD).sum(1).tolist())
  assert lengths == set(range(2, longest + 1))
  assert len(np.unique(after[changed], axis=0)) > 0.2 * changed.sum()


def test_a_key_decides_everything():
  tables = jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))
  program = jnp.asarray(
    [render.pad(render.parse("def f(x):\n  return sorted(x)[1:]\n"), 8)] * 64
  )
  run = jax.jit(lambda key: edit.resample_subtree(tables, program, key, 8))
  one, same, other = (np.asarray(run(jax.random.key(k))) for k in (0, 0, 1))
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()
  assert len(np.unique(one, axis=0)) > 20
