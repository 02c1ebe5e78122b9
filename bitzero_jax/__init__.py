"""BitZero: small reasoners trained from nothing on 1.58-bit weights.

Public names load on first use, so that `import bitzero_jax` costs nothing and
the executor can be used without JAX.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
  "Executor": "bitzero_jax.verify.executor",
  "Job": "bitzero_jax.verify.verdict",
  "Limits": "bitzero_jax.verify.verdict",
  "LoopState": "bitzero_jax.state",
  "Quantizer": "bitzero_jax.quant.base",
  "Transformer": "bitzero_jax.models.transformer",
  "Verdict": "bitzero_jax.verify.verdict",
  "default_config": "bitzero_jax.config",
  "fake_quant_tree": "bitzero_jax.quant.tree",
  "make_quantizer": "bitzero_jax.quant.table",
  "train": "bitzero_jax.loop",
  "validate_config": "bitzero_jax.config",
  "write_report": "bitzero_jax.evaluate.report",
}
_NAME_THERE = {
  "default_config": "default",
  "make_quantizer": "make",
  "validate_config": "validate",
}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
  """Imports a public name from its room."""
  if name not in _HOME:
    raise AttributeError(f"bitzero_jax has no {name!r}")
  return getattr(
    importlib.import_module(_HOME[name]), _NAME_THERE.get(name, name)
  )


def __dir__() -> list[str]:
  return __all__
