"""What sets one curriculum apart from the others."""

import jax.numpy as jnp
import numpy as np

from bitzero_jax.curriculum.azr import azr
from bitzero_jax.curriculum.base import Judged
from bitzero_jax.curriculum.learnability import learnability
from bitzero_jax.curriculum.length_matched import length_matched
from bitzero_jax.curriculum.proposer import proposer
from bitzero_jax.curriculum.trr import trr
from bitzero_jax.curriculum.trr_kl import trr_kl
from bitzero_jax.state import REASON, REASONS


def sound(rates, lengths=None):
  rates = jnp.asarray(rates, jnp.float32)
  lengths = jnp.full(rates.shape, 4) if lengths is None else lengths
  reasons = jnp.full(rates.shape, REASON["accepted"])
  every = jnp.ones(rates.shape, bool)
  return Judged(reasons, every, rates, jnp.asarray(lengths))


def of_each_reason(rate):
  codes = jnp.arange(len(REASONS))
  may = (codes == REASON["accepted"]) | (codes == REASON["known"])
  return Judged(codes, may, jnp.where(may, rate, 0.0), jnp.full(codes.shape, 4))


def test_trr_pays_learnability_to_what_the_gate_accepts():
  earned, _ = trr(learnability="variance", refused=-0.5).reward(
    of_each_reason(0.25)
  )
  expected = np.full(len(REASONS), -0.5)
  expected[REASON["accepted"]] = 0.1875
  np.testing.assert_allclose(earned, expected)


def test_trr_kl_pays_as_trr_does_and_has_a_leash():
  paid = {"learnability": "variance", "refused": -0.5}
  one, other = trr(**paid), trr_kl(**paid, prior_kl=0.25)
  np.testing.assert_array_equal(
    one.reward(of_each_reason(0.25))[0], other.reward(of_each_reason(0.25))[0]
  )
  assert (one.prior_kl, other.prior_kl) == (0.0, 0.25)


def test_azr_pays_repeated_tasks_too_and_the_hard_ones_most():
  earned, _ = azr().reward(of_each_reason(0.25))
  expected = np.full(len(REASONS), -0.5)
  expected[REASON["accepted"]] = expected[REASON["known"]] = 0.75
  np.testing.assert_allclose(earned, expected)
  hard, easy, never = azr().reward(sound([0.1, 0.9, 0.0]))[0]
  assert hard > easy > never == 0


def test_the_most_learnable_get_the_share_that_is_theirs():
  rates = [0.0, 0.1, 0.5, 0.9, 1.0, 0.4, 0.02, 0.98]
  sfl = learnability(top_share=0.25, random_share=0.5, by_length=False)
  weight = np.asarray(sfl.choose(sound(rates)))
  top = [2, 5]
  np.testing.assert_allclose(weight[top], 0.5 / 8 + 0.5 / 2)
  np.testing.assert_allclose(np.delete(weight, top), 0.5 / 8)
  assert weight.sum() == 1


def test_by_length_every_length_is_preferred_alike():
  rates = [0.5, 0.4, 0.45, 0.3, 0.01, 0.02, 0.03, 0.04]
  lengths = [2, 2, 2, 2, 8, 8, 8, 8]
  sfl = learnability(top_share=0.25, random_share=0.0, by_length=True)
  weight = np.asarray(sfl.choose(sound(rates, lengths)))
  assert list(np.flatnonzero(weight)) == [0, 7]
  np.testing.assert_allclose(weight[[0, 7]], 0.5)


def test_lengths_are_trained_on_as_often_as_is_asked():
  lengths = np.array([2, 2, 2, 2, 2, 5, 5, 8, 9])
  wanted = (0, 1, 0, 0, 2, 0, 0, 5)
  control = length_matched(lengths=wanted)
  judged = sound([0.5] * len(lengths), lengths)
  for weight in (control.choose(judged), control.recall(judged.length)):
    share = np.asarray(weight) / np.sum(weight)
    got = [share[lengths == n].sum() for n in (2, 5, 8, 9)]
    np.testing.assert_allclose(got, np.array([1, 2, 5, 0]) / 8, rtol=1e-6)
  unsound = judged._replace(sound=jnp.asarray(lengths != 8))
  weight = np.asarray(control.choose(unsound))
  got = [weight[lengths == n].sum() / weight.sum() for n in (2, 5, 8)]
  np.testing.assert_allclose(got, [1 / 3, 2 / 3, 0], rtol=1e-6)


def test_the_proposer_copies_the_best_new_tasks_of_each_length_alike():
  judged = sound([0.5, 0.4, 0.4, 0.5, 1e-3, 0.02, 0.99], [2, 2, 2, 2, 8, 8, 8])
  known = judged.reason.at[0].set(REASON["known"])
  copies = proposer(learnability="variance", top_share=0.5)
  weight = copies.imitate(judged._replace(reason=known))
  # Of three new ones of length 2 two, and of three of length 8 two.
  np.testing.assert_allclose(weight, [0, 0.25, 0, 0.25, 0, 0.25, 0.25])
  nothing = copies.imitate(judged._replace(solve_rate=jnp.zeros(7)))
  np.testing.assert_array_equal(nothing, np.zeros(7))
