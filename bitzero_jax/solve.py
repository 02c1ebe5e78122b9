"""SOLVE: sound tasks and a key in, answers out."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax import sample
from bitzero_jax.language import automaton
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Tables
from bitzero_jax.language.rows import plan_of, rows_of
from bitzero_jax.models.network import Network
from bitzero_jax.models.policy import chosen, log_policy
from bitzero_jax.state import (
  INDUCTION,
  KINDS,
  Answers,
  Rollout,
  Task,
  join,
  take,
)


class Solver(NamedTuple):
  """Static choices of the solving role.

  Attributes:
    sizes: lengths of the language.
    temperature: of the samples; 0 takes the most likely token.
    samples: answers for each task.
  """

  sizes: Sizes
  temperature: float
  samples: int


class Posed(NamedTuple):
  """Tasks posed as one or more types whose rows have the same shape.

  Attributes:
    kinds: the types, in the order of their rows.
    rows: rows of each.
    prompt: int32 [B, P].
    gold: int32 [B, A].
    plan: what each answer must be.
  """

  kinds: list[int]
  rows: list[int]
  prompt: jax.Array
  gold: jax.Array
  plan: Plan


def pose(
  tasks: Sequence[Task], pairs: Sequence[jax.Array], tables: Tables, shown: int
) -> list[Posed]:
  """Poses `tasks[kind]`, asking about `pairs[kind]`, grouped by shape.

  Rows of one shape share one forward pass: deduction and abduction do.
  """
  shapes: dict[tuple[int, int], list[int]] = {}
  posed = []
  for kind in range(len(KINDS)):
    prompt, gold = rows_of(kind, tasks[kind], pairs[kind], shown)
    shapes.setdefault((prompt.shape[1], gold.shape[1]), []).append(kind)
    posed.append((prompt, gold, plan_of(kind, tables, prompt.shape[0])))
  return [
    Posed(
      kinds,
      [posed[kind][0].shape[0] for kind in kinds],
      *join(*[posed[kind] for kind in kinds]),
    )
    for kinds in shapes.values()
  ]


def _split(group: Posed, record: Any) -> list[Any]:
  """Rows of `record` by type, in the group's order."""
  ends = itertools.accumulate(group.rows, initial=0)
  return [take(record, slice(a, b)) for a, b in itertools.pairwise(ends)]


def solve(
  solver: Solver,
  network: Network,
  weights: Any,
  tables: Tables,
  tasks: Sequence[Task],
  pairs: Sequence[jax.Array],
  asked: Sequence[jax.Array],
  key: jax.Array,
) -> list[tuple[Answers, Rollout]]:
  """Samples answers to tasks of every type.

  Args:
    solver, network, weights, tables: the model and the level.
    tasks: for each type, B tasks.
    pairs: for each type, int32 [B], the pair to ask about, one of the first
      shown + hidden.
    asked: for each type, bool [B], False for rows that only fill the batch.
    key: PRNG key, consumed.

  Returns:
    For each type, answers and rollout with B * samples rows, the samples of a
    task together.
  """
  sizes = solver.sizes
  known = sizes.shown + sizes.hidden
  copies = [
    jnp.repeat(jnp.arange(t.kind.shape[0]), solver.samples) for t in tasks
  ]
  many = [take(t, c) for t, c in zip(tasks, copies, strict=True)]
  many_pairs = [p[c] for p, c in zip(pairs, copies, strict=True)]
  result: dict[int, tuple[Answers, Rollout]] = {}
  for number, group in enumerate(pose(many, many_pairs, tables, sizes.shown)):
    rollout = sample.write(
      network,
      weights,
      tables,
      group.plan,
      group.prompt,
      jax.random.fold_in(key, number),
      length=group.gold.shape[1],
      slots=sizes.slots,
      temperature=solver.temperature,
    )
    for kind, mine in zip(group.kinds, _split(group, rollout), strict=True):
      pair = many_pairs[kind]
      answers = Answers(
        kind=jnp.full(pair.shape, kind, jnp.int32),
        program=many[kind].program,
        inputs=many[kind].inputs[:, :known],
        outputs=many[kind].outputs[:, :known],
        pair=jnp.full_like(pair, sizes.shown) if kind == INDUCTION else pair,
        answer=mine.answer,
        asked=asked[kind][copies[kind]],
      )
      result[kind] = (answers, mine)
  return [result[kind] for kind in range(len(KINDS))]


def gold_probability(
  network: Network,
  weights: Any,
  tables: Tables,
  tasks: Sequence[Task],
  sizes: Sizes,
) -> list[jax.Array]:
  """Probability of the gold answer under mask: for each type, float32 [B].

  Equals the solve rate for deduction; a lower bound of it for abduction and
  induction, where other answers may be right too.
  """
  pairs = [jnp.zeros(t.kind.shape, jnp.int32) for t in tasks]
  result: dict[int, jax.Array] = {}
  for group in pose(tasks, pairs, tables, sizes.shown):
    tokens = jnp.concatenate([group.prompt, group.gold], axis=1)
    length = group.gold.shape[1]
    logits = network.logits(weights, tokens[:, :-1], length)
    bias = jax.vmap(
      lambda p, row: automaton.bias_along(tables, p, row, sizes.slots, 0.0)
    )(group.plan, group.gold)
    log_prob = chosen(log_policy(logits, bias, 1.0), group.gold)
    probability = jnp.exp(log_prob.sum(axis=1))
    result |= zip(group.kinds, _split(group, probability), strict=True)
  return [result[kind] for kind in range(len(KINDS))]


def gold_nats(
  network: Network,
  weights: Any,
  tables: Tables,
  tasks: Sequence[Task],
  pairs: Sequence[jax.Array],
  sizes: Sizes,
) -> list[jax.Array]:
  """Minus the log-probability of the gold answer: for each type, float32 [B].

  Over the whole vocabulary, as in the hindsight loss, so that no scan over the
  grammar is compiled for it; `gold_probability` is the masked policy's.
  """
  result: dict[int, jax.Array] = {}
  for group in pose(tasks, pairs, tables, sizes.shown):
    tokens = jnp.concatenate([group.prompt, group.gold], axis=1)
    logits = network.logits(weights, tokens[:, :-1], group.gold.shape[1])
    log_prob = chosen(jax.nn.log_softmax(logits, axis=-1), group.gold)
    nats = -log_prob.sum(axis=1)
    result |= zip(group.kinds, _split(group, nats), strict=True)
  return [result[kind] for kind in range(len(KINDS))]
