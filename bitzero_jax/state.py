"""Records that cross rooms.

Letters used in every shape: B rows, N input-output pairs kept for a task,
Lp program tokens, Lv value tokens, P prompt tokens, A answer tokens,
C pool capacity. All tokens are int32 and 0 is padding.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

# jax.Array on the device, numpy.ndarray on the host, a shape where one is due.
Array = Any

KINDS = ("deduction", "abduction", "induction")
DEDUCTION, ABDUCTION, INDUCTION = range(3)
SOURCES = ("random", "model", "edit")  # random: drawn from the prior
PRIOR, MODEL, EDIT = range(3)

# What the executor says of a candidate, then what the gate adds.
REASONS = (
  "accepted",
  "invalid",
  "timeout",
  "memory",
  "forbidden",
  "nondeterministic",
  "unbounded",
  "unknown",
  "constant",
  "identity",
  "repetitive",
  "barred",
  "known",
)
REASON = {name: code for code, name in enumerate(REASONS)}

WRONG, RIGHT, UNKNOWN = 0, 1, -1


@struct.dataclass
class Task:
  """Programs with what the executor knows about them.

  Attributes:
    program: int32 [B, Lp].
    inputs: int32 [B, N, Lv], the first one written by the proposer.
    outputs: int32 [B, N, Lv], gold answers from the executor.
    behaviour: uint32 [B, 2], hash of the outputs on the fixed probe inputs.
    kind: int32 [B], the task type it was proposed for.
    source: int32 [B], PRIOR, MODEL or EDIT.
  """

  program: Array
  inputs: Array
  outputs: Array
  behaviour: Array
  kind: Array
  source: Array


@struct.dataclass
class Rollout:
  """Rows that a model wrote, with what its sampler knew.

  Attributes:
    prompt: int32 [B, P], padding inside.
    answer: int32 [B, A], padding on the right.
    log_prob: float32 [B, A], of each answer token, 0 on padding.
    bias: float32 [B, A, V], what the grammar added to the logits: its weighted
      log-prior, and a large negative number on illegal tokens.
  """

  prompt: Array
  answer: Array
  log_prob: Array
  bias: Array


@struct.dataclass
class Candidates:
  """Proposals before the executor has seen them.

  Attributes:
    program: int32 [B, Lp].
    inputs: int32 [B, M, Lv], M >= N inputs to try, the proposer's first.
    kind: int32 [B].
    source: int32 [B].
  """

  program: Array
  inputs: Array
  kind: Array
  source: Array


@struct.dataclass
class Drafts:
  """Candidates as a proposer would have written them, to be learned from.

  Attributes:
    prompt: int32 [B, P].
    answer: int32 [B, A], program and first input.
    budget: int32 [B], most tokens that the program was allowed.
  """

  prompt: Array
  answer: Array
  budget: Array


@struct.dataclass
class Proposed:
  """A round's proposals, written one round before.

  The host checks them while the device still learns from the round before.

  Attributes:
    candidates: Candidates [B], the model's rows first.
    rollout: Rollout of the model's rows, None where no policy gradient needs
      it.
    drafts: Drafts [B] of all rows, None where nothing is imitated.
    bounds: (items, low, high), int32 [] each: what a value of the language's
      level may be.
  """

  candidates: Candidates
  rollout: Rollout | None
  drafts: Drafts | None
  bounds: Any


@struct.dataclass
class Outcome:
  """What the executor says of candidates.

  Attributes:
    reason: int32 [B], an executor's code of REASONS; "accepted" is sound.
    inputs: int32 [B, N, Lv], the first N inputs that gave a value.
    outputs: int32 [B, N, Lv].
    behaviour: uint32 [B, 2].
    constant: bool [B], one output for every probe input.
    identity: bool [B], returns every probe input unchanged.
  """

  reason: Array
  inputs: Array
  outputs: Array
  behaviour: Array
  constant: Array
  identity: Array


@struct.dataclass
class Answers:
  """Answers to grade: what was asked, and what was said.

  Attributes:
    kind: int32 [B].
    program: int32 [B, Lp], the task's program.
    inputs, outputs: int32 [B, N, Lv].
    pair: int32 [B]. Deduction and abduction ask about this pair; induction
      showed the pairs before it and is scored on it and those after.
    answer: int32 [B, A], a value or a program, padding on the right.
    asked: bool [B], False for rows that only fill the batch.
  """

  kind: Array
  program: Array
  inputs: Array
  outputs: Array
  pair: Array
  answer: Array
  asked: Array


@struct.dataclass
class Pool:
  """Sound tasks that no two of which behave alike.

  Attributes:
    tasks: Task with B = C; slots from `size` on are empty.
    priority: float32 [C], learnability when it was admitted.
    size: int32 [], filled slots.
    admitted: int32 [], tasks ever admitted.
  """

  tasks: Task
  priority: Array
  size: Array
  admitted: Array


@struct.dataclass
class Widening:
  """How wide the language is, and whether the model is ready for more.

  Attributes:
    level: int32 [], index of the level in force.
    recent: float32 [R], mean solve rates of the prior's tasks in the last
      rounds, the newest last; 0 where there was none.
  """

  level: Array
  recent: Array


@struct.dataclass
class LoopState:
  """All that survives a preemption, as one pytree.

  Attributes:
    round: int32 [], finished rounds.
    updates: int32 [], gradient updates taken.
    params: {"model": latent weights, "quant": what the quantizer learns}.
    optimizer: optax state.
    pool: Pool.
    barred: uint32 [H, 2], behaviours of held-out tasks, never trained on.
    seen: bool [S], cells that count the behaviours met (`curriculum/seen.py`).
    key: uint32 [2], raw data of the PRNG key for the next round.
    proposed: Proposed, of the next round.
    widening: Widening.
    memory: what the curriculum remembers, None where it has no memory.
    verdicts: int32 [], verdicts asked of the executor.
    unknown: int32 [], verdicts that were Unknown.
  """

  round: jax.Array
  updates: jax.Array
  params: Any
  optimizer: Any
  pool: Pool
  barred: jax.Array
  seen: jax.Array
  key: jax.Array
  proposed: Proposed
  widening: Widening
  memory: Any
  verdicts: jax.Array
  unknown: jax.Array


def empty_task(rows: int, pairs: int, program: int, value: int) -> Task:
  """A Task of padding: shapes and dtypes, no content."""
  return Task(
    program=jnp.zeros((rows, program), jnp.int32),
    inputs=jnp.zeros((rows, pairs, value), jnp.int32),
    outputs=jnp.zeros((rows, pairs, value), jnp.int32),
    behaviour=jnp.zeros((rows, 2), jnp.uint32),
    kind=jnp.zeros(rows, jnp.int32),
    source=jnp.zeros(rows, jnp.int32),
  )


def take(record: Any, index: Array | slice) -> Any:
  """Rows `index` of every array in a record."""
  return jax.tree.map(lambda leaf: leaf[index], record)


def join(*records: Any) -> Any:
  """Records of one type, row after row."""
  return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *records)


def choose(condition: jax.Array, one: Any, other: Any) -> Any:
  """Row by row, `one` where `condition` [B] holds, else `other`."""

  def pick(a, b):
    return jnp.where(condition.reshape(-1, *[1] * (a.ndim - 1)), a, b)

  return jax.tree.map(pick, one, other)


@struct.dataclass
class Start:
  """What a run takes from another one.

  Attributes:
    weights: the model's latent weights.
    rounds: int32 [], of the run that left them.
  """

  weights: Any
  rounds: Array
