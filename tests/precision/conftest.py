"""A small tree: two matrices of different size, and a stack of two layers."""

import jax
import jax.numpy as jnp
import pytest

from bitzero_jax.quant import adaptive, tree


@pytest.fixture
def make():
  """(most planes, learned, groups) -> parameters."""

  def build(most=3, learned=True, groups=1):
    shapes = {"a": (8, 4), "b": (16, 8), "c": (2, 4, 4)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    model = {
      name: {"kernel": jax.random.normal(key, shape)}
      for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    model["norm"] = {"scale": jnp.ones(4)}
    quantizer = adaptive.quantizer(most, learned, groups)
    return {"model": model, "quant": tree.init_tree(quantizer, model)}

  return build
