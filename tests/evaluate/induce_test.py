import jax
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import induce
from bitzero_jax.language import levels, render
from bitzero_jax.verify.judge import Bounds

BOUNDS = Bounds(np.int32(3), np.int32(0), np.int32(20))
GOOD, ALSO = ("[1, 2]", "[2]"), ("[20]", "[]")
LONG, LARGE = ("[1, 2, 3, 4]", "[1]"), ("[1]", "[21]")


@pytest.mark.parametrize(
  "pairs, expected",
  [
    ([LONG, GOOD, LARGE, ALSO, GOOD], [GOOD, ALSO, GOOD]),
    ([GOOD, LARGE, ALSO], [GOOD, ALSO, GOOD]),  # again from the first
    ([GOOD, ALSO, ALSO, GOOD], [GOOD, ALSO, ALSO]),
    ([LONG, LARGE], []),
  ],
)
def test_shown_pairs_are_the_first_that_can_be_said(pairs, expected):
  assert induce.shown(pairs, BOUNDS, 3) == expected


def test_each_function_gets_its_own_programs():
  config = config_lib.default()
  config.model.update({"width": 32, "layers": 1, "hidden": 32})
  network = build.build_network(config)
  level = levels.LEVELS["small"]
  sizes = build.build_language(config).sizes
  pairs = [[GOOD] * sizes.shown, [ALSO] * sizes.shown, [GOOD] * sizes.shown]
  params = network.init(jax.random.key(0))
  written = induce.programs(
    network, params, pairs, level, sizes, 5, jax.random.key(1)
  )
  assert [len(mine) for mine in written] == [5, 5, 5]
  assert written[0] != written[2]  # the same pairs, other samples
  for tokens in (program for mine in written for program in mine):
    assert len(tokens) <= level.program
    assert render.parse(render.source(tokens)) == tokens


def test_programs_are_dealt_in_order():
  assert induce.deal([(1,), (2,), (3,), (4,)], 2) == [
    [(1,), (2,)],
    [(3,), (4,)],
  ]
