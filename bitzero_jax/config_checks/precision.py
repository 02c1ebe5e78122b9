"""How many bits a weight has when, and in which numbers it multiplies."""

from typing import Any

from bitzero_jax.config_checks.choices import REINFORCED, SMALLEST_BITS, TERNARY
from bitzero_jax.config_checks.require import require
from bitzero_jax.config_checks.sizes import output_widths


def check_precision(config: Any) -> None:
  """Numbers of planes: under a budget, one after the other, or side by side."""
  c = config.precision
  require(
    c.budget == 0 or c.budget >= SMALLEST_BITS,
    f"precision.budget={c.budget} must be 0, or at least the {SMALLEST_BITS} "
    "stored bits of one plane",
  )
  chosen = {
    "budget": c.budget or None,
    "planes": c.planes or None,
    "depths": c.depths or None,
  }
  said = [f"{name}={value}" for name, value in chosen.items() if value]
  require(
    len(said) < 2,
    f"precision: only one of budget, planes and depths may be set, not "
    f"{' and '.join(said)}",
  )
  require(
    not c.depths
    or (len(c.depths) > 1 and list(c.depths) == sorted(set(c.depths))),
    f"precision.depths={c.depths} must hold two numbers of planes or more, "
    "each higher than the one before",
  )
  require(
    len(c.planes_at) == max(len(c.planes) - 1, 0),
    f"precision.planes_at={c.planes_at} must hold one share of the run for "
    f"each of precision.planes={c.planes} but the first",
  )
  require(
    all(k in range(1, 6) for k in (*c.planes, *c.depths)),
    f"precision.planes={c.planes} and precision.depths={c.depths} must hold "
    "numbers of planes, 1 to 5",
  )
  require(
    list(c.planes_at) == sorted(c.planes_at)
    and all(0 <= share <= 1 for share in c.planes_at),
    f"precision.planes_at={c.planes_at} must not decrease, in [0, 1]",
  )
  require(
    c.gap == 0 or (c.depths and config.curriculum.name in REINFORCED),
    f"precision.gap={c.gap} needs precision.depths and a curriculum that is "
    f"paid, {', '.join(REINFORCED)}, not {config.curriculum.name!r}",
  )
  require(
    not c.depths or config.probe.method == "gold",
    f"probe.method={config.probe.method!r} must be 'gold' for "
    f"precision.depths={c.depths}, which are compared by it",
  )
  require(
    c.ramp_activations == 0 or config.quant.activations != "none",
    f"quant.activations={config.quant.activations!r} must not be 'none' for "
    f"precision.ramp_activations={c.ramp_activations}",
  )


def check_groups(config: Any) -> None:
  """Groups are of a budget, and every kernel falls into equal ones."""
  groups = config.precision.groups
  require(
    groups == 1 or config.precision.budget > 0,
    f"precision.groups={groups} must be 1 for precision.budget=0: only a "
    "budget gives groups planes of their own",
  )
  for name, features in output_widths(config.model).items():
    require(
      features % groups == 0,
      f"precision.groups={groups} must divide {name} = {features}",
    )


def check_product(config: Any) -> None:
  """Integers need codes on both sides; packed bytes need ternary planes."""
  c, quant = config.precision, config.quant
  allotted = bool(c.budget or c.planes or c.depths)  # digits, whatever `quant`
  require(
    quant.product == "float" or quant.activations == "int8",
    f"quant.activations={quant.activations!r} must be 'int8' for "
    "quant.product='integer'",
  )
  require(
    quant.product == "float" or allotted or quant.weights != "identity",
    f"quant.weights={quant.weights!r} has no codes for quant.product='integer'",
  )
  require(
    quant.product == "float" or not (c.ramp_weights or c.ramp_activations),
    f"precision.ramp_weights={c.ramp_weights} and precision.ramp_activations="
    f"{c.ramp_activations} must be 0 for quant.product='integer'",
  )
  require(
    quant.product == "float" or not c.budget or c.allocator != "learned",
    f"precision.allocator={c.allocator!r} runs between numbers of planes, so "
    "not with quant.product='integer'",
  )
  require(
    config.rollout == "learner" or quant.product == "integer",
    f"quant.product={quant.product!r} must be 'integer' for rollout='packed': "
    "only then do sampler and learner see the same numbers",
  )
  require(
    config.rollout == "learner" or allotted or quant.weights in TERNARY,
    f"quant.weights={quant.weights!r} must be one of {', '.join(TERNARY)} for "
    "rollout='packed'",
  )
