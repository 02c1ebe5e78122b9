"""Every default, once, with its unit and meaning; freezing.

An experiment file states its differences from `default()` and nothing else.
Code reads `config.x.y` and never supplies a default of its own.
"""

import json
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from bitzero_jax.config_checks import total_updates, validate

# What a process does beside the run: the same run goes on with others of these.
BESIDE = ("cache", "profile")
# Keys of earlier versions that decide nothing any more.
_RETIRED = ("devices", "precision.dual_rate")


def default() -> Any:
  """The default configuration: a small ternary learner on a laptop."""
  c = ConfigDict()
  c.name = "default"  # shown in the report
  c.seed = 0  # the only source of randomness of a run
  c.seeds = 1  # runs of `seed`, `seed` + 1, ... trained side by side in one
  # process, each in a folder of its own
  c.rounds = 120  # self-play rounds in the run
  c.start = ""  # folder of a run with whose last weights this one begins, on
  # other random tasks; of several seeds, the folder that theirs lie in. Empty:
  # with random weights
  c.wiring = "callback"  # host inside one compiled round, or "host" between
  c.rollout = "learner"  # weights that sampling multiplies with: the learner's
  # own, or "packed" bytes, whose products have the same bits

  c.mesh = ConfigDict()  # devices of all processes are the product of the three
  c.mesh.data = 1  # devices that split a batch's rows
  c.mesh.fsdp = 1  # devices that split rows, and parameters at rest
  c.mesh.tensor = 1  # devices that split heads and hidden features

  c.cache = "~/.cache/bitzero/xla"  # folder of compiled programs that are kept
  # for the next start, "" for none; JAX_COMPILATION_CACHE_DIR goes before it

  c.profile = ConfigDict()
  c.profile.steps = ()  # first and last round of a trace, such as (10, 15)

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
  c.model.scan = False  # all blocks but the last as one loop: a deep model then
  # compiles like a shallow one. Parameters and checkpoints are the same
  c.model.remat = "none"  # what the backward pass works out again: "dots", all
  # but products with kernels, or "full", each block

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
  c.precision.groups = 1  # of a kernel's output features, each with planes of
  # its own under a budget; divides the output width of every kernel
  c.precision.freeze = 0.5  # share of the run after which they stay
  c.precision.sharpness = 16.0  # learned: logit that a plane has won by then if
  # a bit of it is always worth more than the mean, by the mean distance from it
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
  if not isinstance(values, dict):
    raise ValueError(f"saved config must be a group of keys, not {values!r}")
  config = default()
  missing = list(_fill(config, values, ""))
  validate(config)
  return config, missing


def _fill(config: Any, values: dict[str, Any], path: str) -> Iterator[str]:
  values = {k: v for k, v in values.items() if path + k not in _RETIRED}
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
