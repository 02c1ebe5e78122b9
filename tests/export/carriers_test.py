"""Blocks hold codes to the bit, by the word of gguf's own reader."""

import gguf
import numpy as np
import pytest

from bitzero_jax.export import carriers
from bitzero_jax.export.carriers import CARRIERS

BLOCKS = [c for c in CARRIERS.values() if c.block > 1]
every_block = pytest.mark.parametrize("carrier", BLOCKS, ids=lambda c: c.name)


def kind(carrier):
  return gguf.GGMLQuantizationType(carrier.number)


def codes(carrier, rows=768, columns=48, seed=0):
  rng = np.random.default_rng(seed)
  top = carrier.top
  return rng.integers(-top, top + 1, (rows, columns)).astype(np.int8)


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=lambda c: c.name)
def test_a_carrier_is_what_the_library_knows_by_its_number(carrier):
  assert kind(carrier).name.lower() == carrier.name
  known = gguf.GGML_QUANT_SIZES[kind(carrier)]
  assert known == (carrier.block, carrier.bytes)


@every_block
def test_random_codes_come_back(carrier):
  wanted = codes(carrier)
  packed = carriers.pack(carrier, wanted)
  rows = wanted.shape[0] // carrier.block
  assert packed.shape == (wanted.shape[1], rows * carrier.bytes)
  read = gguf.quants.dequantize(packed, kind(carrier))
  np.testing.assert_array_equal(read, wanted.T)


@every_block
def test_every_place_of_a_block_is_its_own(carrier):
  """One code after the other: no two places share bits."""
  wanted = np.zeros((carrier.block, carrier.block), np.int8)
  np.fill_diagonal(wanted, carrier.top)
  for signed in (wanted, -wanted):
    read = gguf.quants.dequantize(carriers.pack(carrier, signed), kind(carrier))
    np.testing.assert_array_equal(read, signed.T)


def test_floats_are_kept():
  wanted = codes(CARRIERS["q8_0"], 5, 3)
  half = carriers.pack(CARRIERS["f16"], wanted).view("<f2")
  np.testing.assert_array_equal(half, wanted.T)
  floats = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
  whole = carriers.pack(CARRIERS["f32"], floats).view("<f4")
  np.testing.assert_array_equal(whole, floats.T)


@pytest.mark.parametrize(
  ("rows", "top", "name"),
  [
    (256, 1, "tq2_0"),
    (256, 4, "q4_0"),
    (256, 13, "q5_0"),
    (256, 40, "q8_0"),
    (256, 121, "q8_0"),
    (96, 1, "q4_0"),
    (96, 13, "q5_0"),
    (48, 1, None),
  ],
)
def test_the_smallest_exact_carrier_is_chosen(rows, top, name):
  found = carriers.smallest(np.full((rows, 2), top, np.int8))
  assert (found and found.name) == name


def test_what_holds_codes_exactly_is_known():
  ternary = np.ones((256, 2), np.int8)
  assert all(carriers.holds(c, ternary) for c in CARRIERS.values())
  assert not carriers.holds(CARRIERS["tq2_0"], ternary * 2)
  assert not carriers.holds(CARRIERS["tq1_0"], ternary[:128])
  assert not carriers.holds(CARRIERS["q5_0"], ternary * 16)
  floats = ternary.astype(np.float32) / 3
  assert not carriers.holds(CARRIERS["f16"], floats)
  assert carriers.holds(CARRIERS["f32"], floats)
  assert carriers.smallest(floats) is CARRIERS["f32"]
