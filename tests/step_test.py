"""Whole rounds with the real executor, however they are wired."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build, config_checks, seeds
from bitzero_jax import config as config_lib
from bitzero_jax.state import KINDS, REASON
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Judge

ROUNDS = 2
NOBODY = np.zeros((0, 2), np.uint32)


def tiny(**changes):
  config = config_lib.default()
  config.rounds = 8
  config.model.width, config.model.layers, config.model.hidden = 32, 1, 32
  config.propose.candidates, config.solve.fresh_rows = 24, 8
  config.propose.model_share = 0.5
  config.language.pairs, config.language.spare = 6, 3
  config.learn.updates = 2
  config.learn.rows = (4, 4, 4)
  config.optimizer.warmup = 1
  config.pool.capacity = 64
  for path, value in changes.items():
    room, _, field = path.rpartition("__")
    (config[room] if room else config)[field] = value
  config_checks.validate(config)
  return config


def awake(config, barred=NOBODY):
  """The first state, with a head that says something."""
  state = build.build_state(config, barred)
  norm = state.params["model"]["norm"]["scale"]
  state.params["model"]["norm"]["scale"] = jnp.ones_like(norm)
  return state


class Counting(Judge):
  """A judge that remembers how many rows each call had."""

  def __init__(self, executor, pairs):
    super().__init__(executor, pairs)
    self.checked, self.graded = [], []

  def check(self, candidates, bounds):
    self.checked.append(candidates.program.shape[0])
    return super().check(candidates, bounds)

  def grade(self, answers):
    self.graded.append(answers.kind.shape[0])
    self.answers = answers
    return super().grade(answers)


class Run(NamedTuple):
  state: object
  metrics: list
  traces: list
  judge: Counting


def play(config, executor, rounds=ROUNDS, barred=NOBODY):
  judge = Counting(executor, config.language.pairs)
  with ThreadPoolExecutor(1) as background:
    one_round = build.build_round(config, judge, background)
    return go_on(config, one_round, judge, rounds, barred)


def go_on(config, one_round, judge, rounds=ROUNDS, barred=NOBODY):
  judge.checked.clear()
  judge.graded.clear()
  state, metrics, traces = one_round.begin(awake(config, barred)), [], []
  for _ in range(rounds):
    state, measured, trace = one_round.step(state)
    metrics.append(jax.device_get(measured))
    traces.append(jax.device_get(trace))
  state = jax.device_get(state)
  assert judge.failure is None
  return Run(state, metrics, traces, judge)


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


@pytest.fixture(scope="module")
def run(executor):
  return play(tiny(), executor)


@pytest.fixture(scope="module")
def by_host(executor):
  """A compiled round in the other wiring, and its judge."""
  config = tiny(wiring="host")
  judge = Counting(executor, config.language.pairs)
  with ThreadPoolExecutor(1) as background:
    yield build.build_round(config, judge, background), judge


def test_both_wirings_give_the_same_state(run, by_host):
  other = go_on(tiny(wiring="host"), *by_host)
  jax.tree.map(np.testing.assert_array_equal, other.state, run.state)
  jax.tree.map(np.testing.assert_array_equal, other.traces, run.traces)
  # A mean that is only shown may be rounded otherwise.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
    other.metrics,
    run.metrics,
  )
  assert other.judge.graded == run.judge.graded


@pytest.mark.slow
@pytest.mark.parametrize("name", ["proposer", "trr_kl", "progress"])
def test_what_a_curriculum_adds_is_the_same_however_it_is_wired(executor, name):
  one = play(tiny(curriculum__name=name), executor)
  config = tiny(curriculum__name=name, wiring="host")
  other = play(config, executor)
  jax.tree.map(np.testing.assert_array_equal, one.state, other.state)
  jax.tree.map(np.testing.assert_array_equal, one.traces, other.traces)


@pytest.mark.slow
def test_the_language_widens_when_the_model_is_ready(executor):
  ready = {
    "language__levels": ("small", "full"),
    "language__widen_rate": 1e-12,
    "language__widen_rounds": 2,
  }
  one = play(tiny(**ready), executor)
  other = play(tiny(**ready, wiring="host"), executor)
  jax.tree.map(np.testing.assert_array_equal, one.state, other.state)
  assert int(one.state.widening.level) == 1
  assert [int(m["level/index"]) for m in one.metrics] == [1, 1]
  # The second round's proposals were still those of the first level.
  high = [int(np.asarray(high)) for _, _, high in [one.state.proposed.bounds]]
  assert high == [99]
  assert (one.traces[1].tasks.program != 0).sum(1).max() <= 8
  never = {**ready, "language__widen_rate": 1.0}
  assert int(play(tiny(**never), executor).state.widening.level) == 0


@pytest.mark.slow
def test_tasks_to_measure_are_measured_and_nothing_else(executor):
  config = tiny(
    wiring="host",
    curriculum__name="progress",
    propose__model_share=1.0,
    propose__measured=24,
  )
  got = play(config, executor)
  assert got.judge.graded == [24] * ROUNDS
  admitted = 0
  for metrics, trace in zip(got.metrics, got.traces, strict=True):
    np.testing.assert_array_equal(trace.tasks.source, [1] * 24 + [0] * 24)
    for name in ("learnability/random", "progress/random", "probe/random"):
      assert np.isfinite(metrics[name])
    assert (trace.reason[24:] == REASON["accepted"]).any()
    admitted += int((trace.reason[:24] == REASON["accepted"]).sum())
  assert int(got.state.pool.admitted) == admitted
  assert (got.state.pool.tasks.source[: int(got.state.pool.size)] == 1).all()


@pytest.mark.slow
def test_a_proposer_learns_from_the_prior_too(executor):
  config = tiny(
    wiring="host", curriculum__name="proposer", propose__model_share=0.0
  )
  first, second = play(config, executor).metrics
  assert first["imitated/tasks"] > 0 and second["imitated/tasks"] > 0
  assert np.isfinite(first["loss/imitate"])
  assert "loss/policy/propose" not in first


def test_a_state_from_elsewhere_goes_on_as_it_would_have(by_host, run):
  one_round, _ = by_host
  state = one_round.begin(awake(tiny(wiring="host")))
  for _ in range(ROUNDS):
    state, _, _ = one_round.step(copy(state))
  jax.tree.map(np.testing.assert_array_equal, state, run.state)


def copy(state):
  """As a checkpoint gives it back: nothing was checked ahead."""
  return jax.tree.map(jnp.array, state)


def test_the_host_is_called_twice_a_round(run):
  assert run.judge.checked == [24] * ROUNDS
  assert run.judge.graded == [24] * ROUNDS


def test_a_round_counts_what_it_did(run):
  state = run.state
  assert (int(state.round), int(state.updates)) == (ROUNDS, 2 * ROUNDS)
  assert int(state.unknown) == 0
  asked = sum(
    int(np.isin(t.reason, [REASON["accepted"], REASON["known"]]).sum())
    for t in run.traces
  )
  assert int(state.verdicts) == 24 * ROUNDS + asked
  accepted = sum(
    int((t.reason == REASON["accepted"]).sum()) for t in run.traces
  )
  assert 0 < accepted == int(state.pool.size) == int(state.pool.admitted)
  # Nothing was evicted, so all that was met is still in the pool.
  met = run.metrics[-1]["novelty/behaviours"]
  assert met == pytest.approx(accepted, abs=0.1)


def test_the_pool_holds_what_was_accepted_once_each(run):
  size = int(run.state.pool.size)
  held = run.state.pool.tasks.behaviour[:size]
  assert len(np.unique(held, axis=0)) == size
  programs = np.concatenate(
    [t.tasks.program[t.reason == REASON["accepted"]] for t in run.traces]
  )
  np.testing.assert_array_equal(run.state.pool.tasks.program[:size], programs)
  assert not run.state.pool.tasks.program[size:].any()


def test_what_is_asked_is_not_the_proposers_own_input(run):
  tasks, answers = run.traces[-1].tasks, run.judge.answers
  asked = answers.kind == KINDS.index("deduction")
  fresh = np.flatnonzero(tasks.kind == KINDS.index("deduction"))
  np.testing.assert_array_equal(
    answers.inputs[asked][:, 0], tasks.inputs[fresh][:, 1]
  )
  # Turned, not dropped: the proposer's own comes last.
  assert tasks.inputs[fresh].any(axis=(0, 2))[0]
  np.testing.assert_array_equal(
    answers.inputs[asked][:, -1], tasks.inputs[fresh][:, 0]
  )


def test_the_round_learns_and_measures(run):
  start = awake(tiny()).params["model"]
  moved = jax.tree.map(
    lambda a, b: bool((np.asarray(a) != b).any()),
    start,
    run.state.params["model"],
  )
  assert all(jax.tree.leaves(moved))
  for measured in run.metrics:
    shares = [v for n, v in measured.items() if n.startswith("reject/")]
    assert sum(shares) + measured["accept/rate"] == pytest.approx(1, abs=1e-6)
    assert measured["solve_rate/histogram"].sum() == pytest.approx(
      24 * measured["accept/sound"]
    )
    assert measured["trained/lengths"].sum() == pytest.approx(1)
    assert 1 < measured["depth/random"] < measured["length/random"]
    assert sum(measured["learnability/histogram"]) <= 12  # the prior's
    shares = [measured[f"{why}/model"] for why in ("constant", "accept")]
    assert 0 <= sum(shares) <= 1
    for name in ("loss/total", "norm/gradient", "entropy/solve"):
      assert np.isfinite(measured[name])
    assert 0 <= measured["ternary/flip_rate"] <= 1
    assert measured["ternary/kernels/scale"].shape == (7,)
    flips = measured["ternary/kernels/flip_rate"].mean()  # all of one shape
    assert measured["ternary/flip_rate"] == pytest.approx(flips, rel=1e-5)
  for trace in run.traces:
    sound = np.isin(trace.reason, [REASON["accepted"], REASON["known"]])
    assert (trace.solve_rate[~sound] == 0).all()
    assert (trace.solve_rate <= 1).all()
    assert trace.solve_rate[sound].max() > 0


def test_the_same_seed_gives_the_same_run_and_another_does_not(run, by_host):
  again = go_on(tiny(wiring="host"), *by_host)
  jax.tree.map(np.testing.assert_array_equal, again.state, run.state)
  other = go_on(tiny(wiring="host", seed=1), *by_host, rounds=1)
  assert (other.traces[0].tasks.program != run.traces[0].tasks.program).any()


def test_barred_behaviours_are_never_trained_on(run, by_host):
  first = run.traces[0]
  sound = np.isin(first.reason, [REASON["accepted"], REASON["known"]])
  barred = np.unique(first.tasks.behaviour[sound], axis=0)
  got = go_on(tiny(wiring="host"), *by_host, rounds=1, barred=barred)
  assert (got.traces[0].reason[sound] == REASON["barred"]).all()
  held = got.state.pool.tasks.behaviour[: int(got.state.pool.size)]
  both = np.concatenate([held, barred])
  assert len(np.unique(both, axis=0)) == len(np.unique(held, axis=0)) + len(
    barred
  )


def test_sampler_and_learner_see_the_same_number(executor):
  config = tiny(
    wiring="host",
    propose__candidates=192,
    solve__fresh_rows=64,
    learn__updates=1,
  )
  metrics = play(config, executor, rounds=1).metrics
  assert float(metrics[0]["gap/logprob_max"]) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
  ("rows", "precision"),
  [
    (64, {}),
    (16, {}),  # a sampled column is small enough for another exponential
    (64, {"precision__depths": (1, 2)}),
    (64, {"precision__planes": (2,)}),
  ],
)
def test_packed_rollouts_leave_no_gap_to_an_integer_learner(
  executor, rows, precision
):
  config = tiny(
    wiring="host",
    propose__candidates=192,
    solve__fresh_rows=rows,
    learn__updates=1,
    quant__product="integer",
    rollout="packed",
    **precision,
  )
  got = play(config, executor)
  assert [m["gap/logprob_max"] for m in got.metrics] == [0.0] * ROUNDS
  assert all(np.isfinite(m["loss/total"]) for m in got.metrics)


@pytest.mark.slow
def test_pool_tasks_and_many_samples_are_graded_too(executor):
  config = tiny(
    wiring="host",
    solve__samples=2,
    solve__buffer_rows=2,
    probe__method="samples",
  )
  got = play(config, executor)
  assert got.judge.graded == [3 * (8 + 2) * 2] * ROUNDS
  sound = [
    int(np.isin(t.reason, [REASON["accepted"], REASON["known"]]).sum())
    for t in got.traces
  ]
  # In the first round the pool is empty, in the second it fills its rows.
  asked = [2 * sound[0], 2 * (sound[1] + 6)]
  assert int(got.state.verdicts) == 24 * ROUNDS + sum(asked)
  for trace in got.traces:
    assert set(np.unique(trace.solve_rate)) <= {0.0, 0.5, 1.0}


@pytest.mark.slow
def test_the_prior_may_write_everything(executor):
  config = tiny(wiring="host", propose__model_share=0.0)
  got = play(config, executor, rounds=1)
  assert "loss/policy/propose" not in got.metrics[0]
  assert (got.traces[0].tasks.source == 0).all()
  assert int(got.state.pool.size) > 0


@pytest.mark.slow
def test_seeds_at_two_levels_are_each_what_they_are_alone(executor):
  two_levels = {
    "wiring": "host",
    "language__levels": ("small", "full"),
    "language__widen_rate": 1.0,
  }
  alone, both = tiny(**two_levels), tiny(**two_levels, seeds=2)

  def at(seed):
    config = tiny(**two_levels, seed=seed)
    state = awake(config)
    widening = state.widening.replace(level=jnp.int32(seed))
    return state.replace(widening=widening)

  def rounds(config, state):
    judge = Counting(executor, config.language.pairs)
    with ThreadPoolExecutor(1) as background:
      one_round = build.build_round(config, judge, background)
      state, _, first = one_round.step(one_round.begin(state))
      assert judge.failure is None and judge.graded == [24 * config.seeds]
      return jax.device_get((state.proposed, first))

  together = rounds(both, seeds.together([at(0), at(1)]))
  small, full = seeds.apart(together, 2)
  low, high = (rounds(alone, at(seed)) for seed in (0, 1))
  for got, due in ((small, low), (full, high)):
    for mine, theirs in zip(
      jax.tree.leaves(got), jax.tree.leaves(due), strict=True
    ):
      if np.issubdtype(theirs.dtype, np.floating):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
      else:
        np.testing.assert_array_equal(mine, theirs)
  assert [int(x.bounds[2]) for x in (small[0], full[0])] == [20, 99]
  accepted = REASON["accepted"]
  assert all((x[1].reason == accepted).any() for x in (small, full))


def test_too_few_devices_are_refused(executor):
  config = tiny(mesh__data=4)
  judge = Judge(executor, config.language.pairs)
  with (
    ThreadPoolExecutor(1) as background,
    pytest.raises(ValueError, match="is 4 devices, but this process has 1"),
  ):
    build.build_round(config, judge, background)


_FOUR = """
import importlib.util
import pickle
import sys
sys.path[:0] = {path!r}
from bitzero_jax.verify.executor import Executor
spec = importlib.util.spec_from_file_location("rounds", {file!r})
rounds = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rounds)
import jax
with Executor() as executor:
  four = rounds.play(rounds.tiny(devices=4), executor)
calls = four.judge.checked, four.judge.graded
leaves = jax.tree.leaves((four.state, four.traces))
with open({out!r}, "wb") as file:
  pickle.dump((calls, leaves), file)
"""


@pytest.mark.slow
def test_four_devices_share_the_host_calls_and_agree_with_one(run, tmp_path):
  out = tmp_path / "run"
  flag = "--xla_force_host_platform_device_count=4"
  code = _FOUR.format(path=sys.path, file=__file__, out=str(out))
  done = subprocess.run(
    [sys.executable, "-c", code],
    env={**os.environ, "XLA_FLAGS": flag},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  calls, leaves = pickle.loads(out.read_bytes())
  assert calls == ([6] * 4 * ROUNDS, [6] * 4 * ROUNDS)
  due = jax.tree.leaves((run.state, run.traces))
  for got, expected in zip(leaves, due, strict=True):
    if np.issubdtype(expected.dtype, np.floating):
      # A sum over rows may be added in another order.
      np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    else:
      np.testing.assert_array_equal(got, expected)
