"""Bytes and decoding speed of a model in each file that it can leave as."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax import build
from bitzero_jax.export import gguf, packed
from bitzero_jax.export import model as model_lib
from bitzero_jax.export.llama import Engine
from bitzero_jax.export.model import Model

PROMPT = 8  # tokens in the cache before the first that is timed
REPEATS = 3  # of which the fastest counts: the others met other work
THREADS = (1, 2)
FILES = (
  ("smallest exact", gguf.AUTO, "q8_0"),
  ("TQ2_0", "tq2_0", "q8_0"),
  ("TQ1_0", "tq1_0", "q8_0"),
  ("Q8_0", "q8_0", "q8_0"),
  ("F16", "f16", "f16"),
)
HEADER = f"{'file':32}{'bytes':>14}{'tokens/s, 1 thread':>20}{'2 threads':>12}"


class Row(NamedTuple):
  """One file.

  Attributes:
    name: of the table.
    bytes: of the file.
    rates: tokens/s by the number of threads; empty where nothing runs it.
  """

  name: str
  bytes: int
  rates: tuple[float, ...]


def random_model(config: Any) -> Model:
  """A model of a config with the weights that it starts from.

  Its planes are those that the run would end with, where no gain is measured.
  """
  key = jax.random.key(config.seed)
  params = jax.jit(build.build_network(config).init)(key)
  moves = build.build_precision(config)
  if moves is not None:
    params = moves.start(params, key)
    params = moves.advance(params, jnp.float32(1), {})
  quantizer = build.build_quantizer(config)
  choice = build.build_choice(config, params)
  return model_lib.of_params(config, 0, params, quantizer, choice)


def measure(model: Model, tokens: int) -> Iterator[Row]:
  """Writes the model in every way, decodes `tokens` with each, yields rows.

  Decoding is greedy on no grammar, one token after the other in one row.

  Raises:
    ValueError: `gguf.place` refuses the model, or an extra is missing.
  """
  matrices = [m.codes.size for m in model.matrices.values()]
  others = [leaf.size for leaf in model.others.values()]
  yield Row("float32, as trained", 4 * sum(matrices) + 4 * sum(others), ())
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model"
    packed.write(model, path)
    size = path.stat().st_size
    yield Row("packed, in JAX (all threads)", size, (_in_jax(model, tokens),))
    seen = set()
    for name, wanted, embedding in FILES:
      placed = gguf.place(model, wanted, embedding)
      kinds = tuple(
        sorted({t.carrier.name for t in placed.values() if t.planes})
      )
      if (kinds, embedding) in seen:
        continue
      seen.add((kinds, embedding))
      gguf.write(model, placed, path, PROMPT + tokens)
      rates = tuple(_in_llama(path, tokens, threads) for threads in THREADS)
      shown = name if kinds == (wanted,) else f"{name}: {'+'.join(kinds)}"
      yield Row(f"GGUF {shown}", path.stat().st_size, rates)


def line(row: Row) -> str:
  """A line of the table."""
  widths = zip(row.rates, (20, 12), strict=False)
  rates = "".join(f"{rate:>{width},.0f}" for rate, width in widths)
  return f"{row.name:32}{row.bytes:>14,}{rates}"


def _in_llama(path: Path, tokens: int, threads: int) -> float:
  with Engine(path, PROMPT + tokens, threads) as engine:

    def decode() -> float:
      logits = engine.read(list(range(1, PROMPT + 1)))[-1]
      began = time.perf_counter()
      for _ in range(tokens):
        logits = engine.extend(max(1, int(np.argmax(logits))))
      return time.perf_counter() - began

    return tokens / min(decode() for _ in range(REPEATS))


def _in_jax(model: Model, tokens: int) -> float:
  network = build.build_shipped_network(model.config)
  weights = model_lib.weights(model)
  prefill = jax.jit(network.prefill, static_argnums=2)
  step = jax.jit(network.decode, donate_argnums=2)
  prompt = jnp.arange(1, PROMPT + 1, dtype=jnp.int32)[None]

  def decode() -> float:
    logits, cache = prefill(weights, prompt, PROMPT + tokens)
    jax.block_until_ready(logits)
    began = time.perf_counter()
    for _ in range(tokens):
      token = np.maximum(1, np.argmax(np.asarray(logits), axis=-1))
      logits, cache = step(weights, token.astype(np.int32), cache)
    jax.block_until_ready(logits)
    return time.perf_counter() - began

  decode()  # compiles
  return tokens / min(decode() for _ in range(REPEATS))
