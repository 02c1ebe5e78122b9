"""Ten thousand rounds take no more memory than the first two thousand."""

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
ROUNDS, WARM = 10_000, 2_000
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


def between(lines, name, first, last):
  return [line[name] for line in lines if first < line["step"] <= last]


def test_no_array_is_left_behind(long_run):
  assert long_run[-1]["step"] == ROUNDS
  settled = between(long_run, "memory/arrays", WARM, ROUNDS)
  assert len(settled) >= (ROUNDS - WARM) // 10
  assert len(set(settled)) == 1


def test_memory_is_flat(long_run):
  if "memory/mb" not in long_run[-1]:
    pytest.skip("only Linux says what a process holds now")
  early = between(long_run, "memory/mb", WARM, WARM + 1000)
  late = between(long_run, "memory/mb", ROUNDS - 1000, ROUNDS)
  # A kilobyte left behind a round would be eight megabytes.
  assert max(late) < max(early) + 8
