"""The fixed inputs by which behaviours are told apart."""

import ast

from bitzero_jax.language import render
from bitzero_jax.language.probes import (
  PROBE_COUNT,
  PROBE_TEXTS,
  PROBES,
  behaviour,
)


def test_the_probes_are_the_same_for_ever():
  assert len(PROBES) == len(PROBE_TEXTS) == PROBE_COUNT == 16
  assert PROBES[:4] == ((), (3,), (4,), (8, 19))
  assert [list(p) for p in PROBES] == [ast.literal_eval(t) for t in PROBE_TEXTS]
  assert all(0 <= v <= 20 for p in PROBES for v in p)
  assert sorted({len(p) for p in PROBES}) == list(range(6))
  assert all(render.value_tokens(text) is not None for text in PROBE_TEXTS)


def test_a_behaviour_is_two_words_that_depend_on_every_output():
  outputs = [str(i) for i in range(16)]
  one = behaviour(outputs)
  assert one == behaviour(list(outputs))
  assert all(0 <= word < 2**32 for word in one)
  changed = {
    behaviour([*outputs[:i], "ZeroDivisionError", *outputs[i + 1 :]])
    for i in range(16)
  }
  assert len(changed | {one}) == 17
  assert behaviour(outputs[::-1]) != one
  assert one == (691572034, 3712807912)
