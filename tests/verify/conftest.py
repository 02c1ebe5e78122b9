from collections.abc import Callable, Iterator

import pytest

from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import Job, Verdict

Ask = Callable[..., Verdict]


@pytest.fixture(scope="session")
def executor() -> Iterator[Executor]:
  with Executor() as shared:
    yield shared


@pytest.fixture
def ask(executor: Executor) -> Ask:
  """The verdict on one program and one input."""

  def one(program: str, given: str = "[1]") -> Verdict:
    return executor.run([Job(program, (given,))])[0][0]

  return one
