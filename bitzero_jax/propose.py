"""PROPOSE: state and key in, candidate tasks out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax import sample
from bitzero_jax.language import edit, layout, prior
from bitzero_jax.language.grammar import VOCABULARY
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Tables
from bitzero_jax.models.network import Network
from bitzero_jax.state import (
  EDIT,
  MODEL,
  PRIOR,
  Candidates,
  Drafts,
  Pool,
  Proposed,
  Rollout,
  take,
)

SHORTEST = 2  # tokens of the shortest program that does something
_LEAST = 1e-3  # added to a parent's learnability, so that none is lost for good


class Proposer(NamedTuple):
  """Static choices of the proposing role.

  Attributes:
    sizes: lengths of the language.
    candidates: tasks proposed in a round, a multiple of 3 (task types).
    measured: further tasks, from the grammar's prior, that nobody learns from;
      a multiple of 3.
    model_share: share of them that the model writes.
    edit_share: share of them that are edits of pool programs. The rest come
      from the grammar's prior.
    reinforced: keep what the sampler of the model's rows knew.
    imitated: keep every row with a prompt, the prior's too.
    inputs: M, inputs tried for each candidate.
    temperature: of the model's samples, above 0.
    uniform_budget: draw each candidate's program budget uniformly, the model's
      too, so that long programs are as common as short ones and the model
      cannot drift to the longest; else always the longest.
  """

  sizes: Sizes
  candidates: int
  measured: int
  model_share: float
  edit_share: float
  reinforced: bool
  imitated: bool
  inputs: int
  temperature: float
  uniform_budget: bool

  @property
  def rows(self) -> int:
    """Tasks proposed in a round, those that are only measured among them."""
    return self.candidates + self.measured

  @property
  def model_rows(self) -> int:
    """Candidates that the model writes, a multiple of 3."""
    return 3 * round(self.candidates * self.model_share / 3)

  @property
  def edit_rows(self) -> int:
    """Candidates that are edits, a multiple of 3."""
    return 3 * round(self.candidates * self.edit_share / 3)


def nothing(proposer: Proposer) -> Proposed:
  """Padding in the shape of a round's proposals."""
  sizes, rows, written = (
    proposer.sizes,
    proposer.rows,
    proposer.model_rows,
  )
  prompt, answer = sizes.proposal

  def ints(*shape):
    return jnp.zeros(shape, jnp.int32)

  rollout = Rollout(
    prompt=ints(written, prompt),
    answer=ints(written, answer),
    log_prob=jnp.zeros((written, answer)),
    bias=jnp.zeros((written, answer, VOCABULARY)),
  )
  drafts = Drafts(
    prompt=ints(rows, prompt), answer=ints(rows, answer), budget=ints(rows)
  )
  return Proposed(
    Candidates(
      program=ints(rows, sizes.program),
      inputs=ints(rows, proposer.inputs, sizes.value),
      kind=ints(rows),
      source=ints(rows),
    ),
    rollout if written and proposer.reinforced else None,
    drafts if proposer.imitated else None,
    bounds=(ints(), ints(), ints()),
  )


def propose(
  proposer: Proposer,
  network: Network,
  weights: Any,
  tables: Tables,
  pool: Pool,
  key: jax.Array,
) -> tuple[Candidates, Rollout | None, Drafts | None]:
  """Writes the round's candidates, of every task type in equal parts.

  The proposer writes a program and its first input. The other inputs, for
  induction's examples and for more pairs, come from the grammar's prior. While
  the pool is empty nothing can be edited, and the prior writes those rows too.

  Returns:
    The candidates: the model's rows, the prior's, edits, and last those that
    are only measured. The rollout of the model's rows, and drafts of all rows,
    each None where it is not needed.
  """
  sizes, rows = proposer.sizes, proposer.rows
  reference_key, write_key, budget_key, prior_key, input_key = jax.random.split(
    key, 5
  )
  edits = proposer.edit_rows
  written, length = proposer.model_rows, sizes.proposal[1]
  drawn = rows - written
  plan = layout.proposal_plan(tables, rows)
  if proposer.uniform_budget:
    budget = jax.random.randint(
      budget_key, (rows,), SHORTEST, tables.program + 1
    )
    plan = plan._replace(budget=plan.budget.at[:, 0].set(budget))
  rollout, prompts, answers = None, [], []
  if written:
    prompts.append(_prompts(proposer, pool, written, reference_key))
    rollout = sample.write(
      network,
      weights,
      tables,
      take(plan, slice(written)),
      prompts[0],
      write_key,
      length=length,
      slots=sizes.slots,
      temperature=proposer.temperature,
      prior_weight=1.0,
    )
    answers.append(rollout.answer)
  if drawn:
    rest = take(plan, slice(written, None))
    answers.append(prior.sample(tables, rest, prior_key, length, sizes.slots))
    rest_key = jax.random.fold_in(reference_key, written)
    prompts.append(_prompts(proposer, pool, drawn, rest_key))
  answer = jnp.concatenate(answers)
  program, first = layout.split_proposal(answer, sizes)
  source = jnp.arange(rows) < written
  source = jnp.where(source, MODEL, PRIOR)
  if edits:
    edited = _edits(proposer, tables, pool, jax.random.fold_in(key, edits))
    some = pool.size > 0
    end = proposer.candidates
    mine = slice(end - edits, end)
    program = program.at[mine].set(jnp.where(some, edited, program[mine]))
    source = source.at[mine].set(jnp.where(some, EDIT, PRIOR))
  spare = proposer.inputs - 1
  others = prior.sample(
    tables,
    layout.argument_plan(tables, rows * spare),
    input_key,
    sizes.value,
    sizes.slots,
  ).reshape(rows, spare, sizes.value)
  candidates = Candidates(
    program=program,
    inputs=jnp.concatenate([first[:, None], others], axis=1),
    kind=jnp.arange(rows) % 3,
    source=source,
  )
  drafts = Drafts(jnp.concatenate(prompts), answer, plan.budget[:, 0])
  return (
    candidates,
    rollout if proposer.reinforced else None,
    drafts if proposer.imitated else None,
  )


def _edits(
  proposer: Proposer, tables: Tables, pool: Pool, key: jax.Array
) -> jax.Array:
  """Edits of pool programs, the learnable ones most: int32 [E, Lp]."""
  parent_key, edit_key = jax.random.split(key)
  held = jnp.arange(pool.priority.shape[0]) < pool.size
  score = jnp.where(held, jnp.log(pool.priority + _LEAST), -jnp.inf)
  score = jnp.where(pool.size > 0, score, 0.0)
  shape = (proposer.edit_rows,)
  parent = jax.random.categorical(parent_key, score, shape=shape)
  return edit.resample_subtree(
    tables, pool.tasks.program[parent], edit_key, proposer.sizes.slots
  )


def _prompts(
  proposer: Proposer, pool: Pool, rows: int, key: jax.Array
) -> jax.Array:
  """Task type and K reference programs, uniform from the pool."""
  k = proposer.sizes.references
  index = jax.random.randint(key, (rows, k), 0, jnp.maximum(pool.size, 1))
  return layout.proposal(jnp.arange(rows) % 3, pool.tasks.program[index])
