"""Two questions, a network that is not quite untrained, and who writes."""

import jax
import jax.numpy as jnp
import pytest

from bitzero_jax import build, config_checks
from bitzero_jax import config as config_lib
from bitzero_jax.language import levels, render
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.desk import Desk
from bitzero_jax.practice.question import question
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds
from bitzero_jax.verify.verdict import ERROR, OK, Verdict

BOUNDS = Bounds(5, 0, 20)
PAIRS, WIDTH, KEPT = 4, 7, 4
SORTING = (("[3, 1, 2]", "[1, 2, 3]"), ("[5, 4]", "[4, 5]"))
# Nobody finds a program for these.
ODD = (("[3, 1, 2]", "[20, 7, 11, 2]"), ("[1]", "[0, 19]"), ("[2]", "[13]"))


@pytest.fixture(scope="session")
def executor():
  with Executor() as shared:
    yield shared


@pytest.fixture(scope="session")
def config():
  """Of a practice so small that it compiles in seconds."""
  c = config_lib.default()
  c.language.pairs, c.language.shown, c.gate.outputs = PAIRS, 2, 2
  c.model.width, c.model.layers, c.model.hidden = 16, 1, 16
  c.model.heads, c.model.kv_heads = 2, 2
  c.practice.kept, c.practice.updates = KEPT, 2
  c.practice.rows = (4, 4, 8)
  c.practice.edit_share = 0.5
  config_checks.validate(c)
  return c


@pytest.fixture(scope="session")
def params(config):
  """Random ones, whose head is awake."""
  made = jax.jit(build.build_network(config).init)(jax.random.key(0))
  scale = made["model"]["norm"]["scale"]
  made["model"]["norm"]["scale"] = jnp.ones_like(scale)
  return made


@pytest.fixture(scope="session")
def desk(config, params):
  language = build.build_language(config)
  return Desk(
    network=build.build_network(config),
    params=params,
    level=levels.LEVELS["small"],
    tables=language.at(jnp.int32(0))[0],
    sizes=language.sizes,
    questions=2,
    rows=128,
    resume_share=0.0,
    sharpness=8.0,
  )


@pytest.fixture(scope="session")
def ask():
  """Pairs of text -> a question."""
  return lambda given: question(given, BOUNDS, PAIRS, WIDTH)


@pytest.fixture
def archives(ask):
  """Of the two questions, with nothing in them."""
  return [Archive(ask(given), BOUNDS, KEPT) for given in (SORTING, ODD)]


@pytest.fixture(scope="session")
def missed():
  """Puts a program into an archive, with the outputs that it is said to have.

  An output None stands for an error.
  """

  def put(archive, program, *outputs):
    verdicts = [
      Verdict(ERROR, "", "ValueError", 0, 2, None)
      if text is None
      else Verdict(OK, text, "", 0, 2, None)
      for text in outputs
    ]
    archive.put(render.parse(program), verdicts)

  return put
