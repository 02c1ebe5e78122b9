"""Compiles a decoding step with packed weights for a TPU; prints JSON.

python tests/models/aot_decode.py v5e
"""

import json
import os
import sys

os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
import jax.numpy as jnp

from bitzero_jax.models import cache, product
from bitzero_jax.models.sizes import size
from bitzero_jax.models.transformer import Transformer
from bitzero_jax.quant import make, tree
from pallas_kernels.ternary_matmul import aot

ROWS, SLOTS = 16, 64
model = Transformer(
  vocab=270,
  dtype="bfloat16",
  quantize_activations=product.quantize,
  **size("export"),
)
quantizer = make("absmean")


def weights(key):
  params = model.init(key, jnp.ones((1, 2), jnp.int32))["params"]
  return product.prepare(tree.pack_tree(quantizer, params, {}), "mosaic_tpu")


def decode(w, token, slots):
  return model.apply({"params": w}, token, slots, method="decode")


def empty():
  shape = model.layers, ROWS, SLOTS, model.kv_heads, model.width // model.heads
  return cache.empty(*shape, jnp.bfloat16)


where = jax.sharding.SingleDeviceSharding(aot.device(sys.argv[1]))
packed = jax.eval_shape(weights, jax.random.key(0))
held = jax.eval_shape(empty)
arguments = (packed, jax.ShapeDtypeStruct((ROWS,), jnp.int32), held)
arguments = jax.tree.map(
  lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where), arguments
)
done = jax.jit(decode).lower(*arguments).compile()
memory = done.memory_analysis()
kernels = tree.kernels(
  jax.eval_shape(
    lambda key: model.init(key, jnp.ones((1, 2), jnp.int32))["params"],
    jax.random.key(0),
  ),
  {},
)
assert memory is not None
print(
  json.dumps(
    {
      "calls": (done.as_text() or "").count('target="tpu_custom_call"'),
      "kernels": len(kernels),
      "weights": sum(leaf.size for leaf, _ in kernels.values()),
      "embedding_bytes": 4 * 270 * model.width,
      "cache_bytes": sum(
        a.size * a.dtype.itemsize for a in jax.tree.leaves(held)
      ),
      "argument_bytes": memory.argument_size_in_bytes,
    }
  )
)
