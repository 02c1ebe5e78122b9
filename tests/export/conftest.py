"""Models to ship: a run's, and one with other planes in each matrix."""

import jax
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.export import model as model_lib
from bitzero_jax.export.model import Matrix
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
    config_lib.validate(c)
    return c

  return config


@pytest.fixture(scope="session")
def shipped_model():
  """A model with random weights, norms and head, of a config."""

  def make(config, seed=0):
    params = build.build_network(config).init(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    params["model"] = jax.tree.map(
      lambda x: (
        rng.uniform(0.5, 1.5, x.shape).astype(np.float32) if x.ndim == 1 else x
      ),
      params["model"],
    )
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
  """The same with 1, 2, 3, 4 and 5 planes by matrix, drawn evenly."""

  def make(config, seed=0):
    model = shipped_model(config, seed)
    rng = np.random.default_rng(seed)
    matrices = {}
    for number, (path, matrix) in enumerate(model.matrices.items()):
      planes = MIXED[number % len(MIXED)]
      top, shape = digits.max_code(planes), matrix.codes.shape
      codes = rng.integers(-top, top + 1, shape).astype(np.int8)
      scale = np.float32(1.7 / (top * shape[0] ** 0.5))
      spec = digits.quantizer(planes).spec
      matrices[path] = Matrix(codes, np.asarray(scale), spec)
    return model._replace(matrices=matrices)

  return make
