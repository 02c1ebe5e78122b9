"""Fixed probe inputs: programs that agree on them count as one behaviour."""

import hashlib

import numpy as np

PROBE_COUNT = 16


def _probes() -> tuple[tuple[int, ...], ...]:
  """Lists of 0 to 5 ints in 0..20, most of them digits; the same for ever."""
  rng = np.random.default_rng(20240227)
  lengths = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 5]
  rows = []
  for length in lengths:
    digits = rng.integers(0, 10, length)
    large = rng.integers(10, 21, length)
    keep = rng.random(length) < 0.75
    rows.append(tuple(int(v) for v in np.where(keep, digits, large)))
  return tuple(rows)


PROBES = _probes()
PROBE_TEXTS = tuple(f"[{', '.join(map(str, p))}]" for p in PROBES)


def behaviour(outputs: list[str]) -> tuple[int, int]:
  """Hash of what a program gives on `PROBES`, as two uint32.

  Args:
    outputs: canonical value, or the name of the error, for each probe.
  """
  digest = hashlib.blake2b("\n".join(outputs).encode(), digest_size=8).digest()
  return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
