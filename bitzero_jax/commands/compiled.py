"""Compiled programs are kept for the next start."""

import os


def keep_compiled(folder: str) -> None:
  """The second start of a config compiles nothing; JAX reads this on import."""
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.expanduser(folder))
