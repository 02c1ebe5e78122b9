"""Any change shows, and the place of a number counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.runtime.digest import digest

TREE = {
  "float": jnp.linspace(-1, 1, 24).reshape(2, 3, 4),
  "half": jnp.arange(5, dtype=jnp.bfloat16),
  "int": jnp.arange(6, dtype=jnp.int32).reshape(2, 3),
  "bits": jnp.arange(4, dtype=jnp.uint32),
  "flag": jnp.array([True, False]),
  "one": jnp.float32(2),
}


def changed(name, change):
  return TREE | {name: change(TREE[name])}


def test_a_tree_has_one_digest():
  assert int(digest(TREE)) == int(digest(jax.tree.map(np.asarray, TREE)))


@pytest.mark.parametrize(
  ("name", "change"),
  [
    ("float", lambda x: x.at[0, 0, 0].set(jnp.nextafter(x[0, 0, 0], 2.0))),
    ("float", lambda x: jnp.swapaxes(x, 0, 1).reshape(x.shape)),
    ("half", lambda x: x[::-1]),
    ("int", lambda x: x.at[1, 2].add(1)),
    ("bits", lambda x: x ^ 1),
    ("flag", lambda x: ~x),
    ("one", lambda x: -x),
  ],
)
def test_a_change_shows(name, change):
  assert int(digest(changed(name, change))) != int(digest(TREE))
