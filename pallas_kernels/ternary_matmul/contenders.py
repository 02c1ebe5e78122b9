"""What the benchmark runs: our kernels, and XLA's products of ready weights.

A contender makes the weights of one case in its own form and multiplies with
them. The kernels write over the result of the launch before (`into`), so that
launches cannot overlap; XLA's products are separate.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pallas_kernels.ternary_matmul import (
  api,
  layout,
  triton_dot,
  triton_gemv,
)
from pallas_kernels.ternary_matmul.shapes import Shape

LAPS = 8
_DTYPE = jnp.bfloat16  # of the results, as in a model


class Case(NamedTuple):
  """One cell of the table.

  Attributes:
    name: of the matrix.
    shape: K and N.
    count: M, rows of x.
    planes: digit planes.
    x: dtype of the activations, by name.
  """

  name: str
  shape: Shape
  count: int
  planes: int
  x: str


class Inputs(NamedTuple):
  """Numbers of a case, from a key.

  Attributes:
    x: [M, K], int8 or bfloat16.
    x_scale: [M, 1], float32.
    packed: [P, N, R], canonical bytes.
    scale: [], float32.
  """

  x: jax.Array
  x_scale: jax.Array
  packed: jax.Array
  scale: jax.Array


@functools.partial(jax.jit, static_argnums=0)
def draw(case: Case, key: jax.Array) -> Inputs:
  """Random numbers of a case; both scales vary, so that none can be missed."""
  trit, given, own, each = jax.random.split(key, 4)
  rows, columns = case.shape
  trits = jax.random.randint(
    trit, (case.planes, rows, columns), -1, 2, jnp.int8
  )
  if case.x == "int8":
    x = jax.random.randint(given, (case.count, rows), -127, 128, jnp.int8)
  else:
    x = jax.random.normal(given, (case.count, rows), jnp.bfloat16)
  return Inputs(
    x,
    jax.random.uniform(each, (case.count, 1), minval=0.5),
    layout.pack(trits),
    jax.random.uniform(own, (), minval=0.5),
  )


class Contender(NamedTuple):
  """One way to multiply.

  Attributes:
    name: shown in the table.
    tiles: of a kernel, None where there are none.
    make: Inputs -> weights in its own form.
    ready: Inputs -> Inputs whose x it reads as it is.
    run: (Inputs, weights, result of the launch before or None, out dtype) ->
      [M, N]. This is what is timed.
    finish: (Inputs, result) -> the product, scaled, for the gate.
    chained: whether `run` writes over the result of the launch before.
    ours: whether it reads packed weights.
    apart: whether every launch is a program of its own, because each of them in
      one program would be compiled anew for seconds. Then the host's time is in
      the chain, and only the kernel's time means something.
  """

  name: str
  tiles: Any
  make: Callable[[Inputs], Any]
  ready: Callable[[Inputs], Inputs]
  run: Callable[..., jax.Array]
  finish: Callable[[Inputs, jax.Array], jax.Array]
  chained: bool
  ours: bool
  apart: bool = False


def _as_it_is(inputs: Inputs) -> Inputs:
  return inputs


def _done(inputs: Inputs, result: jax.Array) -> jax.Array:
  del inputs
  return result


def _codes(inputs: Inputs) -> jax.Array:
  trits = layout.unpack(inputs.packed, inputs.x.shape[1])
  return functools.reduce(lambda total, plane: 3 * total + plane, trits)


def _scaled(inputs: Inputs, total: jax.Array) -> jax.Array:
  value = total.astype(jnp.float32) * inputs.scale
  return (value * inputs.x_scale).astype(_DTYPE)


def _xla(name: str, dtype: Any, total: Any, turned: bool) -> Contender:
  """The bare product of ready operands: no scale, nothing to convert.

  Args:
    name: in the table.
    dtype: of both operands.
    total: of the result, None for the one of a model.
    turned: whether weights lie as [N, K]; XLA's library likes one form more.
  """

  def make(inputs):
    codes = _codes(inputs).astype(dtype)
    return codes.T.copy() if turned else codes

  def run(inputs, weight, before, out_dtype):
    del before
    return jax.lax.dot_general(
      inputs.x,
      weight,
      (((1,), (1 if turned else 0,)), ((), ())),
      preferred_element_type=total or out_dtype,
    )

  return Contender(
    f"{name} turned" if turned else name,
    None,
    make,
    lambda inputs: inputs._replace(x=inputs.x.astype(dtype)),
    run,
    _scaled,
    chained=False,
    ours=False,
  )


def xla_bfloat16(turned: bool = False) -> Contender:
  """XLA's bfloat16 product: cuBLAS, on a GPU."""
  return _xla("xla bf16", jnp.bfloat16, None, turned)


def xla_int8(turned: bool = False) -> Contender:
  """XLA's int8 product, into int32."""
  return _xla("xla int8", jnp.int8, jnp.int32, turned)


def kernel(
  name: str, rows: int, tiles: Any = None, interpret: Any = False
) -> Contender:
  """One of `api.IMPLEMENTATIONS`, with these tiles."""
  written = {
    "triton_gemv": triton_gemv.forward,
    "triton_dot": triton_dot.forward,
  }.get(name)
  chained = written is not None and getattr(tiles, "split", 1) == 1

  def make(inputs):
    return api.prepare(inputs.packed, inputs.scale, rows, implementation=name)

  def run(inputs, weight, before, dtype):
    if written is not None:
      return written(
        inputs.x,
        weight.held["signed_words"],
        weight.scale,
        inputs.x_scale,
        out_dtype=dtype,
        tiles=tiles,
        into=before,
        interpret=interpret,
      )
    return api.ternary_matmul(
      inputs.x,
      weight,
      x_scale=inputs.x_scale,
      out_dtype=dtype,
      implementation=name,
      tiles=tiles,
      interpret=interpret,
    )

  return Contender(
    name,
    tiles,
    make,
    _as_it_is,
    run,
    _done,
    chained,
    ours=True,
    apart=name.startswith("mosaic_gpu"),
  )


def program(contender: Contender) -> Callable[..., Any]:
  """Launches a contender once for each (inputs, weights), `LAPS` times over.

  All in one program: the host hands its arguments over once, which takes about
  5 us for those of a launch, more than a launch itself.

  Args of the result: a list of Inputs without bytes, a list of weights, and
  what the first launch writes over, NaN everywhere.
  """
  if contender.apart:
    return _one_by_one(contender)

  def lap(inputs: Sequence[Inputs], weights: Sequence[Any], before):
    results = []
    for one, weight in zip(inputs, weights, strict=True):
      if contender.chained:
        before = contender.run(one, weight, before, before.dtype)
      else:
        # Or XLA would multiply once, in front of the loop.
        x, before = jax.lax.optimization_barrier((one.x, before))
        one = one._replace(x=x)
        results.append(contender.run(one, weight, None, _DTYPE))
    return before if contender.chained else jnp.stack(results)

  @jax.jit
  def launch(inputs: Sequence[Inputs], weights: Sequence[Any], poison):
    first = poison
    if not contender.chained:
      run = functools.partial(lap, inputs, weights)
      shape = jax.eval_shape(run, poison)
      first = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.fori_loop(
      0, LAPS, lambda _, before: lap(inputs, weights, before), first
    )

  return launch


def _one_by_one(contender: Contender) -> Callable[..., list[jax.Array]]:
  """Once over, a compiled program for each launch, and all its results."""

  @functools.partial(jax.jit, static_argnums=2)
  def launch(inputs: Inputs, weight: Any, dtype: Any) -> jax.Array:
    return contender.run(inputs, weight, None, dtype)

  def every(
    inputs: Sequence[Inputs], weights: Sequence[Any], poison: jax.Array
  ):
    return [
      launch(one, weight, poison.dtype)
      for one, weight in zip(inputs, weights, strict=True)
    ]

  return every
