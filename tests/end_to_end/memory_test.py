"""Ten thousand rounds take no more memory than the first four thousand."""

import pytest

from bitzero_jax.runtime import metrics

pytestmark = pytest.mark.slow

# What is remembered of texts and programs is bounded, by numbers that such a
# small run would not reach. Here they are small, so that it is full early.
REMEMBERS_LITTLE = """
import functools, sys
from bitzero_jax import main
from bitzero_jax.language import render
from bitzero_jax.verify import judge

judge._REMEMBERED = 256
for room in (render, judge):
  for name, found in list(vars(room).items()):
    if getattr(found, "cache_parameters", dict)().get("maxsize") == 65536:
      setattr(room, name, functools.lru_cache(256)(found.__wrapped__))
sys.exit(main.main(["train", *sys.argv[1:]]))
"""
ROUNDS, WARM = 10_000, 4_000
SMALL = [
  f"--config.rounds={ROUNDS}",
  "--config.propose.candidates=6",
  "--config.solve.fresh_rows=2",
  "--config.learn.updates=1",
  "--config.learn.rows=(1,1,1)",
  "--config.pool.capacity=16",
  "--config.every.log=10",
  "--config.every.tasks=500",
  "--config.every.evaluate=500",
  "--config.every.save=500",
]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory, experiment, bitzero):
  folder = tmp_path_factory.mktemp("long") / "run"
  done = bitzero(
    f"--config={experiment}",
    f"--workdir={folder}",
    *SMALL,
    script=REMEMBERS_LITTLE,
    timeout=3600,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return metrics.read(folder / metrics.METRICS_FILE)


def highest(lines, name):
  """Just after the warm-up, and at the end."""
  early = [x[name] for x in lines if WARM < x["step"] <= WARM + 1000]
  late = [x[name] for x in lines if x["step"] > ROUNDS - 1000]
  assert len(early) == len(late) == 100
  return max(early), max(late)


def test_no_array_is_left_behind(long_run):
  early, late = highest(long_run, "memory/arrays")
  assert late <= early


def test_memory_is_flat(long_run):
  if "memory/mb" not in long_run[-1]:
    pytest.skip("only Linux says what a process holds now")
  early, late = highest(long_run, "memory/mb")
  # Two kilobytes left behind a round would be ten megabytes.
  assert late < early + 8
