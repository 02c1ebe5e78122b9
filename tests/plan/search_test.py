"""What is tried where a config does not fit, and what is said of it."""

import json
import subprocess

import pytest

from bitzero_jax import config as config_lib
from bitzero_jax.plan import search, table, topology
from bitzero_jax.plan.program import Program
from bitzero_jax.plan.resident import Resident

GIB = topology.GIB
V5E = topology.parse("v5e:2x2")
HELD = Resident(parameters=GIB, optimizer=2 * GIB, rest=0, cache=GIB // 2)


def program(stage, gib):
  size = int(gib * GIB)
  return Program(stage, 3 * GIB, 0, size - 3 * GIB, 0, 0, {}, 0, 1.0, 2.0)


SMALL = program("propose", 4)


def trial(*programs, failure="", settings=None, held=HELD):
  mesh = {"data": 1, "fsdp": 4, "tensor": 1}
  return search.Trial(V5E, settings or {}, mesh, held, [*programs], failure)


@pytest.fixture
def config():
  return config_lib.default()


def test_what_only_learning_is_given_lies_beside_the_others():
  done = trial(program("learn", 10), program("solve", 9), SMALL)
  assert done.most == 11 * GIB  # two of them the optimizer's
  assert done.fits


@pytest.mark.parametrize(
  ("done", "said"),
  [
    (
      trial(program("learn", 15), SMALL, SMALL),
      "15.00 GiB of 15.75, where 10% must be left",
    ),
    (trial(failure="learn: no room"), "does not fit: learn: no room"),
    (
      trial(held=HELD._replace(parameters=14 * GIB), failure="learn: no room"),
      "alone take 16.00 GiB of 15.75; more chips must share them (mesh.fsdp)",
    ),
  ],
)
def test_what_does_not_fit_says_why(done, said):
  assert not done.fits
  assert said in table.verdict(done)


def test_nothing_fits_that_was_not_compiled():
  assert not trial().fits
  assert not trial(program("learn", 10), program("solve", 9)).fits


def test_what_fits_says_what_to_set_and_that_nothing_ran():
  settings = {"model.remat": "full", "learn.rows": (8, 8, 8)}
  done = trial(program("learn", 10), SMALL, SMALL, settings=settings)
  said = table.verdict(done)
  assert said.startswith("compiles and fits, 37% of a chip free; set ")
  assert '--config.model.remat=full --config.learn.rows="(8, 8, 8)"' in said
  assert said.endswith("Nothing ran.")


def test_rematerialization_is_tried_before_fewer_rows(config):
  config.solve.fresh_rows = 128
  first, second, third, fourth, *_ = search.smaller(config)
  assert (first, second) == ({"model.remat": "dots"}, {"model.remat": "full"})
  rows = tuple(-(-n // 2) for n in config.learn.rows)
  fewer = {"learn.rows": rows, "solve.fresh_rows": 64}
  assert third == {"model.remat": "full"} | fewer
  assert fourth["solve.fresh_rows"] == 32
  for settings in search.smaller(config):  # no invalid one is ever tried
    search.changed(config, settings)
  config.model.remat = "full"
  assert next(search.smaller(config)) == fewer


def test_a_try_leaves_the_config_as_it_is(config):
  before = config.to_dict()
  search.changed(config, {"model.remat": "full", "learn.updates": 16})
  assert config.to_dict() == before


def test_all_chips_are_taken(config):
  config.propose.candidates = 768
  assert search.spread(config, 1) == {}
  assert search.spread(config, 4) == {"mesh.data": 1, "mesh.fsdp": 4}
  # 96 features go over 32 chips at most.
  assert search.spread(config, 64) == {"mesh.data": 2, "mesh.fsdp": 32}
  config.mesh.data = 4
  assert search.spread(config, 4) == {}
  with pytest.raises(ValueError, match="is 4 devices, but the slice has 8"):
    search.spread(config, 8)


class Compiler:
  """Stands in for the process; answers one request after the other."""

  def __init__(self, monkeypatch, *answers):
    self.asked, self.answers = [], list(answers)
    monkeypatch.setattr(search.subprocess, "run", self.run)

  def run(self, command, *, input, env, timeout, **_):
    assert env["JAX_PLATFORMS"] == "cpu"
    self.asked.append(json.loads(input)["config"])
    lines, code, stderr = self.answers.pop(0)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if code is None:
      raise subprocess.TimeoutExpired(command, timeout, text.encode())
    return subprocess.CompletedProcess(command, code, text, stderr)


HOLDS = {"resident": HELD._asdict()}
LEARNS = {"program": program("learn", 10)._asdict()}
ANSWERS = [{"program": p._asdict()} for p in (program("solve", 5), SMALL)]
TOO_LARGE = {"overflow": "learn", "reason": "RESOURCE_EXHAUSTED: 32G of 15G"}


def searched(config, tries=4):
  config.propose.candidates = 768
  said = []
  found = list(search.search(config, V5E, tries, 60, said.append))
  return found, said


def test_smaller_ones_are_compiled_until_one_fits(config, monkeypatch):
  compiler = Compiler(
    monkeypatch,
    ([HOLDS, {"begun": "learn"}, TOO_LARGE], 0, ""),
    ([HOLDS, {"begun": "learn"}, LEARNS, *ANSWERS], 0, ""),
  )
  (large, fits), said = searched(config)
  assert large.failure == "learn: RESOURCE_EXHAUSTED: 32G of 15G"
  assert not large.fits and fits.fits
  assert [asked["model"]["remat"] for asked in compiler.asked] == [
    *("none", "dots")
  ]
  assert fits.settings["model.remat"] == "dots"
  assert said[0] == "compiling for v5e:2x2, as it is"


def test_where_the_state_alone_is_too_large_nothing_else_is_tried(
  config, monkeypatch
):
  held = HELD._replace(parameters=20 * GIB)._asdict()
  Compiler(monkeypatch, ([{"resident": held}], 0, ""))
  (only,), _ = searched(config)
  assert "more chips must share them" in table.verdict(only)


@pytest.mark.parametrize(
  ("code", "failure"),
  [(-6, "solve: exit -6: Check failed"), (None, "solve: more than 60 s")],
)
def test_a_compiler_that_dies_is_no_fit(config, monkeypatch, code, failure):
  lines = [HOLDS, {"begun": "learn"}, LEARNS, {"begun": "solve"}]
  Compiler(monkeypatch, (lines, code, "noise\nCheck failed\n"))
  (only,), _ = searched(config, tries=1)
  assert not only.fits
  assert only.failure == failure
  assert [p.stage for p in only.programs] == ["learn"]
  assert failure in table.verdict(only)


def test_a_slice_that_libtpu_refuses_is_bad_input(config, monkeypatch):
  Compiler(monkeypatch, ([{"refused": "no such slice"}], 0, ""))
  with pytest.raises(ValueError, match="no such slice"):
    searched(config)


def test_without_a_compiler_the_extra_is_named(monkeypatch):
  monkeypatch.setattr(search.importlib.util, "find_spec", lambda _: None)
  with pytest.raises(ValueError, match=r"pip install 'bitzero-jax\[tpu\]'"):
    search.need_libtpu()


def test_a_table_and_its_json_tell_the_same(monkeypatch):
  monkeypatch.setattr(table, "versions", lambda: "jax 1, libtpu 2")
  sends = program("learn", 10)._replace(collectives={"all-gather": 3})
  done = trial(sends, program("solve", 9), SMALL)
  shown = "\n".join(table.lines("tiny", done))
  assert "tiny on v5e:2x2 (4 x 15.75 GiB)" in shown
  assert "| parameters | 1.00 |" in shown
  assert "| learn | 7.00 | 10.00 | 3 all-gather | 0.00 | 1 | 2 |" in shown
  assert "| solve | 6.00 | 11.00 | none | 0.00 | 1 | 2 |" in shown
  record = json.loads(json.dumps(table.record("tiny", done)))
  assert record["fits"] is True and record["verdict"] in shown
  assert record["programs"][1]["peak"] == 11 * GIB
