import math

import pytest

from bitzero_jax.verify.canonical import (
  NotAValue,
  ValueTooLarge,
  canonical,
)


def text(value, nodes=100, depth=8, size=1000):
  return canonical(value, nodes, depth, size)


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    ([1, 2], "[1, 2]"),
    ([], "[]"),
    ([-3, 0, 10**20], "[-3, 0, 100000000000000000000]"),
    (1, "1"),
    (True, "True"),
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (math.nan, "nan"),
    (-math.inf, "-inf"),
    (None, "None"),
    ("a'b\n", '"a\'b\\n"'),
    ("\ud800", "'\\ud800'"),
    (b"\x00", "b'\\x00'"),
    ([True, 1, 1.0], "[True, 1, 1.0]"),
    ((1,), "(1,)"),
    ((), "()"),
    ((1, [2]), "(1, [2])"),
    ({}, "{}"),
    ({"b": 1, "a": [2]}, "{'b': 1, 'a': [2]}"),
    (set(), "set()"),
    (frozenset(), "frozenset()"),
    ({10, 9, -1}, "{-1, 9, 10}"),
    ({"b", "a"}, "{'a', 'b'}"),
    ({3, "a", (1,)}, "{3, 'a', (1,)}"),
    (frozenset({2, 1}), "frozenset({1, 2})"),
  ],
)
def test_text(value, expected):
  assert text(value) == expected


class Pretender(int):
  def __eq__(self, other):
    return True

  def __hash__(self):
    return 0


@pytest.mark.parametrize(
  "value",
  [
    Pretender(3),
    [Pretender(3)],
    {1: Pretender(3)},
    range(3),
    len,
    int,
    object(),
    iter([]),
    1j,
    type("S", (str,), {})("a"),
  ],
)
def test_only_exact_types(value):
  with pytest.raises(NotAValue):
    text(value)


def nested(levels):
  value = []
  for _ in range(levels):
    value = [value]
  return value


def shared(levels):
  value = [0]
  for _ in range(levels):
    value = [value, value]
  return value


@pytest.mark.parametrize(
  "value",
  [
    nested(8),
    nested(100_000),
    shared(60),
    list(range(100)),
    [None] * 100,
    "a" * 1001,
    ["a" * 400, "b" * 400, "c" * 400],
    1 << 4096,
    [1 << 4096],
    {1: {2: 1 << 5000}},
    {"a" * 600, "b" * 600},
  ],
)
def test_limits(value):
  with pytest.raises(ValueTooLarge):
    text(value)


def test_limits_are_inclusive():
  assert text(nested(7)) == "[" * 8 + "]" * 8
  assert text([None] * 99) == repr([None] * 99)
  assert text((1 << 4096) - 1, size=2000) == str((1 << 4096) - 1)
  assert text("a" * 998) == repr("a" * 998)


def test_a_value_inside_itself_is_too_large():
  value = []
  value.append(value)
  with pytest.raises(ValueTooLarge):
    text(value)
