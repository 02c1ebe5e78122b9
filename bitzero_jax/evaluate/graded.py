"""What became of every task of an exam, and the JSON that keeps it.

Letters: n = tasks.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

_DECIMALS = 4  # of nats in a file
_SHARE_DECIMALS = 6  # of confidences


class Graded(NamedTuple):
  """Grades and log-losses, task by task, of one model on one exam.

  Attributes:
    exam: digest of the tasks: only equal ones are compared task by task.
    names: buckets; the last holds what is beyond training.
    bucket: int [n], index into `names`.
    program: int [n], number of the task's program; tasks that share one are
      not independent of each other.
    grade: task type -> int [n], RIGHT, WRONG or UNKNOWN.
    nats: task type -> float [n], minus the log-probability of the whole gold
      answer, over the whole vocabulary. Types that have none are left out.
    tokens: task type -> int [n], of the gold answer.
    probability: task type -> float [n], of the whole graded answer under the
      grammar's mask. Types that have none are left out.
    agreement: task type -> float [n], share of samples that mean the same as
      the graded answer. Types that were not sampled are left out.
  """

  exam: str
  names: tuple[str, ...]
  bucket: np.ndarray
  program: np.ndarray
  grade: dict[str, np.ndarray]
  nats: dict[str, np.ndarray]
  tokens: dict[str, np.ndarray]
  probability: dict[str, np.ndarray]
  agreement: dict[str, np.ndarray]

  @property
  def beyond(self) -> np.ndarray:
    """Which tasks are beyond training: bool [n]."""
    return self.bucket == len(self.names) - 1


def digest(*arrays: Any) -> str:
  """Sixteen letters that differ where the arrays or texts differ."""
  text = hashlib.sha256()
  for array in arrays:
    array = np.asarray(array)
    text.update(f"{array.dtype.str}{array.shape}".encode())
    text.update(np.ascontiguousarray(array).tobytes())
  return text.hexdigest()[:16]


def to_record(suite: str, graded: Graded) -> dict[str, Any]:
  """A flat dict of plain values, as a line of JSON holds them.

  Its fields: "suite", "exam", "names", "bucket", "program", and "grade/TYPE",
  "nats/TYPE", "tokens/TYPE", "probability/TYPE" and, where answers were
  sampled, "agreement/TYPE", with a value a task.
  """
  record: dict[str, Any] = {
    "suite": suite,
    "exam": graded.exam,
    "names": list(graded.names),
    "bucket": graded.bucket.tolist(),
    "program": graded.program.tolist(),
  }
  for kind, grade in graded.grade.items():
    record[f"grade/{kind}"] = grade.tolist()
  for kind, nats in graded.nats.items():
    exact = np.asarray(nats, np.float64)
    record[f"nats/{kind}"] = np.round(exact, _DECIMALS).tolist()
    record[f"tokens/{kind}"] = graded.tokens[kind].tolist()
  for field in ("probability", "agreement"):
    for kind, share in getattr(graded, field).items():
      exact = np.asarray(share, np.float64)
      record[f"{field}/{kind}"] = np.round(exact, _SHARE_DECIMALS).tolist()
  return record


def from_record(record: Mapping[str, Any]) -> Graded:
  """What `to_record` wrote; further fields are ignored.

  Raises:
    KeyError: a field is missing.
  """

  def each(field: str, dtype: type) -> dict[str, np.ndarray]:
    return {
      name.partition("/")[2]: np.array(value, dtype)
      for name, value in record.items()
      if name.startswith(f"{field}/")
    }

  return Graded(
    exam=record["exam"],
    names=tuple(record["names"]),
    bucket=np.array(record["bucket"], int),
    program=np.array(record["program"], int),
    grade=each("grade", int),
    nats=each("nats", float),
    tokens=each("tokens", int),
    probability=each("probability", float),
    agreement=each("agreement", float),
  )
