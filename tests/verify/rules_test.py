"""What the gate lets through."""

import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.state import REASON, REASONS, Outcome
from bitzero_jax.verify import rules

STRICT = rules.Gate(constant=True, identity=True, outputs=1, novel=True)
OPEN = rules.Gate(constant=False, identity=False, outputs=1, novel=False)
NOBODY = np.zeros((0, 2), np.uint32)


def outcome(*rows):
  """Rows of (behaviour, constant, identity), or an executor's reason."""
  rows = [
    (r, 0, 0, 0) if isinstance(r, str) else ("accepted", *r) for r in rows
  ]
  reason, mark, constant, identity = zip(*rows, strict=True)
  nothing = jnp.zeros((len(rows), 1, 1), jnp.int32)
  return Outcome(
    reason=jnp.array([REASON[r] for r in reason]),
    inputs=nothing,
    outputs=nothing,
    behaviour=hashes(mark),
    constant=jnp.array(constant, bool),
    identity=jnp.array(identity, bool),
  )


def hashes(marks):
  return jnp.array([(m, 7) for m in marks], jnp.uint32).reshape(-1, 2)


def judged(gate, found, barred=(), held=(), size=None):
  size = len(held) if size is None else size
  codes = rules.judge(
    gate, found, hashes(barred), hashes(held), jnp.int32(size)
  )
  return [REASONS[int(code)] for code in codes]


def test_what_the_executor_refused_keeps_its_reason():
  refused = list(REASONS[1:8])
  assert judged(STRICT, outcome(*refused), barred=[0], held=[0]) == refused


def test_a_behaviour_is_new_once_in_a_batch_and_not_in_the_pool():
  found = outcome((1, 0, 0), (2, 0, 0), (1, 0, 0), (3, 0, 0), (1, 0, 0))
  expected = ["accepted", "known", "known", "accepted", "known"]
  assert judged(STRICT, found, held=[2, 9]) == expected
  assert judged(OPEN, found, held=[2, 9]) == ["accepted"] * 5


def test_an_unsound_twin_does_not_make_a_behaviour_known():
  assert judged(STRICT, outcome("timeout", (0, 0, 0))) == [
    "timeout",
    "accepted",
  ]


def test_empty_slots_of_the_pool_hold_no_behaviour():
  found = outcome((0, 0, 0), (5, 0, 0))
  assert judged(STRICT, found, held=[5, 0], size=1) == ["accepted", "known"]


def test_both_words_of_a_hash_must_agree():
  some = jnp.array([[1, 2], [1, 3]], jnp.uint32)
  others = jnp.array([[1, 3], [2, 2], [1, 2]], jnp.uint32)
  np.testing.assert_array_equal(
    rules.equal_behaviour(some, others),
    [[False, False, True], [True, False, False]],
  )
  assert rules.equal_behaviour(some, jnp.asarray(NOBODY)).shape == (2, 0)


@pytest.mark.parametrize(
  ("row", "barred", "held", "expected"),
  [
    ((4, 0, 0), [], [], "accepted"),
    ((4, 0, 0), [], [4], "known"),
    ((4, 0, 1), [], [4], "identity"),
    ((4, 1, 0), [], [4], "constant"),
    ((4, 1, 1), [], [4], "constant"),
    ((4, 1, 1), [4], [4], "barred"),
    ((4, 0, 0), [4], [], "barred"),
  ],
)
def test_the_gravest_reason_wins(row, barred, held, expected):
  assert judged(STRICT, outcome(row), barred, held) == [expected]


def test_each_check_can_be_left_out_but_the_bar_cannot():
  found = outcome((1, 1, 0), (2, 0, 1), (3, 0, 0), (3, 0, 0), (4, 0, 0))
  for field, expected in (
    ("constant", ["constant", "accepted", "accepted", "accepted", "barred"]),
    ("identity", ["accepted", "identity", "accepted", "accepted", "barred"]),
    ("novel", ["accepted", "accepted", "accepted", "known", "barred"]),
  ):
    gate = OPEN._replace(**{field: True})
    assert judged(gate, found, barred=[4]) == expected


def test_a_task_with_few_different_outputs_is_repetitive():
  varied = [[[1, 2], [1, 3], [1, 2], [2, 1]], [[5, 0]] * 4, [[5, 0]] * 4]
  outputs = jnp.array(varied)
  assert rules.different(outputs).tolist() == [3, 1, 1]
  found = outcome((1, 0, 0), (2, 0, 0), (3, 1, 0)).replace(outputs=outputs)
  for fewest, expected in (
    (1, ["accepted", "accepted", "constant"]),
    (2, ["accepted", "repetitive", "constant"]),
    (4, ["repetitive", "repetitive", "constant"]),
  ):
    assert judged(STRICT._replace(outputs=fewest), found) == expected


def test_only_accepted_and_known_are_trained_on():
  codes = jnp.arange(len(REASONS))
  names = [
    name for name, ok in zip(REASONS, rules.trainable(codes), strict=True) if ok
  ]
  assert names == ["accepted", "known"]
