"""A round's stages through the TPU's own compiler, for slices not here.

`pytest -m slow tests/plan/aot_test.py`, with libtpu. As in
`tests/kernels/aot_test.py`, a missing compiler fails where BITZERO_AOT says so.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Rows and features that 256 chips can split.
SMALL = [
  "--config=experiments/smoke.py",
  "--config.curriculum.name=random",
  "--config.propose.candidates=768",
  "--config.solve.fresh_rows=256",
  "--config.learn.rows=(256,256,256)",
  "--config.model.width=256",
  "--config.model.hidden=512",
  "--config.model.heads=2",
  "--config.model.kv_heads=2",
  "--config.model.layers=4",
  "--config.model.dtype=bfloat16",
  "--config.model.scan=True",
  "--config.model.remat=full",
  "--config.optimizer.name=adamw",
]
FULL_WEIGHTS = 2 * 4 * (4 * 256 * 256 + 3 * 256 * 512)  # bfloat16, 4 layers
GATHERS = {"all-gather", "collective-permute"}

pytestmark = pytest.mark.slow


def planned(*arguments):
  if importlib.util.find_spec("libtpu") is None:
    if "tpu" in os.environ.get("BITZERO_AOT", ""):
      pytest.fail("libtpu must be installed for this job")
    pytest.skip("needs libtpu")
  done = subprocess.run(
    [sys.executable, "-m", "bitzero_jax.main", "plan", "--json", *arguments],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=7200,
    check=False,
  )
  return done, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
  "topology", ["v5e:2x2", "v5e:16x16", "v6e:16x16", "v5p:4x4x4"]
)
def test_a_whole_round_compiles_for_a_slice_and_fits(topology):
  done, (found,) = planned(*SMALL, f"--topology={topology}")
  assert done.returncode == 0, done.stderr[-2000:]
  assert found["fits"] and found["verdict"].endswith("Nothing ran.")
  assert [p["stage"] for p in found["programs"]] == [
    *("learn", "solve", "propose")
  ]
  learn, solve, _ = found["programs"]
  held = found["resident"]
  # Donated: all of the state lies where the one before lay, but for padding.
  state = held["parameters"] + held["optimizer"] + held["rest"]
  assert learn["aliased"] >= 0.95 * state
  for program in (learn, solve):
    assert program["peak"] <= 0.9 * found["memory"]
    # Parameters are split: a product gathers its kernel, or over many chips
    # goes on while the parts are sent round.
    assert GATHERS & program["collectives"].keys()
    assert program["gathered"] < FULL_WEIGHTS  # a kernel at a time
  assert {"all-reduce", "reduce-scatter"} & learn["collectives"].keys()


# The gates must bite.
def test_more_than_a_chip_holds_is_refused_by_the_compiler():
  done, (found,) = planned(
    "--config=experiments/scale/ternary_100m.py",
    *("--config.model.remat=none", "--topology=v5e:1x1", "--tries=1"),
  )
  assert done.returncode == 1
  assert not found["fits"] and not found["programs"]
  assert "learn: RESOURCE_EXHAUSTED" in found["verdict"]


def test_a_state_that_is_too_large_is_not_even_compiled():
  done, (found,) = planned(
    "--config=experiments/scale/ternary_2b.py", "--topology=v5e:1x1"
  )
  assert done.returncode == 1
  assert not found["fits"] and not found["programs"]
  assert "more chips must share them" in found["verdict"]


def test_a_slice_that_does_not_exist_is_refused():
  done, found = planned(*SMALL, "--topology=v5p:1x1x64")
  assert (done.returncode, found) == (2, [])
  assert "--topology=v5p:1x1x64: libtpu knows no such" in done.stderr
