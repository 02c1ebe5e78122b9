"""Tokens a second of greedy decoding: packed weights beside bfloat16.

The weights are random, the shape is that of BitNet b1.58 2B4T
(arXiv:2504.12285): speed does not depend on what a model says. All tokens of a
measurement are one compiled program, so the host starts it once. Before a
variant is timed, its first logits must be near those of plain XLA.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.models import fused
from pallas_kernels.ternary_matmul import api, layout, timing

_DTYPE = jnp.bfloat16
_REPEATS = 5
NEAR = 0.03  # most relative distance of logits to those of plain XLA


class Shape(NamedTuple):
  """Of a model: vocabulary, width, layers, query and key/value heads, hidden."""

  vocab: int
  width: int
  layers: int
  heads: int
  kv: int
  hidden: int


BITNET_2B4T = Shape(128256, 2560, 30, 20, 5, 6912)
TINY = Shape(256, 128, 2, 4, 2, 256)  # for a CPU: shows that it runs

HEADER = (
  "| rows | weights | head | tokens/s | ms a token | kernel ms | kernels "
  "| weights MB | logits off |\n|---:|---|---|---:|---:|---:|---:|---:|---:|"
)


class Row(NamedTuple):
  """One measurement.

  Attributes:
    batch: rows decoded together.
    weights: "bfloat16", "packed" by our kernels, or "packed, base" by XLA.
    head: "bfloat16" or "int8".
    wall: seconds a step, the median of some runs.
    kernel: seconds a step on the device, None where no profiler shows one.
    launches: kernels a step, None likewise.
    size: bytes of all weights.
    off: relative distance of the first logits to those of plain XLA.
  """

  batch: int
  weights: str
  head: str
  wall: float
  kernel: float | None
  launches: float | None
  size: int
  off: float


def shape() -> Shape:
  """What is measured here: 2B4T, and on a CPU something tiny."""
  return TINY if jax.default_backend() == "cpu" else BITNET_2B4T


def line(row: Row) -> str:
  """A row of the table."""
  kernel = "-" if row.kernel is None else f"{1e3 * row.kernel:.3f}"
  launches = "-" if row.launches is None else f"{row.launches:.0f}"
  return (
    f"| {row.batch} | {row.weights} | {row.head} "
    f"| {row.batch / row.wall:,.0f} | {1e3 * row.wall:.3f} | {kernel} "
    f"| {launches} | {row.size / 1e6:,.0f} | {row.off:.4f} |"
  )


def measure(
  batches: Sequence[int],
  slots: int,
  tokens: int,
  say: Callable[[str], None] = lambda text: None,
) -> Iterator[Row]:
  """Decodes with each kind of weights and head, for each number of rows.

  Args:
    batches: B, rows decoded together.
    slots: S of the cache, all but the decoded ones filled.
    tokens: decoded in one program.
    say: told what is going on.

  Raises:
    ValueError: a number that is not allowed.
    RuntimeError: a variant's logits are wrong.
  """
  for batch in batches:
    if batch < 1:
      raise ValueError(f"--batch={batch} must be at least 1")
  if not 1 <= tokens < slots:
    raise ValueError(f"--tokens={tokens} must be 1 to {slots - 1}, below slots")
  if slots % 16:
    raise ValueError(f"--slots={slots} must be a multiple of 16")
  return _measure(batches, slots, tokens, say)


def _measure(batches, slots, tokens, say) -> Iterator[Row]:
  chosen = shape()
  kernels = jax.default_backend() == "gpu"
  for kind in ("bfloat16", "packed"):
    say(f"drawing {kind} weights of {chosen}")
    weights = draw(chosen, kind == "packed")
    truths = {}
    for integers in (False, True):
      if integers:
        head = jax.jit(fused.integer_head)(weights.embedding)
        weights = weights._replace(head=head)
      plain = fused.floats()
      mine = plain
      if kind == "packed":
        plain = fused.packed(_DTYPE, kernels=False)
        mine = fused.packed(_DTYPE, kernels=kernels)
      for batch in batches:
        head = "int8" if integers else "bfloat16"
        say(f"{batch} rows, {kind} weights, {head} head")
        if batch not in truths:  # the bfloat16 head's
          truths[batch] = _first(plain, weights, chosen, batch, slots, tokens)
        got = _first(mine, weights, chosen, batch, slots, tokens)
        off = np.linalg.norm(got - truths[batch])
        off = float(off / np.linalg.norm(truths[batch]))
        if not off <= NEAR:
          raise RuntimeError(
            f"{batch} rows, {kind}, {head} head: logits are {off:.3f} off"
          )
        spent = _clock(mine, weights, chosen, batch, slots, tokens)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(weights))
        if not integers:
          size -= weights.embedding.nbytes  # the head is the same array
        yield Row(batch, kind, head, *spent, size, off)


def _state(chosen: Shape, batch: int, slots: int, tokens: int) -> fused.State:
  """A cache of random numbers, full but for the tokens to come."""
  width = chosen.width // chosen.heads
  column = slots - tokens
  state = fused.empty(chosen.layers, batch, slots, chosen.kv, width, _DTYPE)
  keys = jax.random.split(jax.random.key(1), 2 * chosen.layers)

  def fill(key, held):
    return jax.random.normal(key, held.shape, _DTYPE)

  made = [fill(k, h) for k, h in zip(keys, state.keys * 2, strict=True)]
  seen = jnp.zeros((batch, slots), jnp.int8).at[:, :column].set(1)
  return fused.State(
    tuple(made[: chosen.layers]),
    tuple(made[chosen.layers :]),
    seen,
    jnp.int32(column),
  )


def _first(parts, weights, chosen, batch, slots, tokens) -> np.ndarray:
  """Logits of the first token, float64."""
  token = jnp.arange(batch, dtype=jnp.int32) % chosen.vocab
  state = _state(chosen, batch, slots, tokens)
  step = jax.jit(lambda w, t, s: fused.decode(parts, w, t, s)[0])
  return np.asarray(step(weights, token, state), np.float64)


def _clock(parts, weights, chosen, batch, slots, tokens):
  """Seconds of a step by the wall and on the device, and its kernels."""

  def run(weights, token, state):
    def step(carry, _):
      logits, state = fused.decode(parts, weights, *carry)
      return (jnp.argmax(logits, axis=-1).astype(jnp.int32), state), None

    (token, _), _ = jax.lax.scan(step, (token, state), length=tokens)
    return token

  token = jnp.arange(batch, dtype=jnp.int32) % chosen.vocab
  state = _state(chosen, batch, slots, tokens)
  program = jax.jit(run).lower(weights, token, state).compile()
  for _ in range(2):
    jax.block_until_ready(program(weights, token, state))
  spent = []
  for _ in range(_REPEATS):
    begin = time.perf_counter()
    jax.block_until_ready(program(weights, token, state))
    spent.append((time.perf_counter() - begin) / tokens)
  wall = statistics.median(spent)
  if jax.default_backend() == "cpu":
    return wall, None, None
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      jax.block_until_ready(program(weights, token, state))
    events = timing.device_events(folder)
  kernel = sum(nanoseconds for _, nanoseconds in events) / 1e9 / tokens
  return wall, kernel, len(events) / tokens


def draw(chosen: Shape, packed: bool) -> fused.Weights:
  """Random weights; each product of unit inputs has unit outputs."""
  width, hidden = chosen.width, chosen.hidden
  qkv = (chosen.heads + 2 * chosen.kv) * (width // chosen.heads)
  keys = iter(jax.random.split(jax.random.key(0), 4 * chosen.layers + 1))

  def matrix(inputs: int, outputs: int) -> Any:
    make = _packed if packed else _floats
    return make(next(keys), inputs, outputs)

  ones = jnp.ones
  layers = tuple(
    fused.Layer(
      ones(width),
      matrix(width, qkv),
      ones(width),
      matrix(width, width),
      ones(width),
      matrix(width, 2 * hidden),
      ones(hidden),
      matrix(hidden, width),
    )
    for _ in range(chosen.layers)
  )
  table = _floats(next(keys), width, chosen.vocab).T
  return fused.Weights(table, layers, ones(width), table)


def _floats(key, inputs, outputs) -> jax.Array:
  made = jax.jit(
    lambda k: jax.random.normal(k, (inputs, outputs), _DTYPE) * inputs**-0.5
  )
  return made(key)


def _packed(key, inputs, outputs) -> api.Weight:
  def make(key):
    trits = jax.random.randint(key, (1, inputs, outputs), -1, 2, jnp.int8)
    scale = jnp.full((1, outputs), (1.5 / inputs) ** 0.5, jnp.float32)
    return api.prepare(layout.pack(trits), scale, inputs)

  return jax.jit(make)(key)
