"""The same trits in the order that each kernel reads them.

Shapes: P = digit planes, I = input features, O = output features,
R = ceil(I / 4) canonical bytes a column.

All three hold a trit as two bits of two's complement (-1 is 11, 0 is 00, 1 is
01), so that a shift that brings the field to the top of a lane leaves an
integer that is ready to be multiplied: in a byte 64 * t. The canonical bytes
of `layout` hold t + 1 and stay the only stored form; these are made from them
once, when weights are loaded.

    signed_words   quarter planes as int32, four bytes a word   Triton
    int2_words     sixteen consecutive rows a word              Mosaic TPU
    fragments      one thread's part of a 64 x 32 block         Mosaic GPU
"""

import jax
import jax.numpy as jnp

from pallas_kernels.ternary_matmul import layout

TRITS_PER_WORD = 16
RUN_BLOCK = 64  # bytes, so that a block of them is a whole tile
FRAGMENT_COLUMNS, FRAGMENT_ROWS, WARPGROUP = 64, 32, 128


def to_signed(packed: jax.Array) -> jax.Array:
  """Turns each 2-bit field t + 1 into the two's complement of t.

  Args:
    packed: uint8, any shape, from `layout.pack`.

  Returns:
    uint8, the same shape. Without a carry between fields: the low bit of a
    field is turned over, the high one is set where both were 0.
  """
  low = ~packed & 0x55
  return low | (~(packed | packed << 1) & 0xAA)


def from_signed(fields: jax.Array) -> jax.Array:
  """Inverse of `to_signed`."""
  low = ~fields & 0x55
  return low | ((~fields & fields << 1) & 0xAA)


def padded_run(run: int) -> int:
  """Bytes of a column of `signed_words` whose canonical run has `run`."""
  return -(-run // RUN_BLOCK) * RUN_BLOCK


def signed_words(packed: jax.Array) -> jax.Array:
  """Quarter planes of two's complement fields, four bytes a word.

  Args:
    packed: [P, O, R], uint8, from `layout.pack`.

  Returns:
    [P, O, ceil(R / 64) * 16], int32. Byte b of word w is byte 4w + b of the
    column; bytes from R on hold zeros, the trit 0.
  """
  fields = to_signed(packed)
  run = packed.shape[-1]
  fields = jnp.pad(fields, ((0, 0), (0, 0), (0, padded_run(run) - run)))
  fields = fields.reshape(*fields.shape[:2], -1, 4)
  return jax.lax.bitcast_convert_type(fields, jnp.int32)


def from_signed_words(held: jax.Array, rows: int) -> jax.Array:
  """Inverse of `signed_words`: canonical bytes of `rows` input features."""
  fields = jax.lax.bitcast_convert_type(held, jnp.uint8)
  fields = fields.reshape(*held.shape[:2], -1)
  return from_signed(fields[..., : -(-rows // layout.TRITS_PER_BYTE)])


def quarters(x: jax.Array) -> jax.Array:
  """Activations in the order of `signed_words`: [..., I] to [..., 4, 4W].

  Quarter q holds x[q * R], x[q * R + 1], ..., R of them, and then zeros.
  """
  run = -(-x.shape[-1] // layout.TRITS_PER_BYTE)
  lead = [(0, 0)] * (x.ndim - 1)
  x = jnp.pad(x, [*lead, (0, layout.TRITS_PER_BYTE * run - x.shape[-1])])
  x = x.reshape(*x.shape[:-1], layout.TRITS_PER_BYTE, run)
  return jnp.pad(x, [*lead, (0, 0), (0, padded_run(run) - run)])


def int2_words(packed: jax.Array, rows: int) -> jax.Array:
  """Sixteen consecutive rows a word, so that a word row is 16 int2 rows.

  A bitcast of such words to int2 grows the second-minor axis and gives the rows
  in their order. Rows and columns are padded with the trit 0 to multiples of
  128, the smallest block of int8 activations and of lanes.

  Args:
    packed: [P, O, R], uint8, from `layout.pack`.
    rows: I, static.

  Returns:
    [P, ceil(I / 128) * 8, ceil(O / 128) * 128], int32. Field f of word w, from
    the lowest bits on, is row 16w + f.
  """
  trits = layout.unpack(packed, rows)  # [P, I, O]
  fill = (0, -rows % 128), (0, -trits.shape[2] % 128)
  trits = jnp.pad(trits, ((0, 0), *fill))
  planes, height, width = trits.shape
  fields = trits.reshape(planes, -1, TRITS_PER_WORD, width).astype(jnp.int32)
  total = jnp.zeros((planes, height // TRITS_PER_WORD, width), jnp.int32)
  for field in range(TRITS_PER_WORD):
    total |= (fields[:, :, field] & 3) << 2 * field
  return total


def from_int2_words(held: jax.Array, rows: int, columns: int) -> jax.Array:
  """Inverse of `int2_words`: canonical bytes of [rows, columns]."""
  shifts = [30 - 2 * field for field in range(TRITS_PER_WORD)]
  trits = jnp.stack([held << shift >> 30 for shift in shifts], axis=2)
  trits = trits.reshape(held.shape[0], -1, held.shape[2])
  return layout.pack(trits[:, :rows, :columns].astype(jnp.int8))


def fragments(packed: jax.Array, rows: int, each: int = 4) -> jax.Array:
  """One int32 a thread: its registers of a 64 x 32 block of wgmma's A.

  A register holds `each` numbers: four int8, or two bfloat16. Thread
  t = 32 warp + 4 group + lane of a warpgroup has in register r = 2j + i output
  16 warp + 8i + group and inputs 4 each j + each lane + 0 ... each - 1 of the
  block. The numbers of a register are 32 / each bits apart in the word, with
  register r in bits 2r and 2r + 1 of each, so that shift and mask give a
  register at a time. Padded with the trit 0 to whole blocks.

  Args:
    packed: [P, O, R], uint8, from `layout.pack`.
    rows: I, static.
    each: numbers a register, 4 or 2.

  Returns:
    [P, ceil(O / 64), ceil(I / 32), 128], int32.

  Source: PTX ISA, "Register fragments for wgmma.mma_async.m64nNk32" and "k16".
  """
  trits = jnp.swapaxes(layout.unpack(packed, rows), 1, 2)  # [P, O, I]
  fill = (0, -trits.shape[1] % FRAGMENT_COLUMNS), (0, -rows % FRAGMENT_ROWS)
  trits = jnp.pad(trits, ((0, 0), *fill))
  planes, height, width = trits.shape
  pairs = FRAGMENT_ROWS // (4 * each)
  # [P, block, warp, i, group, block, j, lane, number]
  parts = trits.reshape(
    planes,
    height // FRAGMENT_COLUMNS,
    *(4, 2, 8),
    width // FRAGMENT_ROWS,
    *(pairs, 4, each),
  ).astype(jnp.int32)
  total = jnp.zeros((), jnp.int32)
  for j in range(pairs):
    for i in range(2):
      for number in range(each):
        field = parts[:, :, :, i, :, :, j, :, number] & 3
        total |= field << 32 // each * number + 2 * (2 * j + i)
  # [P, block, warp, group, block, lane]
  total = total.transpose(0, 1, 4, 2, 3, 5)
  return total.reshape(*total.shape[:3], WARPGROUP)


def from_fragments(
  held: jax.Array, rows: int, columns: int, each: int = 4
) -> jax.Array:
  """Inverse of `fragments`: canonical bytes of [rows, columns]."""
  planes, high, wide, _ = held.shape
  parts = held.reshape(planes, high, wide, 4, 8, 4)
  pairs = FRAGMENT_ROWS // (4 * each)
  registers = []
  for j in range(pairs):
    for i in range(2):
      low = 30 - 2 * (2 * j + i)
      at = [low - 32 // each * number for number in range(each)]
      registers.append(jnp.stack([parts << s >> 30 for s in at], axis=-1))
  trits = jnp.stack(registers, axis=-1)
  # [P, high, wide, warp, group, lane, number, j, i]
  trits = trits.reshape(*trits.shape[:-1], pairs, 2)
  trits = trits.transpose(0, 2, 7, 5, 6, 1, 3, 8, 4)
  trits = trits.reshape(planes, wide * FRAGMENT_ROWS, high * FRAGMENT_COLUMNS)
  return layout.pack(trits[:, :rows, :columns].astype(jnp.int8))
