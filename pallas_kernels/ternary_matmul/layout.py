"""The definition of the bytes: quarter planes of 2-bit trits.

Shapes: I = input features (the contraction axis), O = output features,
P = digit planes, N = fields a byte, R = ceil(I / N) bytes a column.

Byte r of a column holds its rows r, r + R, r + 2R, ..., the first one in the
lowest bits. One shift of all bytes so yields a run of R consecutive rows,
whatever the block size of the reader. With N = 4 and 2 bits a field this is
the quarter-plane layout of trits.

Any I is allowed: rows past I, up to N * R, are padding. Trits are padded with
0, which adds nothing to a product, so a reader may also use all N * R rows.
"""

import jax
import jax.numpy as jnp

TRITS_PER_BYTE = 4


def pack_fields(fields: jax.Array, per_byte: int) -> jax.Array:
  """Packs small unsigned integers along the input axis.

  Args:
    fields: [..., I, O], uint8, every value below 2 ** (8 / per_byte). Larger
      values spill into their neighbours: values are never inspected.
    per_byte: N, one of 1, 2, 4, 8.

  Returns:
    [..., O, R], uint8. Padding rows are 0.

  Raises:
    ValueError: `fields` has no rows and columns, or `per_byte` is not allowed.
    TypeError: `fields` is not uint8.
  """
  if per_byte not in (1, 2, 4, 8):
    raise ValueError(f"per_byte must be 1, 2, 4 or 8, got {per_byte}")
  if fields.ndim < 2 or 0 in fields.shape[-2:]:
    raise ValueError(f"fields must be [..., I, O], got shape {fields.shape}")
  if fields.dtype != jnp.uint8:
    raise TypeError(f"fields must be uint8, got {fields.dtype}")
  *lead, rows, columns = fields.shape
  run = -(-rows // per_byte)
  pad = [(0, 0)] * len(lead) + [(0, run * per_byte - rows), (0, 0)]
  runs = jnp.pad(fields, pad).reshape(*lead, per_byte, run, columns)
  packed = runs[..., 0, :, :]
  for i in range(1, per_byte):
    packed = packed | (runs[..., i, :, :] << (8 // per_byte * i))
  return jnp.swapaxes(packed, -1, -2)


def unpack_fields(packed: jax.Array, rows: int, per_byte: int) -> jax.Array:
  """Inverse of `pack_fields`.

  Args:
    packed: [..., O, R], uint8.
    rows: I, static.
    per_byte: N, one of 1, 2, 4, 8.

  Returns:
    [..., I, O], uint8.

  Raises:
    ValueError: `per_byte` is not allowed, or R is not ceil(rows / per_byte).
    TypeError: `packed` is not uint8.
  """
  if per_byte not in (1, 2, 4, 8):
    raise ValueError(f"per_byte must be 1, 2, 4 or 8, got {per_byte}")
  if packed.dtype != jnp.uint8:
    raise TypeError(f"packed must be uint8, got {packed.dtype}")
  run = -(-rows // per_byte)
  if packed.ndim < 2 or rows < 1 or packed.shape[-1] != run:
    raise ValueError(
      f"packed must be [..., O, {run}] for rows={rows}, got shape "
      f"{packed.shape}"
    )
  width = 8 // per_byte
  planes = jnp.swapaxes(packed, -1, -2)
  mask = (1 << width) - 1
  runs = [(planes >> (width * i)) & mask for i in range(per_byte)]
  return jnp.concatenate(runs, axis=-2)[..., :rows, :]


def pack(trits: jax.Array) -> jax.Array:
  """Packs trits, four to a byte, as codes t + 1 in quarter planes.

  Args:
    trits: [..., I, O], int8, each -1, 0 or 1 (not inspected). A weight of P
      digit planes is [P, I, O], most significant plane first.

  Returns:
    [..., O, ceil(I / 4)], uint8. Padding rows hold the trit 0, code 1.

  Raises:
    ValueError: `trits` has no rows and columns.
    TypeError: `trits` is not int8.
  """
  if trits.dtype != jnp.int8:
    raise TypeError(f"trits must be int8, got {trits.dtype}")
  if trits.ndim < 2 or 0 in trits.shape[-2:]:
    raise ValueError(f"trits must be [..., I, O], got shape {trits.shape}")
  missing = -trits.shape[-2] % TRITS_PER_BYTE
  pad = [(0, 0)] * (trits.ndim - 2) + [(0, missing), (0, 0)]
  codes = (jnp.pad(trits, pad) + 1).astype(jnp.uint8)
  return pack_fields(codes, TRITS_PER_BYTE)


def unpack(packed: jax.Array, rows: int) -> jax.Array:
  """Inverse of `pack`.

  Args:
    packed: [..., O, ceil(I / 4)], uint8.
    rows: I, static.

  Returns:
    [..., I, O], int8 trits.

  Raises:
    ValueError: the last axis of `packed` is not ceil(rows / 4).
    TypeError: `packed` is not uint8.
  """
  codes = unpack_fields(packed, rows, TRITS_PER_BYTE)
  return codes.astype(jnp.int8) - 1
