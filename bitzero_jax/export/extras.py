"""Libraries that only some of the exports need."""

import importlib
from typing import Any

_EXTRA = {
  "gguf": "export",
  "llama_cpp": "engine",
  "safetensors": "export",
  "safetensors.numpy": "export",
}


def need(module: str) -> Any:
  """Imports a module.

  Raises:
    ValueError: it is not installed; the message names the extra that brings it.
  """
  try:
    return importlib.import_module(module)
  except ModuleNotFoundError as error:
    raise ValueError(
      f"needs {error.name}: pip install 'bitzero-jax[{_EXTRA[module]}]'"
    ) from None
