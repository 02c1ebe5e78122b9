"""A slice is named by its generation and its shape."""

import pytest

from bitzero_jax.plan import topology


@pytest.mark.parametrize(
  ("name", "chips", "gib"),
  [("v5e:1x1", 1, 15.75), ("v6e:16x16", 256, 31.25), ("v5p:4x4x8", 128, 95.74)],
)
def test_a_name_says_how_many_chips_of_how_much(name, chips, gib):
  found = topology.parse(name)
  assert (found.name, found.chips) == (name, chips)
  assert found.memory == int(gib * 2**30)


@pytest.mark.parametrize(
  "name",
  [
    "",
    "v5e",
    "v9:2x2",
    "v5e:2x2x2",
    "v5p:2x2",
    "v5e:0x2",
    "v5e:2xtwo",
    "v5e:2x",
  ],
)
def test_other_names_are_refused_in_one_line(name):
  with pytest.raises(ValueError, match=r"must be v5e:AxB, v6e:AxB") as caught:
    topology.parse(name)
  assert f"--topology={name} " in str(caught.value)
  assert "\n" not in str(caught.value)
