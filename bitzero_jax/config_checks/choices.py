"""The names that a config may hold, each with those beside it."""

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
  "mosaic_gpu_bfloat16",
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
