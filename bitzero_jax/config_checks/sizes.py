"""Seeds, devices and the model, which is split over them."""

import math
from typing import Any

from bitzero_jax.config_checks.require import require, within


def check_seeds(config: Any) -> None:
  """Several seeds share one device, and the host between its stages."""
  within(config, "seed", 0, (1 << 32) - config.seeds)
  require(
    config.seeds == 1 or config.wiring == "host",
    f"wiring={config.wiring!r} must be 'host' for seeds={config.seeds}",
  )
  devices = math.prod(config.mesh.to_dict().values())
  require(
    config.seeds == 1 or devices == 1,
    f"mesh.data * mesh.fsdp * mesh.tensor = {devices} must be 1 for "
    f"seeds={config.seeds}",
  )


def check_mesh(config: Any) -> None:
  """Parameters are split evenly over the devices."""
  mesh, model = config.mesh, config.model
  for name, features in output_widths(model).items():
    require(
      features % mesh.fsdp == 0,
      f"mesh.fsdp={mesh.fsdp} must divide {name} = {features}",
    )
  for name in ("heads", "kv_heads", "hidden"):
    require(
      model[name] % mesh.tensor == 0,
      f"mesh.tensor={mesh.tensor} must divide model.{name}={model[name]}",
    )


def check_model(config: Any) -> None:
  """Rotary angles come in pairs, and heads share keys in equal groups."""
  model = config.model
  require(
    model.width % (2 * model.heads) == 0,
    f"model.width={model.width} must be a multiple of 2 * model.heads="
    f"{2 * model.heads}",
  )
  require(
    model.heads % model.kv_heads == 0,
    f"model.kv_heads={model.kv_heads} must divide model.heads={model.heads}",
  )


def output_widths(model: Any) -> dict[str, int]:
  """Output features of the kernels, by what gives them."""
  return {
    "model.width": model.width,
    "model.hidden": model.hidden,
    "model.width / model.heads * model.kv_heads": (
      model.width // model.heads * model.kv_heads
    ),
  }
