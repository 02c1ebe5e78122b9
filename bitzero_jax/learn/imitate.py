"""Proposals to be copied: rows for the proposer's cross-entropy."""

import jax
import jax.numpy as jnp
from flax import struct

from bitzero_jax.language import automaton, layout
from bitzero_jax.language.grammar import LIST_OPEN, PAD
from bitzero_jax.language.levels import Tables
from bitzero_jax.learn.batch import pick
from bitzero_jax.state import Drafts, take


@struct.dataclass
class ImitationRows:
  """Programs with their first input, as the model would have to propose them.

  Attributes:
    prompt: int32 [B, P].
    answer: int32 [B, A].
    bias: float32 [B, A, V], the grammar's part of the proposing policy.
    scored: bool [B, A], the tokens that are learned: the program's, and none
      where there was nothing to imitate.
  """

  prompt: jax.Array
  answer: jax.Array
  bias: jax.Array
  scored: jax.Array


def draw_drafts(
  rows: int,
  slots: int,
  tables: Tables,
  drafts: Drafts,
  weight: jax.Array,
  key: jax.Array,
) -> ImitationRows:
  """Draws drafts by weight, with replacement, and says what bound them.

  The program alone is learned. A solve rate is that of a draft's own first
  input, so whoever copied inputs too would soon write lists of one item.

  The bias is that of the level now in force, under the budget that the draft
  was written under: what the policy that is to learn it would see. It is made
  for the rows drawn alone, because it is V times as large as they are.

  Args:
    rows: how many to draw.
    slots: deepest stack of the automaton.
    tables: the level in force, at least as wide as that of the drafts.
    drafts: B of them.
    weight: float32 [B], how often each is drawn beside the others.
    key: PRNG key, consumed.
  """
  index, available = pick(weight, jax.random.uniform(key, (rows,)))
  drawn = take(drafts, index)
  plan = layout.proposal_plan(tables, rows)
  plan = plan._replace(budget=plan.budget.at[:, 0].set(drawn.budget))
  bias = jax.vmap(
    lambda p, row: automaton.bias_along(tables, p, row, slots, 1.0)
  )(plan, drawn.answer)
  begun = jnp.cumsum(drawn.answer == LIST_OPEN, axis=1) > 0  # the input
  scored = available & ~begun & (drawn.answer != PAD)
  return ImitationRows(drawn.prompt, drawn.answer, bias, scored)
