"""Compiles two layers of 2B4T's fused decoding for an H100; prints JSON."""

import collections
import json
import os
import re

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp

from bitzero_jax.bench import decode
from bitzero_jax.models import fused_parts
from pallas_kernels.ternary_matmul import aot, api

TOKENS, SLOTS = 4, 256  # attention in four parts
shape = decode.BITNET_2B4T._replace(layers=2, vocab=4096)
where = jax.sharding.SingleDeviceSharding(aot.device("h100"))
plain = api.prepare


def prepare(*arguments, **options):
  return plain(*arguments, **options | {"implementation": "triton_gemv"})


def described(function):
  made = jax.eval_shape(function)
  return jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where), made
  )


api.prepare = prepare  # there is no H100 here to ask the table about
weights = described(lambda: decode.draw(shape, True, 1))
state = described(lambda: decode._state(shape, 1, SLOTS, TOKENS))
given = described(lambda: jnp.zeros((TOKENS, 1), jnp.int32))
parts = fused_parts.packed(jnp.bfloat16, eps=1e-5, kernels=True)
with aot.described("triton_gemv"):
  text = decode._program(parts, weights, given, state).as_text() or ""
# The loop's body is the computation that calls kernels.
(body,) = [b for b in text.split("\n\n") if "xla.gpu.triton" in b]
held = "bf16[1,256,5,128]"
copies = re.findall(rf"= {re.escape(held)}\S* copy\(", body)
calls = [line for line in body.splitlines() if '"__gpu$xla.gpu.triton"' in line]
names = collections.Counter(
  name
  for line in calls
  for name in re.findall(r'op_name="[^"]*?/([a-z_]+)/pallas_call"', line)
)
print(json.dumps({"calls": dict(names), "copies": len(copies)}))
