"""What the host does while the device is busy. The whole: `step_test.py`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flax import struct

from bitzero_jax import wiring
from bitzero_jax.runtime import mesh
from bitzero_jax.seeds import Host
from bitzero_jax.state import Proposed


@struct.dataclass
class State:
  round: int
  proposed: Proposed


class Toy:
  """Stages that pass names along, and a host that remembers them."""

  def __init__(self):
    self.checked, self.graded = [], []
    self.begun = threading.Event()
    self.seen_by_learn = []

  def stages(self):
    return wiring.Stages(
      propose=lambda state: proposals(state.round + 1),
      solve=lambda state, outcome: (state.round, f"answers to {outcome}"),
      learn=self.learn,
      mesh=mesh.make(1, 1, 1),
    )

  def check(self, candidates, bounds):
    del bounds
    self.checked.append(candidates)
    self.begun.set()
    return f"outcome of {candidates}"

  def grade(self, answers):
    self.graded.append(answers)
    self.begun.clear()
    return "grades"

  def learn(self, state, carry, graded):
    assert (carry, graded) == (state.round, "grades")
    self.seen_by_learn.append(self.begun.wait(timeout=10))
    return state.replace(round=state.round + 1), {}, None


def proposals(number):
  return Proposed(
    candidates=f"tasks {number}", rollout=None, drafts=None, bounds=None
  )


@pytest.fixture
def toy():
  return Toy()


@pytest.fixture
def one_round(toy):
  with ThreadPoolExecutor(1) as background:
    yield wiring.host(toy.stages(), Host(toy.check, toy.grade), background)


def test_candidates_are_checked_once_and_while_the_device_learns(
  toy, one_round
):
  state = State(0, proposals(0))
  for number in range(3):
    state, _, _ = one_round.step(state)
    assert toy.graded[-1] == f"answers to outcome of tasks {number}"
  assert toy.checked == [f"tasks {number}" for number in range(4)]
  assert toy.seen_by_learn == [True] * 3
  assert one_round.waited() > 0


def test_proposals_from_elsewhere_are_checked_first(toy, one_round):
  one_round.step(State(0, proposals(0)))
  one_round.step(State(7, proposals(7)))  # as after a restore
  assert toy.graded[-1] == "answers to outcome of tasks 7"


def test_a_failing_check_is_heard(toy, one_round):
  def fails(candidates, bounds):
    raise OSError("no executor")

  toy.check = fails
  with ThreadPoolExecutor(1) as background:
    broken = wiring.host(toy.stages(), Host(toy.check, toy.grade), background)
    with pytest.raises(OSError, match="no executor"):
      broken.step(State(0, proposals(0)))
