"""Tokens a second of greedy decoding: packed weights beside bfloat16.

The weights are random, the shape is that of BitNet b1.58 2B4T
(arXiv:2504.12285): speed does not depend on what a model says. All tokens of a
measurement are one compiled program, so the host starts it once. Before a
variant is timed, its logits after one layer must be near those of plain XLA.
After all layers they need not be: 8-bit codes turn over where a last bit
differs, and of random weights every layer makes that more.
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.models import fused, fused_parts, fused_weights
from bitzero_jax.models.transformer import Transformer
from pallas_kernels.ternary_matmul import api, layout, timing

_DTYPE = jnp.bfloat16
_REPEATS = 5
_WARM = 2  # runs before those that are timed
_EPS, _THETA = Transformer.eps, Transformer.rope_theta
NEAR = 0.06  # most relative distance of one layer's logits to plain XLA's


class Shape(NamedTuple):
  """Vocabulary, width, layers, query and key/value heads, hidden width."""

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
    weights: "bfloat16" or "packed".
    head: "bfloat16" or "int8".
    wall: seconds a step, the median of some runs.
    kernel: seconds a step on the device, None where no profiler shows one.
    launches: kernels a step, None likewise.
    size: bytes of all weights.
    off: relative distance of the last logits, after all layers, to those of
      plain XLA with the bfloat16 head.
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
  for kind in ("bfloat16", "packed"):
    yield from variants(kind, batches, slots, tokens, say)


def variants(
  kind: str,
  batches: Sequence[int],
  slots: int,
  tokens: int,
  say: Callable[[str], None],
) -> Iterator[Row]:
  """Rows of one kind of weights; arguments as for `measure`."""
  chosen = shape()
  say(f"drawing {kind} weights of {chosen}")
  weights = draw(chosen, kind == "packed", max(batches))
  mine = truth = fused_parts.floats(eps=_EPS)
  if kind == "packed":
    truth = fused_parts.packed(
      _DTYPE, eps=_EPS, kernels=False, implementation="base"
    )
    on_gpu = jax.default_backend() == "gpu"
    mine = fused_parts.packed(_DTYPE, eps=_EPS, kernels=on_gpu)
  integers = jax.jit(fused_weights.integer_head)(weights.embedding)
  for batch in batches:
    state = _state(chosen, batch, slots, tokens)
    given = jax.random.randint(
      jax.random.key(2), (tokens, batch), 0, chosen.vocab, jnp.int32
    )
    right = None
    for head in ("bfloat16", "int8"):
      held = weights._replace(head=integers) if head == "int8" else weights
      say(f"{batch} rows, {kind} weights, {head} head")
      if right is None:
        right = _logits(_program(truth, held, given, state), held, given, state)
      program = _program(mine, held, given, state)
      got = _logits(program, held, given, state)
      off = _distance(got, right)
      if mine is not truth:
        _gate(mine, truth, held, given, state)
      spent = _clock(program, held, given, state)
      leaves = {id(leaf): leaf.nbytes for leaf in jax.tree.leaves(held)}
      yield Row(batch, kind, head, *spent, sum(leaves.values()), off)


def _distance(got: np.ndarray, right: np.ndarray) -> float:
  return float(np.linalg.norm(got - right) / np.linalg.norm(right))


def _gate(mine, truth, weights, given, state) -> None:
  """Raises RuntimeError where one layer's logits are not those of plain XLA."""
  one = weights._replace(layers=weights.layers[:1])
  less = state._replace(keys=state.keys[:1], values=state.values[:1])
  arguments = one, given, less
  got, right = (
    _logits(_program(parts, *arguments), *arguments) for parts in (mine, truth)
  )
  off = _distance(got, right)
  if not off <= NEAR:
    raise RuntimeError(
      f"{given.shape[1]} rows: logits after one layer are {off:.3f} off"
    )


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


def _program(parts, weights, given, state):
  """Reads the given tokens one by one, and takes the likeliest after each.

  The state is given away, as a sampler would: else its cache is copied first.
  """

  def run(weights, given, state):
    def step(carry, token):
      _, state = carry
      logits, state = fused.decode(parts, weights, token, state, theta=_THETA)
      return (logits, state), jnp.argmax(logits, axis=-1)

    blank = jnp.zeros((given.shape[1], len(weights.embedding)), jnp.float32)
    (logits, state), taken = jax.lax.scan(step, (blank, state), given)
    return logits, taken, state

  made = jax.jit(run, donate_argnums=2)
  return made.lower(weights, given, state).compile()


def _logits(program, weights, given, state) -> np.ndarray:
  """Of the last token, float64."""
  copied = jax.tree.map(jnp.copy, state)
  return np.asarray(program(weights, given, copied)[0], np.float64)


def _clock(
  program, weights, given, state
) -> tuple[float, float | None, float | None]:
  """Seconds of a step by the wall and on the device, and its kernels."""
  tokens, spent = len(given), []
  held = jax.tree.map(jnp.copy, state)
  for _ in range(_WARM + _REPEATS):
    begin = time.perf_counter()
    *_, left = jax.block_until_ready(program(weights, given, held))
    spent.append(time.perf_counter() - begin)
    # The next run reads over what this one wrote.
    seen, column = jax.tree.map(jnp.copy, (state.seen, state.column))
    held = jax.block_until_ready(left._replace(seen=seen, column=column))
  wall = statistics.median(spent[_WARM:]) / tokens
  if jax.default_backend() == "cpu":
    return wall, None, None
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      jax.block_until_ready(program(weights, given, held))
    events = timing.device_events(folder)
  kernel = sum(nanoseconds for _, nanoseconds in events) / 1e9 / tokens
  return wall, kernel, len(events) / tokens


def draw(chosen: Shape, packed: bool, most: int) -> fused.Weights:
  """Random weights; each product of unit inputs has unit outputs.

  Args:
    chosen: of the model.
    packed: ternary and packed, or bfloat16.
    most: rows that will be decoded together.
  """
  width, hidden = chosen.width, chosen.hidden
  qkv = (chosen.heads + 2 * chosen.kv) * (width // chosen.heads)
  keys = iter(jax.random.split(jax.random.key(0), 4 * chosen.layers + 1))

  def matrix(inputs: int, outputs: int) -> Any:
    if packed:
      return _packed(next(keys), inputs, outputs, most)
    return _floats(next(keys), inputs, outputs)

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


@functools.partial(jax.jit, static_argnums=(1, 2))
def _floats(key, inputs, outputs) -> jax.Array:
  return jax.random.normal(key, (inputs, outputs), _DTYPE) * inputs**-0.5


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _packed(key, inputs, outputs, most) -> api.Weight:
  trits = jax.random.randint(key, (1, inputs, outputs), -1, 2, jnp.int8)
  scale = jnp.full((1, outputs), (1.5 / inputs) ** 0.5, jnp.float32)
  packed = layout.pack(trits)
  return api.prepare(packed, scale, inputs, most=most, dtype="int8")
