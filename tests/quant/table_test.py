"""The table of names."""

import pytest

from bitzero_jax.quant import QUANTIZERS, absmean, binary, make, table


def test_options_reach_the_constructor():
  assert make("digits", planes=3).spec.planes == 3
  assert make("identity", bits=16).spec.code_bits == 16
  assert make("int4").spec.code_bits == 4


def test_an_unknown_name_lists_the_allowed_ones():
  with pytest.raises(ValueError, match="'ternary'") as error:
    make("ternary")
  for name in QUANTIZERS:
    assert name in str(error.value)


def test_an_unknown_option_is_refused():
  with pytest.raises(TypeError, match="planes"):
    make("absmean", planes=2)


def test_a_duplicate_is_refused():
  rows = (("a", absmean.quantizer), ("a", binary.quantizer))
  with pytest.raises(ValueError, match="'a' is in the table twice"):
    table.tabulate(rows)


def test_the_table_is_read_only():
  with pytest.raises(TypeError):
    QUANTIZERS["absmean"] = binary.quantizer  # type: ignore[index]
