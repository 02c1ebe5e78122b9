"""What every curriculum promises. A new variant adds a row to CASES."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import config as config_lib
from bitzero_jax import config_checks
from bitzero_jax.curriculum import table
from bitzero_jax.curriculum.base import Judged, Writers, paid_for_gap
from bitzero_jax.state import REASON, REASONS

SOUND = ("accepted", "known")
# One candidate for each reason, and eight more that are sound.
CODES = np.array([*range(len(REASONS)), *[REASON["accepted"]] * 8], np.int32)
RATES = np.linspace(0.0, 1.0, len(CODES), dtype=np.float32)


class Case(NamedTuple):
  """One row: the name, who writes and how they learn it, what is repeated.

  Attributes:
    name: in the table.
    writers: who writes candidates beside the prior.
    learns: how the model learns to write: "reward", "imitate", or not at all.
    repeats: whether a task whose behaviour is known may be trained on.
  """

  name: str
  writers: Writers
  learns: str = ""
  repeats: bool = True

  def __str__(self) -> str:
    return self.name


CASES = [
  Case("random", Writers.NOBODY),
  Case("random_novel", Writers.NOBODY, repeats=False),
  Case("trr", Writers.MODEL, "reward"),
  Case("trr_kl", Writers.MODEL, "reward"),
  Case("azr", Writers.MODEL, "reward"),
  Case("proposer", Writers.MODEL, "imitate"),
  Case("progress", Writers.MODEL, "imitate"),
  Case("edits", Writers.EDITS),
  Case("learnability", Writers.NOBODY),
  Case("learnability_by_length", Writers.NOBODY),
  Case("length_matched", Writers.NOBODY),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def those_that(learn):
  cases = [case for case in CASES if case.learns == learn]
  return pytest.mark.parametrize("case", cases, ids=str)


def make(case):
  options = config_lib.default().curriculum
  options.lengths = (0, 1, 2, 3, 1, 0.5)
  return table.make(case.name, options)


def judged(codes=CODES, rates=RATES, lengths=None):
  codes = jnp.asarray(codes)
  sound = jnp.isin(codes, jnp.array([REASON[name] for name in SOUND]))
  lengths = jnp.full(codes.shape, 5) if lengths is None else lengths
  return Judged(
    codes,
    sound,
    jnp.where(sound, rates, 0.0),
    jnp.asarray(lengths),
    progress=jnp.asarray(rates),
  )


def test_every_name_in_the_table_has_a_row():
  assert {case.name for case in CASES} == set(table.CURRICULA)
  assert set(config_checks.CURRICULA) == set(table.CURRICULA)
  paid = {case.name for case in CASES if case.learns == "reward"}
  assert set(config_checks.REINFORCED) == paid


@every_case
def test_a_curriculum_knows_itself(case):
  made = make(case)
  assert (made.name, made.writers) == (case.name, case.writers)
  learns = [n for n in ("reward", "imitate") if getattr(made, n) is not None]
  assert learns == [case.learns] * bool(case.learns)
  assert bool(case.learns) == (case.writers is Writers.MODEL)
  assert made.prior_kl == 0 or case.learns == "reward"


@every_case
def test_only_sound_tasks_are_chosen(case):
  weight = jax.jit(make(case).choose)(judged())
  assert (weight.shape, weight.dtype) == (CODES.shape, jnp.float32)
  chosen = np.asarray(weight) > 0
  assert not chosen[~np.asarray(judged().sound)].any()
  assert chosen[-8:].all()
  assert chosen[REASON["known"]] == case.repeats


@every_case
def test_where_nothing_is_sound_nothing_is_chosen(case):
  codes = np.full(6, REASON["invalid"], np.int32)
  weight = jax.jit(make(case).choose)(judged(codes, RATES[:6]))
  np.testing.assert_array_equal(weight, np.zeros(6))


@those_that("reward")
def test_rewards_are_finite_and_unknown_verdicts_are_nobodys_fault(case):
  reward, counts = jax.jit(make(case).reward)(judged())
  assert (reward.shape, reward.dtype) == (CODES.shape, jnp.float32)
  assert counts.dtype == jnp.bool_
  assert np.isfinite(reward).all()
  assert not counts[REASON["unknown"]]
  assert counts[REASON["accepted"]] and counts[REASON["invalid"]]
  assert reward[-4] > reward[REASON["invalid"]]  # a task of middling rate


@those_that("imitate")
def test_only_what_the_gate_accepts_is_imitated(case):
  weight = jax.jit(make(case).imitate)(judged())
  assert (weight.shape, weight.dtype) == (CODES.shape, jnp.float32)
  assert np.isfinite(weight).all() and (weight >= 0).all()
  assert set(CODES[np.asarray(weight) > 0]) == {REASON["accepted"]}
  refused = np.full(6, REASON["constant"], np.int32)
  assert not jax.jit(make(case).imitate)(judged(refused, RATES[:6])).any()


@every_case
def test_the_order_of_candidates_does_not_matter(case):
  order = np.random.default_rng(0).permutation(len(CODES))
  lengths = np.arange(len(CODES)) % 3 + 2
  weighs = [make(case).choose, make(case).imitate]
  for weigh in filter(None, weighs):
    one = weigh(judged(CODES, RATES, lengths))
    other = weigh(judged(CODES[order], RATES[order], lengths[order]))
    np.testing.assert_allclose(np.asarray(one)[order], other)


@every_case
def test_what_is_recalled_is_in_the_pool(case):
  recall = make(case).recall
  if recall is None:
    return
  weight = jax.jit(recall)(jnp.array([5, 2, 0, 4, 4, 0]))
  assert (weight.shape, weight.dtype) == ((6,), jnp.float32)
  assert ((np.asarray(weight) > 0) == [1, 1, 0, 1, 1, 0]).all()


def test_an_unknown_name_is_refused():
  with pytest.raises(ValueError, match="unknown curriculum 'magic', allowed:"):
    table.make("magic", config_lib.default().curriculum)


@those_that("reward")
def test_a_gap_is_paid_on_top(case):
  every = judged()
  gap = jnp.linspace(0.0, 1.0, len(CODES)).astype(jnp.float32)
  plain = make(case)
  paid, counts = paid_for_gap(plain, 0.5).reward(every._replace(gap=gap))
  before, as_before = plain.reward(every)
  np.testing.assert_allclose(paid, before + 0.5 * gap, rtol=1e-6)
  np.testing.assert_array_equal(counts, as_before)
  assert paid_for_gap(plain, 0.0) is plain
