"""Every default, once, with its unit and meaning; checks; freezing.

An experiment file states its differences from `default()` and nothing else.
Code reads `config.x.y` and never supplies a default of its own.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

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


def default() -> Any:
  """The default configuration: a small ternary learner on a laptop."""
  c = ConfigDict()
  c.name = "default"  # shown in the report
  c.seed = 0  # the only source of randomness of a run
  c.seeds = 1  # runs of `seed`, `seed` + 1, ... trained side by side in one
  # process, each in a folder of its own
  c.rounds = 120  # self-play rounds in the run
  c.wiring = "callback"  # host inside one compiled round, or "host" between
  c.rollout = "learner"  # weights that sampling multiplies with: the learner's
  # own, or "packed" bytes, which give the same bits
  c.devices = 1  # devices of the data axis that verification is spread over

  c.language = ConfigDict()
  c.language.levels = ("small",)  # levels in the order that a run widens
  c.language.widen_at = ()  # updates at which the 2nd, 3rd ... level begins
  c.language.widen_rate = 0.0  # above 0: the next level begins when the mean
  # solve rate of the prior's tasks has reached this, and not by updates
  c.language.widen_rounds = 10  # last rounds that this mean is over
  c.language.weights = "hand"  # the grammar prior's weights, or "uniform"
  c.language.uniform_budget = True  # spread program budgets evenly by length
  c.language.pairs = 12  # input-output pairs kept for a task
  c.language.shown = 4  # of them shown to induction
  c.language.hidden = 2  # further ones that an induction answer must get right
  c.language.spare = 4  # inputs tried beyond `pairs`, for those that fail

  c.model = ConfigDict()
  c.model.width = 96  # residual stream
  c.model.layers = 4
  c.model.heads = 4  # query heads
  c.model.kv_heads = 4  # key-value heads, dividing `heads`
  c.model.hidden = 160  # feed-forward width
  c.model.activation = "silu"  # of the gate; stock llama.cpp runs "silu" alone
  c.model.rope_theta = 10000.0  # base of the rotary angles
  c.model.dtype = "float32"  # of the forward pass; parameters stay float32

  c.quant = ConfigDict()
  c.quant.weights = "absmean"  # quantizer of every matrix but the embedding
  c.quant.planes = 1  # ternary planes of "digits", 1 to 5
  c.quant.activations = "int8"  # per token, in front of every matrix
  c.quant.product = "float"  # of weights and activations: their values in
  # floats, or "integer", their codes, whose sums are exact in any order
  c.quant.kernel = "auto"  # that multiplies packed weights

  c.precision = ConfigDict()  # off unless a budget, planes or a ramp is set
  c.precision.budget = 0.0  # mean stored bits a weight of the kernels; above 0,
  # planes are allocated to each of them, whatever `quant` says
  c.precision.allocator = "learned"  # who says where planes are needed
  c.precision.most = 3  # planes of one kernel under a budget
  c.precision.freeze = 0.5  # share of the run after which they stay
  c.precision.dual_rate = 0.005  # rise of the budget's multiplier in a round,
  # in nats a bit, for each bit too much
  c.precision.sharpness = 1.0  # learned: factor of the logits of chances at the
  # freeze; above 1, weights come to lie less between numbers of planes
  c.precision.planes = ()  # planes of all kernels, one after the other, such as
  # (3, 2, 1), whatever `quant` says
  c.precision.planes_at = ()  # shares of the run at which the next begin
  c.precision.depths = ()  # planes that one weight set runs at, such as
  # (1, 2, 3), each trained in every update, whatever `quant` says
  c.precision.gap = 0.0  # reward of a proposal for each unit of solve rate that
  # most of `depths` have and fewest do not; measured wherever there are depths
  c.precision.ramp_weights = 0.0  # share of the run over which full precision
  # becomes quantized
  c.precision.ramp_activations = 0.0  # the same of activations

  c.propose = ConfigDict()
  c.propose.candidates = 384  # tasks proposed a round, a multiple of 3
  c.propose.measured = 0  # further ones by the prior, which nobody learns from:
  # what random tasks are worth, where the model writes all; a multiple of 3
  c.propose.model_share = 0.25  # written by the model, where the curriculum
  # lets it write; the rest by the prior
  c.propose.edit_share = 0.5  # edits of pool programs, in curriculum "edits"
  c.propose.references = 1  # pool programs in a proposal prompt (K)
  c.propose.temperature = 1.0  # of proposals

  c.curriculum = ConfigDict()
  c.curriculum.name = "trr"  # who proposes, and what is trained on
  c.curriculum.learnability = "variance"  # what a solve rate is worth, in trr,
  # trr_kl and proposer
  c.curriculum.refused = -0.5  # trr, trr_kl: reward when the gate refuses
  c.curriculum.prior_kl = 0.1  # trr_kl: weight of KL to the prior, per nat
  c.curriculum.top_share = 0.25  # learnability, proposer: of tasks, preferred
  c.curriculum.random_share = 0.5  # learnability: of fresh rows, any sound task
  c.curriculum.lengths = ()  # length_matched: weights of programs of 1, 2, 3
  # and more tokens among the tasks that are trained on
  c.curriculum.decay = 0.9  # progress: share of its memory that a round keeps

  c.gate = ConfigDict()
  c.gate.constant = True  # refuse programs with one output for every input
  c.gate.identity = True  # refuse programs that return their input
  c.gate.outputs = 6  # fewest different outputs among a task's pairs
  c.gate.novel = True  # the pool refuses behaviours that it holds

  c.probe = ConfigDict()
  c.probe.method = "gold"  # solve rate: probability of the gold answer, or
  # "samples": share of right answers among `solve.samples`
  c.probe.pair = 1  # pair of a fresh task that is probed and solved. Of pair 0
  # the proposer writes the input: it would be paid for what its input is like

  c.solve = ConfigDict()
  c.solve.samples = 1  # answers sampled for each task
  c.solve.fresh_rows = 64  # candidates of each type that are solved
  c.solve.buffer_rows = 0  # pool tasks of each type solved beside the fresh
  c.solve.temperature = 1.0  # of answers

  c.learn = ConfigDict()
  c.learn.updates = 32  # gradient updates a round
  c.learn.rows = (32, 36, 28)  # hindsight rows an update: D, A, I
  c.learn.fresh_share = 0.5  # of hindsight rows, from this round's tasks
  c.learn.shown_weight = 0.0  # of outputs inside an induction prompt, in it
  c.learn.hindsight = 1.0  # weight of cross-entropy on the executor's answers
  c.learn.solve = 0.1  # weight of the solver's policy gradient
  c.learn.propose = 0.1  # weight of the proposer's policy gradient
  c.learn.imitate = 0.5  # weight of cross-entropy on imitated proposals
  c.learn.imitate_rows = 4  # imitated proposals an update
  c.learn.entropy = 0.02  # entropy bonus, per nat, inside a policy gradient
  c.learn.clip_low = 0.2  # importance ratios are clipped to [1 - low, 1 + high]
  c.learn.clip_high = 0.28
  c.learn.wrong = 0.0  # solver's reward for a wrong answer; right earns 1
  c.learn.confidence_weight = 0.0  # of (probability of the answer - right)^2,
  # taken from the solver's reward

  c.optimizer = ConfigDict()
  c.optimizer.name = "muon"  # for matrices; everything else takes Adam
  c.optimizer.learning_rate = 0.014  # peak
  c.optimizer.muon_scale = 0.5  # Muon's learning rate over Adam's
  c.optimizer.schedule = "cosine"  # of the learning rate after the warm-up, or
  # "two_stage": a line that drops at a share of the updates, as in BitNet
  c.optimizer.second_stage_at = 0.5  # two_stage: this share
  c.optimizer.second_stage_share = 2 / 3  # two_stage: what a drop leaves of it
  c.optimizer.final_share = 0.03  # last learning rate over the peak
  c.optimizer.warmup = 100  # updates
  c.optimizer.b1 = 0.9
  c.optimizer.b2 = 0.98
  c.optimizer.weight_decay = 0.0  # of latent matrices, times learning rate
  c.optimizer.decay_until = 1.0  # share of the updates that have weight decay
  c.optimizer.clip = 1.0  # global gradient norm

  c.practice = ConfigDict()  # of `solve` and `evaluate` with --practice
  c.practice.writer = "model"  # who answers: "model" samples; "guided", a beam
  # of the model's likeliest programs; "search", the grammar's likeliest
  c.practice.lessons = "own"  # what is learned: "own" misses, tasks of the
  # grammar at "random", or "none"
  c.practice.seed = 0  # of what is drawn, beside the run's own seed
  c.practice.programs = 256  # tried a round, for all questions together
  c.practice.edit_share = 0.0  # of them, that are close misses with a subtree
  # rewritten by the grammar; to the nearest 128, which `writer` has at least
  c.practice.resume_share = 0.5  # of what the model samples, that begins as a
  # close miss does
  c.practice.kept = 32  # closest misses of a question that are learned from
  c.practice.sharpness = 8.0  # a miss weighs exp(sharpness * its closeness)
  c.practice.updates = 8  # gradient updates a round
  c.practice.rows = (16, 16, 64)  # rows an update: D, A, I
  c.practice.learning_rate = 0.002  # constant, of `optimizer.name`

  c.pool = ConfigDict()
  c.pool.capacity = 4096  # tasks
  c.pool.eviction = "reservoir"  # uniform over all admitted, or "priority"

  c.executor = ConfigDict()
  c.executor.engine = "auto"  # "cpython", or "monty" where nothing locks it
  c.executor.workers = 2  # interpreters; pairs differ in their hash seed
  c.executor.steps = 2000  # counted loop turns and calls a run, then timeout
  c.executor.unknown_limit = 0.005  # share of Unknown verdicts that stops a run
  c.executor.allow_unsandboxed = False  # go on where the kernel gives no wall

  c.heldout = ConfigDict()
  c.heldout.candidates = 14336  # programs drawn from the prior to choose from
  c.heldout.tasks = 100  # per length bucket and task type
  c.heldout.weights = "hand"  # of the prior that the exam is drawn from: the
  # same in every run, so that runs with other language.weights compare
  c.heldout.primary = "accuracy"  # the measure that a run is judged by
  c.heldout.human = False  # sit the human-written functions each time too
  c.heldout.bar_share = 0.5  # most of a bucket's behaviours that may be barred
  c.heldout.output_share = 0.015  # most tasks with the same output

  c.every = ConfigDict()
  c.every.log = 1  # rounds between metric lines
  c.every.tasks = 10  # rounds between samples of proposals in tasks.jsonl
  c.every.evaluate = 20  # rounds between held-out evaluations
  c.every.save = 20  # rounds between checkpoints
  return c


def judged() -> Any:
  """The defaults, with an exam large enough to judge curricula by.

  510 tasks of each type at the trained lengths and 170 beyond, and the
  functions that people wrote, at every evaluation. The demo's exam is smaller,
  so that its first update comes sooner.
  """
  c = default()
  c.wiring = "host"
  c.heldout.candidates = 36864
  c.heldout.tasks = 170
  c.heldout.human = True
  return c


def total_updates(config: Any) -> int:
  """Gradient updates in the whole run."""
  return config.rounds * config.learn.updates


def settled(config: Any, updates: int) -> bool:
  """Whether precision stays as it is from so many updates on.

  Before, a model may run with weights that no file of its bits can hold: half
  quantized, or between numbers of planes.
  """
  c = config.precision
  shares = (c.ramp_weights, c.ramp_activations, *c.planes_at)
  last = max(*shares, c.freeze if c.budget else 0.0)
  return updates / total_updates(config) >= last


def of_each_seed(config: Any) -> list[Any]:
  """The configs of the runs that are trained side by side, each one alone."""
  alone = []
  for number in range(config.seeds):
    mine = ConfigDict(config)
    mine.seed, mine.seeds = config.seed + number, 1
    alone.append(mine)
  return alone


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
    "rounds devices model.width model.layers model.heads model.kv_heads "
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
  _require(
    config.seeds == 1 or config.devices == 1,
    f"devices={config.devices} must be 1 for seeds={config.seeds}",
  )
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
  _check_precision(config)
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
  _require(
    tasks % config.devices == 0 and 3 * answers % config.devices == 0,
    f"devices={config.devices} must divide propose.candidates + "
    f"propose.measured = {tasks} and the {3 * answers} answers of a round",
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


def to_json(config: Any) -> str:
  """The whole configuration as indented JSON with sorted keys."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def from_dict(values: dict[str, Any]) -> ConfigDict:
  """A configuration from saved JSON.

  Raises:
    ValueError: a key is unknown or missing, or has the wrong type.
  """
  config, missing = of_a_run(values)
  if missing:
    raise ValueError(
      f"saved config does not fit this version: missing {', '.join(missing)}"
    )
  return config


def of_a_run(values: dict[str, Any]) -> tuple[ConfigDict, list[str]]:
  """The configuration of a run that an earlier version may have made.

  Returns:
    It, and the keys that the run did not know, which have their defaults.

  Raises:
    ValueError: a key is unknown, or has the wrong type.
  """
  config = default()
  missing = list(_fill(config, values, ""))
  validate(config)
  return config, missing


def _fill(config: Any, values: dict[str, Any], path: str) -> Iterator[str]:
  unknown = sorted(set(values) - set(config))
  if unknown:
    raise ValueError(
      f"saved config does not fit this version: unknown {unknown} in "
      f"{path or 'the top level'}"
    )
  yield from (path + name for name in sorted(set(config) - set(values)))
  for name, value in values.items():
    if isinstance(config[name], ConfigDict):
      if not isinstance(value, dict):
        raise ValueError(f"{path}{name}={value!r} must be a group of keys")
      yield from _fill(config[name], value, f"{path}{name}.")
      continue
    try:
      config[name] = tuple(value) if isinstance(value, list) else value
    except TypeError:
      raise ValueError(
        f"{path}{name}={value!r} must be like {config[name]!r}"
      ) from None
