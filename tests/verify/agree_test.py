import pytest

from bitzero_jax.verify import agree

ONE = ("ok", "1", "", 5)
TWO = ("ok", "2", "", 5)
KEY = ("error", "", "KeyError", 5)
INDEX = ("error", "", "IndexError", 5)
STEPS = ("timeout", "", "steps", 5)
CPU = ("timeout", "", "cpu", 5)
MEMORY = ("memory", "", "object", 5)
LOST = ("unknown", "", "killed", 0)
NONDETERMINISTIC = ("error", "", "Nondeterministic")


@pytest.mark.parametrize(
  ("a", "b", "expected"),
  [
    (ONE, (*ONE[:3], 900), ("ok", "1", "")),
    (ONE, TWO, NONDETERMINISTIC),
    (KEY, KEY, ("error", "", "KeyError")),
    (KEY, INDEX, NONDETERMINISTIC),
    (STEPS, CPU, ("timeout", "", "steps")),
    (LOST, LOST, ("unknown", "", "killed")),
  ],
)
def test_two_runs_decide(a, b, expected):
  assert agree.settled(a, b)
  assert agree.decide(a, b, None) == expected


@pytest.mark.parametrize(
  ("a", "b", "third", "expected"),
  [
    (ONE, STEPS, ONE, ("ok", "1", "")),
    (STEPS, ONE, ONE, ("ok", "1", "")),
    (ONE, STEPS, STEPS, ("unknown", "", "ok against timeout")),
    (ONE, KEY, KEY, NONDETERMINISTIC),
    (KEY, ONE, KEY, NONDETERMINISTIC),
    (KEY, ONE, ONE, ("ok", "1", "")),
    (ONE, LOST, ONE, ("ok", "1", "")),
    (LOST, STEPS, STEPS, ("timeout", "", "steps")),
    (STEPS, MEMORY, STEPS, ("timeout", "", "steps")),
    (ONE, STEPS, TWO, ("unknown", "", "ok against timeout")),
    (ONE, KEY, LOST, ("unknown", "", "ok against error")),
  ],
)
def test_third_run_decides(a, b, third, expected):
  assert not agree.settled(a, b)
  assert agree.decide(a, b, third) == expected


def test_the_failure_is_run_again():
  assert agree.doubtful(ONE, KEY) == 1
  assert agree.doubtful(KEY, ONE) == 0
  assert agree.doubtful(KEY, STEPS) == 1
  assert agree.doubtful(LOST, KEY) == 0
