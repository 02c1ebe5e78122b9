"""How this house compiles what it runs more than once."""

from collections.abc import Callable
from typing import Any

import jax

_OPTIONS = {
  # A fifth to a half less to wait for, and what it makes is as fast.
  "cpu": {"xla_backend_optimization_level": 1},
  # It tries tiles that take minutes to compile, and what it gains is not seen.
  "gpu": {"xla_gpu_experimental_enable_fusion_autotuner": False},
}


@jax.transfer_guard("allow")  # constants are fetched into the program
def compiled(traced: Any) -> Callable[..., Any]:
  """An executable from what `jax.jit(f).trace(...)` gives."""
  options = _OPTIONS.get(jax.default_backend(), {})
  return traced.lower().compile(compiler_options=options)


def describe_cache() -> str:
  """One line: where compiled programs are kept for the next start."""
  config: Any = jax.config  # its fields are known when it runs
  folder = config.jax_compilation_cache_dir
  if not folder or not config.jax_enable_compilation_cache:
    return "compiled programs are not kept for the next start"
  return f"compiled programs are kept in {folder}"
