"""Compiles LEARN for two H100s that are not here; prints its loops as JSON."""

import json
import re

from bitzero_jax import arguments, build
from bitzero_jax.bench import scaling
from pallas_kernels.ternary_matmul import aot

_STEPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


def main() -> None:
  config = arguments.read_config(
    "experiments/smoke.py",
    ["--config.propose.candidates=192", "--config.learn.updates=16"],
  )
  grown = scaling.grown(config, 2)
  mesh = build.build_mesh(grown, aot.devices("h100", gpus=2))
  text = build.build_traces(grown, mesh).learn().lower().compile().as_text()
  steps = sorted(map(int, _STEPS.findall(text)))
  print(json.dumps({"steps": steps, "updates": 16, "rows": 192}))


if __name__ == "__main__":
  main()
