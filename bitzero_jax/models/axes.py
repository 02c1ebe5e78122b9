"""What the axes of a model's parameters are called.

A sharding is said in these names (`runtime/mesh.py`), never by the place of an
axis: who changes a layer changes its row here, and nothing else.
"""

from collections.abc import Sequence

# Of the matrices [I, O], by the name of their module.
KERNELS: dict[str, tuple[str, str]] = {
  "q_proj": ("embed", "heads"),
  "k_proj": ("embed", "heads"),
  "v_proj": ("embed", "heads"),
  "o_proj": ("heads", "embed"),
  "gate_proj": ("embed", "mlp"),
  "up_proj": ("embed", "mlp"),
  "down_proj": ("mlp", "embed"),
}


def of_parameter(path: Sequence[str]) -> tuple[str | None, ...]:
  """Names of a parameter's axes, the last ones where there are more.

  Args:
    path: keys of the parameter tree, such as ("layers_0", "mlp", "up_proj",
      "kernel").

  Returns:
    () for what every device has whole: norms, and the embedding, whose rows
    are a few hundred productions.

  Raises:
    KeyError: a kernel's module is not in `KERNELS`.
  """
  return KERNELS[path[-2]] if path[-1] == "kernel" else ()


def in_use(module: str | None) -> tuple[str | None, ...]:
  """Of a kernel while it is multiplied: whole along the residual stream."""
  names = KERNELS.get(module or "", (None, None))
  return tuple(None if name == "embed" else name for name in names)
