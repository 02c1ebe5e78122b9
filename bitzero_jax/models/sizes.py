"""Named sizes, as keyword arguments of `Transformer`.

Not in them: `vocab`, which the language decides. Parameters, all float32, with
`vocab=270`:

| name   | parameters | for |
| ------ | ---------: | --- |
| tiny   |     27,424 | tests |
| laptop |    359,424 | two CPU cores, minutes |
| small  |  1,629,248 | one GPU, or patience |
| base   |  4,797,184 | one GPU or TPU core |
| export |  1,251,584 | checking GGUF files |

llama.cpp packs ternary weights at 2.06 bits in runs of 256 inputs, so only
sizes whose width and hidden are multiples of 256 use that throughout: base and
export. The others export too, at 4.5 bits.
"""

_FIELDS = ("width", "layers", "heads", "kv_heads", "hidden")
_ROWS = {
  "tiny": (32, 2, 4, 2, 64),
  "laptop": (96, 3, 4, 4, 256),
  "small": (192, 4, 6, 2, 512),
  "base": (256, 6, 8, 4, 768),
  "export": (256, 2, 4, 2, 512),
}
SIZES: dict[str, dict[str, int]] = {
  name: dict(zip(_FIELDS, row, strict=True)) for name, row in _ROWS.items()
}


def size(name: str) -> dict[str, int]:
  """Returns a copy of the named size.

  Raises:
    ValueError: there is no such name.
  """
  if name not in SIZES:
    raise ValueError(f"size={name!r} must be in: {', '.join(SIZES)}")
  return dict(SIZES[name])
