"""Planes of all matrices at once."""

import jax.numpy as jnp
import numpy as np

from bitzero_jax.precision import ledger


def test_entries_are_the_matrices_with_planes(make):
  found = ledger.entries(make())
  assert [tuple(entry) for entry in found] == [
    ("a/kernel", 0, 1, 32),
    ("b/kernel", 0, 1, 128),
    ("c/kernel", 2, 1, 16),
  ]
  assert ledger.sizes(found).tolist() == [32, 128, 16, 16]


def test_the_order_is_that_of_leaves_whatever_that_of_the_keys(make):
  params = make()
  turned = params | {"model": dict(reversed(params["model"].items()))}
  assert list(turned["model"]) != list(params["model"])
  assert ledger.entries(turned) == ledger.entries(params)


def test_what_is_written_is_read(make):
  params = make()
  found = ledger.entries(params)
  values = jnp.float32([1, 2, 3, 1])
  after = ledger.write(params, found, "planes", values)
  np.testing.assert_array_equal(ledger.read(after, found, "planes"), values)
  assert after["quant"]["a"]["kernel"]["planes"].shape == ()
  assert after["quant"]["c"]["kernel"]["planes"].tolist() == [3, 1]
  planes = {"a/kernel": [1], "b/kernel": [2], "c/kernel": [3]}
  assert ledger.manifest(after) == planes
  reach = ledger.read(after, found, "reach")
  assert reach.shape == (4, 2)
  assert (ledger.read(params, found, "planes") == 3).all()  # untouched


def test_groups_of_a_matrix_stand_one_after_the_other(make):
  params = make(groups=2)
  found = ledger.entries(params)
  assert [entry.groups for entry in found] == [2, 2, 2]
  size = ledger.sizes(found)
  assert size.tolist() == [16, 16, 64, 64, 8, 8, 8, 8]
  values = jnp.float32([1, 2, 3, 1, 1, 3, 2, 1])
  after = ledger.write(params, found, "planes", values)
  np.testing.assert_array_equal(ledger.read(after, found, "planes"), values)
  quant = after["quant"]
  assert quant["b"]["kernel"]["planes"].tolist() == [3, 1]
  assert quant["c"]["kernel"]["planes"].tolist() == [[1, 3], [2, 1]]
  wanted = {"a/kernel": [1, 2], "b/kernel": [3, 1], "c/kernel": [2, 3]}
  assert ledger.manifest(after) == wanted
  assert ledger.read(after, found, "reach").shape == (8, 2)
  reach = jnp.arange(16.0).reshape(8, 2)
  after = ledger.write(params, found, "reach", reach)
  assert after["quant"]["c"]["kernel"]["reach"].shape == (2, 2, 2)
  np.testing.assert_array_equal(ledger.read(after, found, "reach"), reach)
  weights = 2.0625 * (16 + 64 + 8 + 8) + 4.5 * (16 + 8) + 5.5 * (64 + 8)
  assert float(ledger.mean_bits(values, size)) == np.float32(weights / 192)


def test_bits_are_those_of_the_exported_file(make):
  size = ledger.sizes(ledger.entries(make()))
  bits = ledger.mean_bits(jnp.float32([1, 2, 3, 1]), size)
  wanted = (32 * 2.0625 + 128 * 4.5 + 16 * 5.5 + 16 * 2.0625) / 192
  assert float(bits) == np.float32(wanted)
  chances = jnp.float32([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [1, 0, 0]])
  half = wanted - 128 * (4.5 - 2.0625) / 2 / 192
  assert float(ledger.expected_bits(chances, size)) == np.float32(half)


def test_what_is_undecided_is_not_in_the_manifest(make):
  params = make()
  found = ledger.entries(params)
  after = ledger.write(params, found, "planes", jnp.float32([0, 2, 0, 0]))
  assert ledger.manifest(after) == {"b/kernel": [2]}


def test_without_planes_there_is_no_manifest():
  params = {"model": {"a": {"kernel": jnp.ones((2, 2))}}, "quant": {}}
  assert ledger.manifest(params) == {}
