"""Shapes that are worked out are those that the model makes."""

import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

from bitzero_jax.models import leaves
from bitzero_jax.models.sizes import size
from bitzero_jax.models.transformer import Transformer

FORMS = [
  {},
  {"sub_norms": False},
  {"sub_norms": False, "qkv_biases": True, "tied_head": False},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_shapes_are_those_of_the_model(form):
  model = Transformer(vocab=19, **size("tiny"), **form)
  tokens = jnp.ones((1, 2), jnp.int32)
  made = jax.eval_shape(model.init, jax.random.key(0), tokens)["params"]
  flat = traverse_util.flatten_dict(made, sep="/")
  found = {path: leaf.shape for path, leaf in flat.items()}
  assert leaves.shapes(model) == found
  leaves.check(model, found)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    (lambda s: s.pop("norm/scale"), "lacks norm/scale"),
    (lambda s: s.update(other=(3,)), "has the unknown tensor other"),
    (
      lambda s: s.update({"norm/scale": (3,)}),
      r"norm/scale has shape \(3,\), not \(32,\)",
    ),
  ],
)
def test_what_differs_is_named(change, said):
  model = Transformer(vocab=19, **size("tiny"))
  found = leaves.shapes(model)
  change(found)
  with pytest.raises(ValueError, match=said):
    leaves.check(model, found)
