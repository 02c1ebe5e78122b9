"""Numbers as a reader wants them: a share, a size in bytes, any quantity."""


def percent(value: float) -> str:
  """0.345 -> "34.5 %", 0.5 -> "50 %", 0.00025 -> "0.025 %", 1e-6 -> "~0 %"."""
  shown = 100 * value
  if 0 < abs(shown) < 0.001:
    return "~0 %"
  text = f"{shown:.1f}" if abs(shown) >= 0.1 else f"{shown:.2g}"
  return f"{text.removesuffix('.0')} %"


def number(value: float) -> str:
  """12345 -> "12.3k", 0.01234 -> "0.0123", 2e-7 -> "2e-07"."""
  size = abs(value)
  for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
    if size >= limit:
      scale = 1e3 if unit == "k" else limit
      return f"{value / scale:.3g}{unit}"
  if size >= 1000:
    return f"{value:.0f}"
  return f"{value:.3g}"


def size_text(count: float) -> str:
  """Bytes as text: 4224 -> "4.22 kB"."""
  for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
    if count >= scale:
      return f"{count / scale:.3g} {unit}"
  return f"{count:.0f} B"
