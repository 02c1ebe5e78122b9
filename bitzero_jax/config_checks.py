"""What a config may hold: each field alone, and against the others."""

import math
from typing import Any

CURRICULA = (
  "random",
  "random_novel",
  "trr",
  "trr_kl",
  "azr",
  "proposer",
  "progress",
  "edits",
  "learnability",
  "learnability_by_length",
  "length_matched",
)
# Those with a policy gradient, whose rows are dealt out to the updates.
REINFORCED = ("trr", "trr_kl", "azr")
TERNARY = ("absmean", "digits")  # those of ternary planes
QUANTIZERS = ("identity", "absmean", "digits", "binary", "int4", "int8")
# Of packed weights; "auto" takes what was measured to be best.
KERNELS = (
  "auto",
  "base",
  "triton_gemv",
  "triton_dot",
  "mosaic_gpu",
  "mosaic_tpu",
)
CHOICES = {
  "wiring": ("callback", "host"),
  "language.weights": ("hand", "uniform"),
  "model.activation": ("silu", "relu2"),
  "model.dtype": ("float32", "bfloat16"),
  "model.remat": ("none", "dots", "full"),
  "quant.weights": QUANTIZERS,
  "quant.activations": ("int8", "none"),
  "quant.product": ("float", "integer"),
  "quant.kernel": KERNELS,
  "rollout": ("learner", "packed"),
  "precision.allocator": ("learned", "measured", "sensitivity", "random"),
  "probe.method": ("gold", "samples"),
  "pool.eviction": ("reservoir", "priority"),
  "curriculum.name": CURRICULA,
  "curriculum.learnability": ("one_minus", "variance", "tent", "band"),
  "optimizer.name": ("muon", "adamw"),
  "optimizer.schedule": ("cosine", "two_stage"),
  "practice.writer": ("model", "guided", "search"),
  "practice.lessons": ("own", "random", "none"),
  "executor.engine": ("auto", "cpython", "monty"),
  "heldout.weights": ("hand", "uniform"),
  "heldout.primary": ("accuracy", "accuracy_longer", "log_loss"),
}
LEVELS = ("small", "medium", "large", "full")
SMALLEST_BITS = 2.0625  # of one plane, stored


def total_updates(config: Any) -> int:
  """Gradient updates in the whole run."""
  return config.rounds * config.learn.updates


def validate(config: Any) -> None:
  """Checks every field against the others, before any work is done.

  Raises:
    ValueError: one line that names the field, its value and what is allowed.
  """
  for path, allowed in CHOICES.items():
    value = _get(config, path)
    if value not in allowed:
      raise ValueError(f"{path}={value!r} must be one of {', '.join(allowed)}")
  _check_language(config.language)
  _positive(
    config,
    "rounds mesh.data mesh.fsdp mesh.tensor model.width model.layers "
    "model.heads model.kv_heads "
    "model.hidden propose.candidates solve.samples learn.updates pool.capacity "
    "executor.workers executor.steps heldout.candidates heldout.tasks "
    "every.log every.tasks every.evaluate every.save propose.temperature "
    "solve.temperature optimizer.learning_rate optimizer.clip "
    "learn.imitate_rows language.widen_rounds practice.kept "
    "practice.updates practice.learning_rate",
  )
  _within(
    config,
    "propose.model_share propose.edit_share learn.fresh_share "
    "curriculum.top_share curriculum.random_share curriculum.decay",
    0.0,
    1.0,
  )
  _within(
    config,
    "executor.unknown_limit heldout.bar_share heldout.output_share "
    "optimizer.final_share optimizer.second_stage_at "
    "optimizer.second_stage_share optimizer.decay_until language.widen_rate",
    0.0,
    1.0,
  )
  _within(config, "gate.outputs", 1, config.language.pairs)
  _within(config, "probe.pair", 0, config.language.pairs - 1)
  _within(config, "seeds", 1, 64)
  _within(config, "seed", 0, (1 << 32) - config.seeds)
  _within(config, "practice.seed", 0, (1 << 32) - 1)
  _require(
    config.seeds == 1 or config.wiring == "host",
    f"wiring={config.wiring!r} must be 'host' for seeds={config.seeds}",
  )
  _check_mesh(config)
  _within(config, "quant.planes", 1, 5)
  _within(config, "learn.confidence_weight", 0.0, 1.0)
  _within(
    config, "solve.buffer_rows propose.references propose.measured", 0, 1 << 20
  )
  _within(config, "optimizer.warmup", 0, 1 << 30)
  _within(config, "learn.clip_low optimizer.b1 optimizer.b2", 0.0, 1.0)
  _within(config, "learn.clip_high optimizer.weight_decay", 0.0, 1e3)
  _require(
    config.executor.workers % 2 == 0,
    f"executor.workers={config.executor.workers} must be even: two hash seeds",
  )
  _within(
    config,
    "learn.hindsight learn.shown_weight learn.solve learn.propose "
    "learn.imitate curriculum.prior_kl",
    0.0,
    1e3,
  )
  for path in ("propose.candidates", "propose.measured"):
    rows = _get(config, path)
    _require(rows % 3 == 0, f"{path}={rows} must be a multiple of 3")
  _check_lengths(config.curriculum)
  for path in ("learn.rows", "practice.rows"):
    rows = _get(config, path)
    _require(
      len(rows) == 3 and all(type(r) is int and r >= 0 for r in rows),
      f"{path}={rows} must be three row counts: D, A, I",
    )
  _require(
    sum(config.practice.rows) > 0,
    f"practice.rows={config.practice.rows} must hold a row count above 0",
  )
  practice = config.practice
  _within(config, "practice.sharpness", 0.0, 100.0)
  _within(config, "practice.edit_share practice.resume_share", 0.0, 1.0)
  _require(
    practice.programs > 0 and practice.programs % 256 == 0,
    f"practice.programs={practice.programs} must be a multiple of 256",
  )
  model = config.model
  _require(
    model.width % (2 * model.heads) == 0,
    f"model.width={model.width} must be a multiple of 2 * model.heads="
    f"{2 * model.heads}",
  )
  _require(
    model.heads % model.kv_heads == 0,
    f"model.kv_heads={model.kv_heads} must divide model.heads={model.heads}",
  )
  _check_profile(config)
  _check_precision(config)
  _check_groups(config)
  _check_product(config)
  _check_split(config)
  _check_stages(config)
  propose = config.propose
  _require(
    config.language.widen_rate == 0
    or propose.measured > 0
    or max(propose.model_share, propose.edit_share) < 1,
    f"propose.measured={propose.measured} must be above 0 for "
    f"language.widen_rate={config.language.widen_rate}, which looks at the "
    "prior's tasks, where another share is 1",
  )


def _check_mesh(config: Any) -> None:
  """Parameters are split evenly, and several seeds share one device."""
  mesh, model = config.mesh, config.model
  devices = math.prod(mesh.to_dict().values())
  _require(
    config.seeds == 1 or devices == 1,
    f"mesh.data * mesh.fsdp * mesh.tensor = {devices} must be 1 for "
    f"seeds={config.seeds}",
  )
  for name, features in _output_widths(model).items():
    _require(
      features % mesh.fsdp == 0,
      f"mesh.fsdp={mesh.fsdp} must divide {name} = {features}",
    )
  for name in ("heads", "kv_heads", "hidden"):
    _require(
      model[name] % mesh.tensor == 0,
      f"mesh.tensor={mesh.tensor} must divide model.{name}={model[name]}",
    )


def _check_language(language: Any) -> None:
  for level in language.levels:
    _require(
      level in LEVELS,
      f"language.levels: {level!r} must be one of {', '.join(LEVELS)}",
    )
  by_rate = language.widen_rate > 0
  _require(
    not (by_rate and language.widen_at),
    f"language.widen_at={language.widen_at} must be empty where "
    f"language.widen_rate={language.widen_rate} decides",
  )
  _require(
    by_rate or len(language.levels) == len(language.widen_at) + 1,
    f"language.widen_at={language.widen_at} must hold one update for each of "
    f"language.levels={language.levels} but the first",
  )
  _require(
    list(language.widen_at) == sorted(language.widen_at),
    f"language.widen_at={language.widen_at} must not decrease",
  )
  _require(
    language.shown > 0 and language.hidden > 0,
    f"language.shown={language.shown} and language.hidden={language.hidden} "
    "must be at least 1",
  )
  _require(
    language.shown + language.hidden <= language.pairs,
    f"language.shown + language.hidden = {language.shown + language.hidden} "
    f"must be at most language.pairs={language.pairs}",
  )
  _require(
    language.spare >= 0, f"language.spare={language.spare} must not be negative"
  )


def _check_profile(config: Any) -> None:
  steps = config.profile.steps
  _require(
    not steps
    or (
      len(steps) == 2
      and all(type(step) is int for step in steps)
      and 1 <= steps[0] <= steps[1] <= config.rounds
    ),
    f"profile.steps={steps} must be the first and the last round of a trace, "
    f"in 1 ... rounds={config.rounds}",
  )


def _check_precision(config: Any) -> None:
  c = config.precision
  _within(config, "precision.ramp_weights precision.ramp_activations", 0.0, 1.0)
  _within(config, "precision.freeze", 0.0, 1.0)
  _within(config, "precision.dual_rate precision.gap", 0.0, 1e3)
  _within(config, "precision.most", 2, 5)
  _within(config, "precision.sharpness", 1.0, 1e3)
  _require(
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
  _require(
    len(said) < 2,
    f"precision: only one of budget, planes and depths may be set, not "
    f"{' and '.join(said)}",
  )
  _require(
    not c.depths
    or (len(c.depths) > 1 and list(c.depths) == sorted(set(c.depths))),
    f"precision.depths={c.depths} must hold two numbers of planes or more, "
    "each higher than the one before",
  )
  _require(
    len(c.planes_at) == max(len(c.planes) - 1, 0),
    f"precision.planes_at={c.planes_at} must hold one share of the run for "
    f"each of precision.planes={c.planes} but the first",
  )
  _require(
    all(k in range(1, 6) for k in (*c.planes, *c.depths)),
    f"precision.planes={c.planes} and precision.depths={c.depths} must hold "
    "numbers of planes, 1 to 5",
  )
  _require(
    list(c.planes_at) == sorted(c.planes_at)
    and all(0 <= share <= 1 for share in c.planes_at),
    f"precision.planes_at={c.planes_at} must not decrease, in [0, 1]",
  )
  _require(
    c.gap == 0 or (c.depths and config.curriculum.name in REINFORCED),
    f"precision.gap={c.gap} needs precision.depths and a curriculum that is "
    f"paid, {', '.join(REINFORCED)}, not {config.curriculum.name!r}",
  )
  _require(
    not c.depths or config.probe.method == "gold",
    f"probe.method={config.probe.method!r} must be 'gold' for "
    f"precision.depths={c.depths}, which are compared by it",
  )
  _require(
    c.ramp_activations == 0 or config.quant.activations != "none",
    f"quant.activations={config.quant.activations!r} must not be 'none' for "
    f"precision.ramp_activations={c.ramp_activations}",
  )


def _check_groups(config: Any) -> None:
  """Groups are of a budget, and every kernel falls into equal ones."""
  groups, model = config.precision.groups, config.model
  _positive(config, "precision.groups")
  _require(
    groups == 1 or config.precision.budget > 0,
    f"precision.groups={groups} must be 1 for precision.budget=0: only a "
    "budget gives groups planes of their own",
  )
  for name, features in _output_widths(model).items():
    _require(
      features % groups == 0,
      f"precision.groups={groups} must divide {name} = {features}",
    )


def _output_widths(model: Any) -> dict[str, int]:
  """Output features of the kernels, by what gives them."""
  return {
    "model.width": model.width,
    "model.hidden": model.hidden,
    "model.width / model.heads * model.kv_heads": (
      model.width // model.heads * model.kv_heads
    ),
  }


def _check_product(config: Any) -> None:
  """Integers need codes on both sides; packed bytes need ternary planes."""
  c, quant = config.precision, config.quant
  allotted = bool(c.budget or c.planes or c.depths)  # digits, whatever `quant`
  _require(
    quant.product == "float" or quant.activations == "int8",
    f"quant.activations={quant.activations!r} must be 'int8' for "
    "quant.product='integer'",
  )
  _require(
    quant.product == "float" or allotted or quant.weights != "identity",
    f"quant.weights={quant.weights!r} has no codes for quant.product='integer'",
  )
  _require(
    quant.product == "float" or not (c.ramp_weights or c.ramp_activations),
    f"precision.ramp_weights={c.ramp_weights} and precision.ramp_activations="
    f"{c.ramp_activations} must be 0 for quant.product='integer'",
  )
  _require(
    quant.product == "float" or not c.budget or c.allocator != "learned",
    f"precision.allocator={c.allocator!r} runs between numbers of planes, so "
    "not with quant.product='integer'",
  )
  _require(
    config.rollout == "learner" or quant.product == "integer",
    f"quant.product={quant.product!r} must be 'integer' for rollout='packed': "
    "only then do sampler and learner see the same numbers",
  )
  _require(
    config.rollout == "learner" or allotted or quant.weights in TERNARY,
    f"quant.weights={quant.weights!r} must be one of {', '.join(TERNARY)} for "
    "rollout='packed'",
  )


def _check_lengths(curriculum: Any) -> None:
  lengths = curriculum.lengths
  _require(
    all(math.isfinite(w) and w >= 0 for w in lengths),
    f"curriculum.lengths={lengths} must hold weights of at least 0",
  )
  _require(
    curriculum.name != "length_matched" or sum(lengths) > 0,
    f"curriculum.lengths={lengths} must hold a weight above 0 for "
    "curriculum.name='length_matched'; `python -m bitzero_jax.evaluate.compare "
    "FOLDER --lengths ARM` prints those of a finished arm",
  )


def _check_stages(config: Any) -> None:
  """The second stage begins after the warm-up and before the end."""
  o, updates = config.optimizer, total_updates(config)
  drop = round(o.second_stage_at * updates)
  _require(
    o.schedule != "two_stage" or o.warmup < drop < updates,
    f"optimizer.second_stage_at={o.second_stage_at} is update {drop} of "
    f"{updates}: it must be after optimizer.warmup={o.warmup} and before the "
    "end for optimizer.schedule='two_stage'",
  )


def _check_split(config: Any) -> None:
  """Sampled rows are dealt out evenly to the updates and to the devices."""
  fresh, proposed = config.solve.fresh_rows, config.propose.candidates // 3
  _require(
    0 < fresh <= proposed,
    f"solve.fresh_rows={fresh} must be in 1 ... propose.candidates / 3 = "
    f"{proposed}",
  )
  _require(
    config.probe.method == "gold" or fresh == proposed,
    f"probe.method='samples' needs solve.fresh_rows={fresh} to be "
    f"propose.candidates / 3 = {proposed}",
  )
  _require(
    config.probe.method == "gold" or config.propose.measured == 0,
    f"propose.measured={config.propose.measured} must be 0 for "
    "probe.method='samples', which solves what it measures",
  )
  _require(
    config.probe.method == "gold" or config.curriculum.name != "progress",
    f"probe.method={config.probe.method!r} must be 'gold' for "
    "curriculum.name='progress', which compares two probes",
  )
  per_kind = fresh + config.solve.buffer_rows
  answers = per_kind * config.solve.samples
  reinforced = config.curriculum.name in REINFORCED
  share = config.propose.model_share if reinforced else 0.0
  written = 3 * round(config.propose.candidates * share / 3)
  for rows, what in (
    (answers, "(solve.fresh_rows + solve.buffer_rows) * solve.samples"),
    (written, "propose.candidates * propose.model_share"),
  ):
    _require(
      rows % config.learn.updates == 0,
      f"{what} = {rows} must be a multiple of learn.updates="
      f"{config.learn.updates}",
    )
  tasks = config.propose.candidates + config.propose.measured
  devices = math.prod(config.mesh.to_dict().values())
  _require(
    tasks % devices == 0 and 3 * answers % devices == 0,
    f"mesh.data * mesh.fsdp * mesh.tensor = {devices} must divide "
    f"propose.candidates + propose.measured = {tasks} and the {3 * answers} "
    "answers of a round",
  )


def _get(config: Any, path: str) -> Any:
  for name in path.split("."):
    config = config[name]
  return config


def _require(condition: bool, message: str) -> None:
  if not condition:
    raise ValueError(message)


def _positive(config: Any, paths: str) -> None:
  for path in paths.split():
    value = _get(config, path)
    _require(value > 0, f"{path}={value} must be above 0")


def _within(config: Any, paths: str, low: float, high: float) -> None:
  for path in paths.split():
    value = _get(config, path)
    _require(low <= value <= high, f"{path}={value} must be in [{low}, {high}]")
