"""A quantizer applied to the matrices of a model's parameter tree.

Quantized are exactly the leaves named "kernel": matrices [I, O], and stacks
[L, I, O] of L layers, where each layer has its own scale. All other leaves
(embeddings, norms, biases) pass through untouched. Paths are keys joined
by "/".
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util

from bitzero_jax.quant.base import Packed, Quantizer

# One quantizer for all kernels, or a function from a kernel's path to its own.
Choice = Quantizer | Callable[[str], Quantizer]
# From a kernel's path to one quantizer for all of it, or to one for each of
# equal groups of its output features.
Groups = Callable[[str], list[Quantizer]]
Tree = Mapping[str, Any]


class Layout(NamedTuple):
  """How kernels lie over the devices of a mesh.

  Attributes:
    names: path of a kernel -> what its axes I and O are called; () for nothing.
    place: (array, name of each of its axes) -> the array, laid out so.
  """

  names: Callable[[str], tuple[str | None, ...]]
  place: Callable[..., jax.Array]


ONE_DEVICE = Layout(lambda path: (), lambda x, *names: x)


class TensorRow(NamedTuple):
  """One leaf of a parameter tree.

  Attributes:
    path: keys joined by "/".
    shape: of the leaf.
    parameters: numbers in the leaf.
    kind: name of its quantizer, or its dtype where it is not quantized.
    planes: ternary planes, 0 where there are none, the most of its groups.
    stored_bits: bits a weight in the exported file, the mean of its groups.
    packed_bytes: bytes of the leaf in memory once packed, scales included.
    groups: planes of each group of output features, where there are several.
  """

  path: str
  shape: tuple[int, ...]
  parameters: int
  kind: str
  planes: int
  stored_bits: float
  packed_bytes: int
  groups: tuple[int, ...] = ()


def _flatten(tree: Tree) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, keep_empty_nodes=True, sep="/")


def _unflatten(leaves: dict[str, Any]) -> dict[str, Any]:
  return traverse_util.unflatten_dict(leaves, sep="/")


def _is_kernel(path: str, leaf: Any) -> bool:
  if path.rpartition("/")[2] != "kernel":
    return False
  if leaf.ndim not in (2, 3):
    raise ValueError(
      f"{path} must be [I, O] or [L, I, O], got shape {leaf.shape}"
    )
  return True


def _pick(quantizer: Choice, path: str) -> Quantizer:
  return quantizer if isinstance(quantizer, Quantizer) else quantizer(path)


def _by_layer(function: Callable, kernel: jax.Array) -> Callable:
  return jax.vmap(function) if kernel.ndim == 3 else function


def _learned(quant_params: Tree, path: str) -> Any:
  node = quant_params
  for key in path.split("/"):
    node = node.get(key, {})
  return node


def together(
  quantizer: Choice,
  function: Callable[[Quantizer], Callable],
  rows: Mapping[str, tuple[Any, ...]],
  layout: Layout = ONE_DEVICE,
) -> dict[str, Any]:
  """Applies `function(quantizer)` to the arguments of each path.

  Kernels of one shape, quantizer and layout are stacked and go through it once:
  a deep model then compiles as fast as a shallow one. A stack lies as its
  kernels do: what else a quantizer wants is sent once, not for each of them.

  Args:
    quantizer: one for all kernels, or a function of the path.
    function: quantizer -> a function of one matrix and of what goes with it.
    rows: by path, a kernel [I, O] or [L, I, O] and then pytrees of arrays, with
      the same leading axis L.
    layout: of the kernels.

  Returns:
    By path, what the function returns; stacked [L, ...] for a stack.
  """
  groups: dict[Any, list[str]] = {}
  for path, (leaf, *_) in rows.items():
    spec, names = _pick(quantizer, path).spec, layout.names(path)
    key = (leaf.shape, leaf.dtype, spec, names)
    groups.setdefault(key, []).append(path)
  result = {}
  for (shape, *_, names), paths in groups.items():
    apply = _by_layer(function(_pick(quantizer, paths[0])), rows[paths[0]][0])

    def stack(*leaves: jax.Array, shape=shape, names=names) -> jax.Array:
      stacked = jnp.stack(leaves)
      if leaves[0].shape != shape:  # what goes with a kernel
        return stacked
      leading = (None,) * (stacked.ndim - len(names))
      return layout.place(stacked, *leading, *names)

    stacked = jax.tree.map(stack, *(rows[path] for path in paths))
    leaves, form = jax.tree.flatten(jax.vmap(apply)(*stacked))
    # An index for each path would have a gradient as large as the stack.
    for path, *parts in zip(paths, *map(jnp.unstack, leaves), strict=True):
      result[path] = jax.tree.unflatten(form, parts)
  return result


def kernels(params: Tree, quant_params: Tree) -> dict[str, tuple[Any, Any]]:
  """Every kernel with the learned numbers of its quantizer, by path.

  Args:
    params: nested dict of arrays.
    quant_params: from `init_tree`.

  Raises:
    ValueError: a kernel is neither [I, O] nor [L, I, O].
  """
  return {
    path: (leaf, _learned(quant_params, path))
    for path, leaf in _flatten(params).items()
    if _is_kernel(path, leaf)
  }


def init_tree(quantizer: Choice, params: Tree) -> dict[str, Any]:
  """Initial learned numbers of every kernel's quantizer.

  Args:
    quantizer: one for all kernels, or a function of the path.
    params: nested dict of arrays.

  Returns:
    Nested dict with the same paths; kernels that learn nothing are absent.

  Raises:
    ValueError: a kernel is neither [I, O] nor [L, I, O].
  """
  learned = {}
  for path, leaf in _flatten(params).items():
    if _is_kernel(path, leaf):
      numbers = _by_layer(_pick(quantizer, path).init, leaf)(leaf)
      if numbers:
        learned[path] = numbers
  return _unflatten(learned)


def fake_quant_tree(
  quantizer: Choice,
  params: Tree,
  quant_params: Tree,
  layout: Layout = ONE_DEVICE,
) -> dict[str, Any]:
  """Replaces each kernel by its fake-quantized value; give this to the model.

  Args:
    quantizer: one for all kernels, or a function of the path.
    params: nested dict of arrays.
    quant_params: from `init_tree`.
    layout: of the kernels.

  Returns:
    Nested dict like `params`; shapes and dtypes are kept.

  Raises:
    ValueError: a kernel is neither [I, O] nor [L, I, O], or its learned
      numbers are missing.
  """
  quantized = together(
    quantizer,
    lambda chosen: chosen.fake_quant,
    kernels(params, quant_params),
    layout,
  )
  return _unflatten(_flatten(params) | quantized)


def coded_tree(
  quantizer: Choice,
  params: Tree,
  quant_params: Tree,
  record: Callable[[jax.Array, jax.Array, jax.Array], Any],
  layout: Layout = ONE_DEVICE,
) -> dict[str, Any]:
  """Replaces each kernel by `record(codes, scale, fake-quantized value)`.

  Codes and scale get no gradient; the value has that of `fake_quant`.

  Args:
    quantizer, params, quant_params, layout: as for `fake_quant_tree`.
    record: makes the leaf, a pytree.
  """

  def both(chosen: Quantizer) -> Callable:
    def apply(weight: jax.Array, learned: Any) -> Any:
      fixed = jax.lax.stop_gradient((weight, learned))
      coded = chosen.quantize(*fixed)
      # So that no reader has a scale of its own, fused into it.
      codes, scale = jax.lax.optimization_barrier(coded)
      return record(codes, scale, chosen.fake_quant(weight, learned))

    return apply

  quantized = together(quantizer, both, kernels(params, quant_params), layout)
  return _unflatten(_flatten(params) | quantized)


def pack_tree(
  quantizer: Choice, params: Tree, quant_params: Tree
) -> dict[str, Any]:
  """Replaces each kernel by its `Packed` bytes, stacked for [L, I, O].

  Arguments and errors are those of `fake_quant_tree`.
  """
  leaves = _flatten(params)
  for path, leaf in leaves.items():
    if _is_kernel(path, leaf):
      pack = _by_layer(_packing(_pick(quantizer, path)), leaf)
      leaves[path] = pack(leaf, _learned(quant_params, path))
  return _unflatten(leaves)


def unpack_tree(
  quantizer: Choice,
  packed: Tree,
  dtype: jax.typing.DTypeLike = jnp.float32,
) -> dict[str, Any]:
  """Replaces each `Packed` leaf by its weight, bit for bit the trained one.

  Args:
    quantizer: the one that packed the tree.
    packed: from `pack_tree`.
    dtype: of the kernels before they were packed, bfloat16 or float32.

  Returns:
    Nested dict equal to `fake_quant_tree` of the tree that was packed.
  """
  leaves = _flatten(packed)
  for path, leaf in leaves.items():
    if isinstance(leaf, Packed):
      chosen = _pick(quantizer, path)

      def restore(one: Packed, chosen: Quantizer = chosen) -> jax.Array:
        return chosen.dequantize(*chosen.unpack(one), dtype)

      stacked = leaf.planes.ndim == 4
      leaves[path] = (jax.vmap(restore) if stacked else restore)(leaf)
  return _unflatten(leaves)


def describe_tree(quantizer: Choice | Groups, params: Tree) -> list[TensorRow]:
  """Rows of the parameter table; computes shapes only, never values.

  Args:
    quantizer: one for all kernels, or a function of the path, which may give
      several.
    params: nested dict of arrays or `jax.ShapeDtypeStruct`s.

  Returns:
    One row a leaf, in the order of the tree. A leaf that is not quantized
    counts with the bytes of its own dtype.

  Raises:
    ValueError: a kernel is neither [I, O] nor [L, I, O].
  """
  rows = []
  for path, leaf in _flatten(params).items():
    if leaf is traverse_util.empty_node:
      continue
    count = math.prod(leaf.shape)
    size = leaf.dtype.itemsize
    kind, planes, bits, stored = leaf.dtype.name, [0], 8.0 * size, count * size
    if _is_kernel(path, leaf):
      chosen = _groups(quantizer, path)
      kind = chosen[0].spec.name
      planes = [one.spec.planes for one in chosen]
      bits = sum(one.bits() for one in chosen) / len(chosen)
      alike = {one.spec: one for one in chosen}  # to trace each kind once
      packed = {
        spec: _packed_bytes(one, leaf, len(chosen))
        for spec, one in alike.items()
      }
      stored = sum(packed[one.spec] for one in chosen)
    rows.append(
      TensorRow(
        path=path,
        shape=leaf.shape,
        parameters=count,
        kind=kind,
        planes=max(planes),
        stored_bits=bits,
        packed_bytes=stored,
        groups=tuple(planes) if len(planes) > 1 else (),
      )
    )
  return rows


def _groups(quantizer: Choice | Groups, path: str) -> list[Quantizer]:
  chosen = quantizer if isinstance(quantizer, Quantizer) else quantizer(path)
  return [chosen] if isinstance(chosen, Quantizer) else chosen


def _packed_bytes(chosen: Quantizer, leaf: Any, groups: int) -> int:
  """Bytes of one of so many groups of output features."""
  shape = (*leaf.shape[:-1], leaf.shape[-1] // groups)
  part: Any = jax.ShapeDtypeStruct(shape, leaf.dtype)
  packed = jax.eval_shape(_by_layer(_fresh(chosen), part), part)
  return sum(
    math.prod(one.shape) * one.dtype.itemsize for one in jax.tree.leaves(packed)
  )


def _packing(chosen: Quantizer) -> Callable[[jax.Array, Any], Packed]:
  return lambda w, learned: chosen.pack(*chosen.quantize(w, learned))


def _fresh(chosen: Quantizer) -> Callable[[jax.Array], Packed]:
  return lambda w: _packing(chosen)(w, chosen.init(w))
