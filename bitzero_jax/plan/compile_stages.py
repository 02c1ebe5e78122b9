"""Compiles a round's stages for a slice that is not here; a process of its own.

    python -m bitzero_jax.plan.compile_stages < request.json

reads {"config", "topology"} and writes a line of JSON as each thing is known.
A compiler that gives up may take its process with it, and libtpu is loaded once
a process: `plan/search.py` starts one for each try.
"""

import json
import sys
import time
from typing import Any


def _say(**line: Any) -> None:
  print(json.dumps(line), flush=True)


def main() -> int:
  """Answers the request on standard input."""
  import jax

  from bitzero_jax import build
  from bitzero_jax import config as config_lib
  from bitzero_jax.plan import program, resident, topology

  request = json.load(sys.stdin)
  config = config_lib.from_dict(request["config"])
  where = topology.parse(request["topology"])
  try:
    mesh = build.build_mesh(config, topology.devices(where))
  except ValueError as error:
    _say(refused=str(error))
    return 0
  held = resident.count(config, mesh)
  _say(resident=held._asdict())
  if held.state > where.memory:
    return 0  # no program is small enough
  traces = build.build_traces(config, mesh)
  for stage in program.STAGES:
    _say(begun=stage)
    begin = time.monotonic()
    lowered = getattr(traces, stage)().lower()
    middle = time.monotonic()
    try:
      compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
      if "RESOURCE_EXHAUSTED" not in str(error):
        raise
      _say(overflow=stage, reason=str(error).strip().splitlines()[0])
      return 0
    end = time.monotonic()
    done = program.read(stage, compiled, middle - begin, end - middle)
    _say(program=done._asdict())
  return 0


if __name__ == "__main__":
  sys.exit(main())
