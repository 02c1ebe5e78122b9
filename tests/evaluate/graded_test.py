"""Per-task results survive their file."""

import json

import numpy as np
import pytest

from bitzero_jax.evaluate.graded import (
  Graded,
  digest,
  from_record,
  to_record,
)
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG

GRADED = Graded(
  exam="0a1b",
  names=("2-3", "long 9-14"),
  bucket=np.array([0, 0, 1]),
  program=np.array([1, 0, 1]),
  grade={
    "deduction": np.array([RIGHT, WRONG, UNKNOWN]),
    "induction": np.array([WRONG, WRONG, RIGHT]),
  },
  nats={"deduction": np.array([0.12345, 2.0, 3.5], np.float32)},
  tokens={"deduction": np.array([3, 1, 4])},
  probability={"deduction": np.array([1.0, 0.123456789, 0.5])},
  agreement={"induction": np.array([0.25, 0.0, 1.0])},
)


def test_a_record_is_read_back():
  record = json.loads(json.dumps(to_record("human", GRADED)))
  assert record["suite"] == "human"
  assert record["nats/deduction"][1:] == [2.0, 3.5]
  back = from_record(record | {"step": 7})
  assert (back.exam, back.names) == (GRADED.exam, GRADED.names)
  np.testing.assert_array_equal(back.beyond, [False, False, True])
  for name in ("bucket", "program", "grade", "tokens", "agreement"):
    mine, theirs = getattr(GRADED, name), getattr(back, name)
    np.testing.assert_equal(theirs, mine)
  assert back.nats.keys() == GRADED.nats.keys()
  np.testing.assert_allclose(
    back.nats["deduction"], GRADED.nats["deduction"], atol=1e-4
  )
  assert back.probability["deduction"].tolist() == [1.0, 0.123457, 0.5]


def test_a_record_of_before_there_was_confidence_is_read():
  record = to_record("human", GRADED)
  old = {k: v for k, v in record.items() if not k.startswith(("prob", "agre"))}
  back = from_record(old)
  assert (back.probability, back.agreement) == ({}, {})


@pytest.mark.parametrize(
  "other",
  [
    (np.array([[1, 2]]), "a"),
    (np.array([1, 3]), "a"),
    (np.array([1, 2], np.int32), "a"),
    (np.array([1, 2]), "b"),
  ],
)
def test_a_digest_tells_exams_apart(other):
  assert digest(np.array([1, 2]), "a") == digest(np.array([1, 2]), "a")
  assert digest(*other) != digest(np.array([1, 2]), "a")
