"""The model of a run: its weights, and how many bits they have when."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from bitzero_jax.language import grammar
from bitzero_jax.models import axes, product
from bitzero_jax.models.layers import Place, as_it_is
from bitzero_jax.models.network import ACTIVATION_SHARE, Network, network
from bitzero_jax.models.transformer import Transformer, identity
from bitzero_jax.precision import allocation, ledger, schedule
from bitzero_jax.precision import base as precision
from bitzero_jax.quant import activations, digits, table, tree
from bitzero_jax.quant.base import Quantizer
from pallas_kernels.ternary_matmul import api

ACTIVATIONS = {
  ("int8", "float"): activations.fake_quant,
  ("int8", "integer"): product.quantize,
  ("none", "float"): identity,
}


def build_quantizer(config: Any) -> Quantizer:
  """The weight quantizer that the config names."""
  c = config.precision
  if c.budget:
    name = "allocated" if c.allocator == "learned" else "adaptive"
    chosen = table.make(name, planes=c.most, groups=c.groups)
  elif c.depths:
    chosen = table.make("nested", planes=max(c.depths))
  elif c.planes:
    chosen = table.make("adaptive", planes=max(c.planes))
  else:
    name = config.quant.weights
    options = {"planes": config.quant.planes} if name == "digits" else {}
    chosen = table.make(name, **options)
  return schedule.blended(chosen) if c.ramp_weights else chosen


def build_groups(config: Any, params: Any) -> tree.Groups:
  """Quantizers of each kernel's groups, at the planes they have in `params`."""
  quantizer = build_quantizer(config)
  planes = ledger.manifest(params)

  def choose(path: str) -> list[Quantizer]:
    if path not in planes:
      return [quantizer]
    return [table.make("digits", planes=k) for k in planes[path]]

  return choose


def build_choice(config: Any, params: Any) -> tree.Choice:
  """The quantizer of each kernel at the planes that it has in `params`.

  Raises:
    ValueError: groups of a kernel have planes of their own.
  """
  groups = config.precision.groups
  if groups > 1:
    raise ValueError(
      f"config.precision.groups={groups} must be 1 for export: files hold one "
      "number of planes, and one step, a kernel"
    )
  choose = build_groups(config, params)
  return lambda path: choose(path)[0]


def build_precision(config: Any) -> precision.Precision | None:
  """What moves precision over a run; None where it stays as it is."""
  c = config.precision
  ramps = {
    name: schedule.ramp(share)
    for name, share in (
      ("weights", c.ramp_weights),
      ("activations", c.ramp_activations),
    )
    if share
  }
  if c.planes:
    ramps["planes"] = schedule.stairs(c.planes, c.planes_at)
  chosen = [schedule.scheduled(**ramps)] if ramps else []
  if c.budget:
    budget = allocation.Budget(c.budget, c.most, c.freeze, c.sharpness)
    allocators = {
      "learned": lambda: allocation.learned(budget),
      "measured": lambda: allocation.measured(budget),
      "random": lambda: allocation.random(budget),
      "sensitivity": lambda: allocation.sensitivity(
        budget, build_quantizer(config)
      ),
    }
    chosen.append(allocators[c.allocator]())
  return precision.both(chosen)


def build_model(config: Any, place: Place = as_it_is) -> Transformer:
  """The transformer, with its activation quantizer."""
  return Transformer(
    vocab=grammar.VOCABULARY,
    width=config.model.width,
    layers=config.model.layers,
    heads=config.model.heads,
    kv_heads=config.model.kv_heads,
    hidden=config.model.hidden,
    activation=config.model.activation,
    rope_theta=config.model.rope_theta,
    dtype=jnp.dtype(config.model.dtype),
    quantize_activations=ACTIVATIONS[
      config.quant.activations, config.quant.product
    ],
    place=place,
    scan=config.model.scan,
    remat=config.model.remat,
  )


def build_layout(place: Place) -> tree.Layout:
  """How kernels lie, for their quantizer: by the names of their axes."""
  if place is as_it_is:
    return tree.ONE_DEVICE
  return tree.Layout(lambda path: axes.of_parameter(path.split("/")), place)


def build_network(config: Any, place: Place = as_it_is) -> Network:
  """Model and quantizer as pure functions of {"model", "quant"} parameters.

  Args:
    config: validated.
    place: lays out what the model computes over a mesh.
  """
  model = build_model(config, place)
  quantizer, layout = build_quantizer(config), build_layout(place)

  def init(key):
    tokens = jnp.ones((1, 2), jnp.int32)
    params = model.clone(place=as_it_is).init(key, tokens)["params"]
    return {"model": params, "quant": tree.init_tree(quantizer, params)}

  def weights(params):
    held = (params["model"], params["quant"])
    if config.quant.product == "integer":
      return tree.coded_tree(quantizer, *held, product.Integers, layout)
    made = tree.fake_quant_tree(quantizer, *held, layout)
    if config.precision.ramp_activations:
      made[ACTIVATION_SHARE] = params["quant"][schedule.ACTIVATIONS]["mix"]
    return made

  return network(model, init, weights)


def build_shipped_network(config: Any) -> Network:
  """The model alone: its parameters are the weights, already quantized."""
  model = build_model(config)

  def init(key):
    return model.init(key, jnp.ones((1, 2), jnp.int32))["params"]

  return network(model, init, lambda weights: weights)


def build_at_depth(
  config: Any, planes: int
) -> tuple[Network, Callable[[Any], Any]]:
  """What a run with `precision.depths` multiplies where it runs at one of them.

  The other networks read all digits at every depth. This one holds the first
  ones alone, packed, so that fewer cost less.

  Args:
    config: validated, of such a run.
    planes: one of its depths.

  Returns:
    A network of weights that are packed already, and a function that makes them
    of the run's parameters.
  """
  exact: Any = ConfigDict(config)
  if config.quant.activations == "int8":
    exact.quant.product = "integer"
  quantizer, pack = build_quantizer(config), digits.packer(planes)

  def packed(params):
    at = precision.set_control(params, "planes", planes)
    held = (at["model"], at["quant"])
    made = tree.coded_tree(quantizer, *held, product.Integers)
    # A kernel that the run asks for may be another device's.
    return _packed(made, pack, api.AUTO)

  return build_shipped_network(exact), packed


def _packed(made: Any, pack: Callable[..., Any], kernel: str) -> Any:
  """Weights with every `Integers` leaf packed, for a kernel by name."""
  packed = jax.tree.map(
    lambda leaf: pack(leaf.codes, leaf.scale) if product.coded(leaf) else leaf,
    made,
    is_leaf=product.coded,
  )
  return product.prepare(packed, kernel)


def check_kernel(config: Any, platform: str) -> None:
  """Whether a run can sample with the kernel that it asks for by name.

  Args:
    config: validated.
    platform: of the devices, as `jax.default_backend` says it.

  Raises:
    ValueError: it is another device's, or takes fewer rows than a prompt has.
  """
  name = config.quant.kernel
  if config.rollout != "packed" or name == api.AUTO:
    return
  chosen = api.named(name)
  if chosen.platform not in (None, platform):
    raise ValueError(
      f"quant.kernel={name!r} runs on a {chosen.platform}, and this process "
      f"has a {platform}"
    )
  if chosen.most_rows is not None:
    raise ValueError(
      f"quant.kernel={name!r} takes at most {chosen.most_rows} rows, and a "
      "prompt has more"
    )


def build_rollout(config: Any, place: Place = as_it_is) -> Callable[[Any], Any]:
  """Parameters -> the weights that sampling multiplies with."""
  weights = build_network(config, place).weights
  if config.rollout == "learner":
    return weights
  pack = build_quantizer(config).pack

  def packed(params):
    # The learner's own codes and scales: with ones that were made a second time
    # the gap was 1e-7 in some runs, and not 0.
    return _packed(weights(params), pack, config.quant.kernel)

  return packed
