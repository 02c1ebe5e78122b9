"""Runs written by hand, grouped into arms, compared and judged."""

import json

import numpy as np
import pytest

from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import arms, compare, diagnostics, judgement
from bitzero_jax.evaluate.graded import Graded, to_record
from bitzero_jax.state import KINDS, RIGHT, WRONG

TASKS = 600


def sat(suite, seed, share, rng):
  """An exam of which about `share` is right; the human one is always the same.

  A third of the held-out tasks is longer than trained.
  """
  beyond = np.arange(TASKS) % 3 == 2 if suite == "heldout" else np.zeros(TASKS)
  right = rng.random((3, TASKS)) < share
  kinds = KINDS[2:] if suite == "list_functions" else KINDS
  grade = {
    k: np.where(r, RIGHT, WRONG)
    for k, r in zip(kinds, right[: len(kinds)], strict=True)
  }
  tokens = {} if len(kinds) == 1 else {k: np.full(TASKS, 2) for k in kinds}
  nats = {k: 2 - share + 0.1 * rng.random(TASKS) for k in tokens}
  return Graded(
    exam=f"{suite} {seed}" if suite == "heldout" else suite,
    names=("short", "long"),
    bucket=beyond.astype(int),
    program=np.arange(TASKS),
    grade=grade,
    nats=nats,
    tokens=tokens,
    probability={},
    agreement={},
  )


def write(
  folder, name, seed, shares, *, pace=1.0, lists=True, beside=None, **changes
):
  """A run that was evaluated after 10, 20, 30 updates with these shares."""
  config = config_lib.default()
  config.name, config.seed = name, seed
  config.curriculum.name = changes.pop("curriculum", "random")
  for key, value in changes.items():
    config.learn[key] = value
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(config_lib.to_json(config))
  if beside:
    (folder / "environment.json").write_text(json.dumps({"seeds": beside}))
  lines, graded = [], []
  for place, share in enumerate(shares):
    step = 10 * (place + 1)
    line = {"step": step, "seconds": 50 + pace * step, "eval/constant": 0.1}
    line |= {f"eval/{kind}": share for kind in KINDS}
    line |= {f"eval/nll/{kind}": 2 - share for kind in KINDS}
    line |= {"trained/lengths": [0, 0.5, 0.5 * place, 0.5 * (1 - place)]}
    line |= {"reject/constant": 0.2, "novelty/behaviours": 7.0 * step}
    lines.append(line)
    for suite in ("heldout", "human"):
      rng = np.random.default_rng([seed, place, len(suite), len(name)])
      record = to_record(suite, sat(suite, seed, share, rng))
      graded.append({"step": step} | record)
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (folder / "metrics.jsonl").write_text(text)
  text = "".join(json.dumps(line) + "\n" for line in graded)
  (folder / "graded.jsonl").write_text(text)
  if lists:
    rng = np.random.default_rng([seed, len(name)])
    tasks = to_record(
      "list_functions", sat("list_functions", seed, shares[-1], rng)
    )
    (folder / "evaluations").mkdir()
    (folder / "evaluations" / "list_functions.json").write_text(
      json.dumps({"scores": {"step": step}, "tasks": tasks})
    )


@pytest.fixture
def table(tmp_path):
  """A control, an arm that wins, one that is slow, and one that differs."""
  for seed in range(3):
    write(tmp_path / f"a{seed}", "plain", seed, (0.2, 0.3))
    write(tmp_path / f"b{seed}", "sharp", seed, (0.3, 0.6), curriculum="trr")
    write(
      tmp_path / f"c{seed}",
      "slow",
      seed,
      (0.3, 0.6),
      pace=2.0,
      curriculum="edits",
    )
    write(tmp_path / f"d{seed}", "longer", seed, (0.2, 0.6), updates=64)
  return tmp_path


def test_runs_that_differ_in_their_seed_alone_are_one_arm(table):
  found = arms.read(table)
  assert [(arm.name, sorted(arm.runs)) for arm in found] == [
    (name, [0, 1, 2]) for name in ("plain", "sharp", "slow", "longer")
  ]
  run = found[0].runs[1]
  assert sorted(run.sittings) == ["heldout", "human", "list_functions"]
  assert [(s.step, s.seconds) for s in run.sittings["human"]] == [
    (10, 0.0),
    (20, 10.0),
  ]
  assert [s.step for s in run.sittings["list_functions"]] == [20]
  with pytest.raises(ValueError, match="no arm is called 'x'; there are 'pla"):
    arms.find(found, "x")


def test_runs_that_were_trained_side_by_side_are_found(tmp_path):
  for seed in range(2):
    inner = tmp_path / "shared" / f"seed{seed}"
    write(inner, "plain", seed, (0.2,), beside=2)
    write(tmp_path / f"sharp.{seed}", "sharp", seed, (0.3,), curriculum="trr")
  write(tmp_path / "plain.2", "plain", 2, (0.2,))
  plain, sharp = arms.read(tmp_path)
  assert (plain.name, sorted(plain.runs)) == ("plain", [0, 1, 2])
  assert [plain.runs[seed].seeds for seed in range(3)] == [2, 2, 1]
  assert (sharp.name, sorted(sharp.runs)) == ("sharp", [0, 1])


def test_arms_of_one_name_get_a_number_and_a_copy_is_refused(tmp_path):
  write(tmp_path / "a", "plain", 0, (0.2,))
  write(tmp_path / "b", "plain", 0, (0.2,), curriculum="trr")
  assert [arm.name for arm in arms.read(tmp_path)] == ["plain", "plain (2)"]
  write(tmp_path / "c", "plain", 0, (0.2,))
  with pytest.raises(ValueError, match="config of another run"):
    arms.read(tmp_path)


def test_where_there_is_no_run_that_is_said(tmp_path, capsys):
  assert compare.main([str(tmp_path)]) == 2
  assert "no run with an evaluation" in capsys.readouterr().err


def test_only_what_is_not_the_curriculum_is_warned_of(table):
  plain, sharp, _, longer = arms.read(table)
  assert arms.differences(sharp, plain) == []
  assert arms.differences(longer, plain) == ["learn.updates: 64 and 32"]


def test_seconds_that_were_shared_are_warned_of(tmp_path):
  write(tmp_path / "a", "plain", 0, (0.2,))
  write(tmp_path / "b/seed0", "sharp", 0, (0.3,), curriculum="trr", beside=3)
  plain, sharp = arms.read(tmp_path)
  assert arms.differences(sharp, plain) == ["environment.seeds: 3 and 1"]


def test_at_equal_rows_and_seconds_a_win_is_a_win(table):
  plain, sharp, slow, _ = arms.read(table)
  for equal in judgement.EQUAL:
    found = judgement.judge(sharp, plain, equal)
    assert set(found.verdicts().values()) == {"better"}
    assert found.wins()
    assert found.steps == [(20, 20)] * 3
    row = found.rows[0]
    assert (row.family, row.kind) == ("trained lengths", "mean")
    assert row.accuracy.mean == pytest.approx(0.3, abs=0.05)
    assert row.log_loss is not None
    assert row.log_loss.mean == pytest.approx(-0.15, abs=0.01)
    assert row.log_loss.verdict(less_is_better=True) == "better"
    back = judgement.judge(plain, sharp, equal)
    assert set(back.verdicts().values()) == {"worse"} and not back.wins()
  assert judgement.judge(slow, plain, "rows").wins()
  late = judgement.judge(slow, plain, "wall-clock")
  assert late.steps == [(10, 20)] * 3
  assert not late.wins()
  assert late.verdicts()["list functions"] == judgement.NOT_MEASURED
  with pytest.raises(ValueError, match="must be one of rows, wall-clock"):
    judgement.judge(sharp, plain, "luck")


def test_what_a_win_lacks_is_named(tmp_path):
  write(tmp_path / "a", "plain", 0, (0.2,), lists=False)
  write(tmp_path / "b", "sharp", 0, (0.9,), lists=False, curriculum="trr")
  plain, sharp = arms.read(tmp_path)
  rows = judgement.judge(sharp, plain, "rows")
  assert rows.wins()
  assert judgement.shortfalls(sharp, plain, rows) == [
    "list functions: not measured",
    "1 of at least 3 seeds",
    "seed 0: 400 of at least 500 tasks",
  ]


def test_the_page_says_all_of_it(table, capsys):
  assert compare.main([str(table), "--control=plain"]) == 0
  said = capsys.readouterr().out
  assert said.startswith("Primary measure: mean of three accuracies over")
  assert "| sharp | 3 | 20 | 0.600 ± 0.000 |" in said
  assert "1.40/1.40/1.40" in said
  _, *parts = said.split(" minus plain")
  assert ["Win: yes" in part for part in parts] == [False] * 3
  assert "WARNING: not only the curriculum differs: learn.updates" in parts[2]
  assert parts[0].count("worse on none): holds") == 2  # but too few tasks
  assert "400 of at least 500 tasks" in parts[0]
  assert compare.main([str(table), "--control=none"]) == 2
  assert "no arm is called 'none'" in capsys.readouterr().err


def test_the_lengths_of_an_arm_make_its_control(table, capsys):
  plain = arms.read(table)[0]
  assert diagnostics.trained_lengths(plain) == (0, 0.5, 0.25, 0.25)
  assert "| plain | - | 0.200 |" in "\n".join(diagnostics.table([plain]))
  assert compare.main([str(table), "--lengths=plain"]) == 0
  command = capsys.readouterr().out
  assert "--config.curriculum.lengths='(0,0.5,0.25,0.25,)'" in command
  assert "--config.seed=SEED " in command


def test_the_control_of_seeds_side_by_side_is_trained_so_too(tmp_path):
  for seed in (4, 5):
    write(tmp_path / f"a/seed{seed}", "plain", seed, (0.2, 0.3), beside=2)
  command = compare.length_command(arms.read(tmp_path)[0])
  assert "--config.seed=4 --config.seeds=2 " in command
