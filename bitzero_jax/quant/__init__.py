"""What a weight becomes: quantizers as values, one variant a file."""

from bitzero_jax.quant.base import Packed, Quantizer, QuantSpec
from bitzero_jax.quant.table import QUANTIZERS, make
from bitzero_jax.quant.tree import (
  Choice,
  TensorRow,
  describe_tree,
  fake_quant_tree,
  init_tree,
  pack_tree,
  unpack_tree,
)

__all__ = [
  "QUANTIZERS",
  "Choice",
  "Packed",
  "QuantSpec",
  "Quantizer",
  "TensorRow",
  "describe_tree",
  "fake_quant_tree",
  "init_tree",
  "make",
  "pack_tree",
  "unpack_tree",
]
