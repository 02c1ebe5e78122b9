"""Models to ship: a run's, and one with other planes in each matrix."""

import jax
import numpy as np
import pytest

from bitzero_jax import build, config_checks
from bitzero_jax import config as config_lib
from bitzero_jax.export import model as model_lib
from bitzero_jax.export.model import Matrix
from bitzero_jax.language.grammar import VOCABULARY
from bitzero_jax.quant import digits

# Of each matrix, in turn: every exact carrier of a multi-plane model.
MIXED = (1, 2, 3, 4, 5, 1, 3)


@pytest.fixture(scope="session")
def small_config():
  """The config of a model so small that it exports in no time."""

  def config(width=32, hidden=64, **changes):
    c = config_lib.default()
    c.model.width, c.model.hidden = width, hidden
    c.model.layers, c.model.heads, c.model.kv_heads = 2, 2, 1
    for path, value in changes.items():
      room, name = path.split("__")
      c[room][name] = value
    config_checks.validate(c)
    return c

  return config


@pytest.fixture(scope="session")
def shipped_model():
  """A model with random weights, norms and head, of a config.

  Its quantizer learns nothing.
  """

  def make(config, seed=0):
    rng = np.random.default_rng(seed)

    def draw(leaf):
      if leaf.ndim == 1:
        return rng.uniform(0.9, 1.1, leaf.shape).astype(np.float32)
      inputs = leaf.shape[1 if leaf.shape[0] == VOCABULARY else 0]
      return rng.normal(0, inputs**-0.5, leaf.shape).astype(np.float32)

    init = build.build_network(config).init
    shapes = jax.eval_shape(init, jax.random.key(0))["model"]
    params = {"model": jax.tree.map(draw, shapes), "quant": {}}
    return model_lib.of_params(
      config,
      7,
      params,
      build.build_quantizer(config),
      build.build_choice(config, params),
    )

  return make


@pytest.fixture(scope="session")
def mixed_model(shipped_model):
  """The same with 1, 2, 3, 4 and 5 planes by matrix."""

  def make(config, seed=0):
    model = shipped_model(config, seed)
    rng = np.random.default_rng(seed)
    matrices = {}
    for number, (path, matrix) in enumerate(model.matrices.items()):
      planes = MIXED[number % len(MIXED)]
      quantizer = digits.quantizer(planes)
      shape = matrix.codes.shape
      weight = rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
      coded = quantizer.quantize(weight, quantizer.init(weight))
      matrices[path] = Matrix(*map(np.asarray, coded), quantizer.spec)
    return model._replace(matrices=matrices)

  return make
