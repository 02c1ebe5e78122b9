"""The one number that a run is judged by, declared in its config."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.state import KINDS


class Primary(NamedTuple):
  """A primary measure.

  Attributes:
    words: what it is, for a person.
    beyond: whether it is over programs longer than trained.
    log_loss: whether it is nats per token, where less is better, and not
      accuracy.
  """

  words: str
  beyond: bool
  log_loss: bool


# The names that `heldout.primary` may have.
PRIMARY: Mapping[str, Primary] = MappingProxyType(
  {
    "accuracy": Primary(
      "mean of three accuracies over the trained lengths", False, False
    ),
    "accuracy_longer": Primary(
      "mean of three accuracies over programs longer than trained", True, False
    ),
    "log_loss": Primary(
      "mean of three log-losses over the trained lengths", False, True
    ),
  }
)


def value(name: str, line: Mapping[str, Any]) -> float | None:
  """The measure in a line of `metrics.jsonl`; None where it is not there.

  Args:
    name: a key of `PRIMARY`.
    line: what `summarize` gives, among other metrics.
  """
  measure = PRIMARY[name]
  room = "eval/nll" if measure.log_loss else "eval"
  found = []
  for kind in KINDS:
    key = f"{room}/{kind}"
    if measure.beyond:
      key = next(
        (k for k in line if k.startswith(f"{key}/long")), key + "/long"
      )
    if line.get(key) is None:
      return None
    found.append(line[key])
  return float(np.mean(found))


def score(name: str, line: Mapping[str, Any]) -> float | None:
  """The measure with its sign turned where less is better."""
  found = value(name, line)
  return -found if found is not None and PRIMARY[name].log_loss else found
