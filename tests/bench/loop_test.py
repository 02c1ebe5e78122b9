"""The phases of a round are timed on the round that training runs."""

import re

import pytest

from bitzero_jax import main
from bitzero_jax.bench import loop

SMOKE = "--config=experiments/smoke.py"


def test_a_round_is_measured_phase_by_phase(capsys):
  arguments = ["bench", "loop", SMOKE, "--rounds=2", "--warm=1"]
  assert main.main([*arguments, "--config.learn.rows=(4, 4, 4)"]) == 0
  said = capsys.readouterr()
  lines = said.out.splitlines()
  names = [line.split("|")[1].strip() for line in lines if "%" in line[:60]]
  assert names[: len(loop.PHASES)] == list(loop.PHASES)
  seconds = dict(re.findall(r"^\| (\w+) \| ([\d.]+) \|", said.out, re.M))
  phases = sum(float(seconds[name]) for name in loop.PHASES)
  assert phases == pytest.approx(float(seconds["all"]), abs=0.004)
  assert "rows/s" in lines[-1] and "executor" in lines[-1]
  assert "round 3 of 3" in said.err


@pytest.mark.parametrize(
  "arguments",
  [
    [SMOKE, "--rounds=0"],
    [SMOKE, "--warm=-1"],
    [SMOKE, "--config.no.key=1"],
    ["--config=nowhere.py"],
    [],
  ],
)
def test_bad_input_is_one_line(capsys, arguments):
  with pytest.raises(SystemExit) as stopped:
    main.main(["bench", "loop", *arguments])
  assert stopped.value.code == 2
  assert capsys.readouterr().out == ""
