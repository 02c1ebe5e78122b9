"""The roles of a round: who proposes, who learns, and from how many rows."""

from typing import Any

from bitzero_jax import config as config_lib
from bitzero_jax import propose
from bitzero_jax.build.language import build_language
from bitzero_jax.curriculum import table as curricula
from bitzero_jax.curriculum.base import Curriculum, Writers, paid_for_gap
from bitzero_jax.learn.batch import Draw
from bitzero_jax.learn.loss import LossWeights
from bitzero_jax.learn.optimizer import OptimizerSpec, optimizer
from bitzero_jax.learn.update import Learner
from bitzero_jax.models.network import Network
from bitzero_jax.precision.base import Precision


def build_curriculum(config: Any) -> Curriculum:
  """The curriculum that the config names."""
  chosen = curricula.make(config.curriculum.name, config.curriculum)
  return paid_for_gap(chosen, config.precision.gap)


def build_proposer(config: Any) -> propose.Proposer:
  """Static choices of the proposing role."""
  curriculum = build_curriculum(config)
  writers = curriculum.writers
  model, edits = writers is Writers.MODEL, writers is Writers.EDITS
  return propose.Proposer(
    sizes=build_language(config).sizes,
    candidates=config.propose.candidates,
    measured=config.propose.measured,
    model_share=config.propose.model_share if model else 0.0,
    edit_share=config.propose.edit_share if edits else 0.0,
    reinforced=curriculum.reward is not None,
    imitated=curriculum.imitate is not None,
    inputs=config.language.pairs + config.language.spare,
    temperature=config.propose.temperature,
    uniform_budget=config.language.uniform_budget,
  )


def build_optimizer(config: Any):
  """The optax transformation that the config describes."""
  o = config.optimizer
  return optimizer(
    OptimizerSpec(
      name=o.name,
      learning_rate=o.learning_rate,
      muon_scale=o.muon_scale,
      schedule=o.schedule,
      second_stage_at=o.second_stage_at,
      second_stage_share=o.second_stage_share,
      final_share=o.final_share,
      warmup=o.warmup,
      updates=config_lib.total_updates(config),
      b1=o.b1,
      b2=o.b2,
      weight_decay=o.weight_decay,
      decay_until=o.decay_until,
      clip=o.clip,
    )
  )


def build_learner(
  config: Any, network: Network, moves: Precision | None
) -> Learner:
  """Static choices of the learning role.

  Args:
    config: validated.
    network: the model.
    moves: from `build_precision`.
  """
  return Learner(
    network=network,
    optimizer=build_optimizer(config),
    weights=LossWeights(
      hindsight=config.learn.hindsight,
      solve=config.learn.solve,
      propose=config.learn.propose,
      imitate=config.learn.imitate,
      entropy=config.learn.entropy,
      prior_kl=build_curriculum(config).prior_kl,
      clip_low=config.learn.clip_low,
      clip_high=config.learn.clip_high,
      solve_temperature=config.solve.temperature,
      propose_temperature=config.propose.temperature,
    ),
    draw=Draw(
      rows=tuple(config.learn.rows),
      fresh_share=config.learn.fresh_share,
      shown=config.language.shown,
      shown_weight=config.learn.shown_weight,
    ),
    updates=config.learn.updates,
    depths=tuple(config.precision.depths[:-1]),
    penalty=moves and moves.penalty,
    observe=moves and moves.observe,
    probe=moves and moves.probe,
  )


def rows_a_round(config: Any) -> tuple[int, int]:
  """Rows that one seed trains on in one round, and their tokens, padded."""
  c = config
  sizes = build_language(c).sizes
  value, program = sum(sizes.answer_value), sum(sizes.answer_program)
  answers = (c.solve.fresh_rows + c.solve.buffer_rows) * c.solve.samples
  counts = [c.learn.updates * rows + answers for rows in c.learn.rows]
  proposer = build_proposer(c)
  written = proposer.model_rows if proposer.reinforced else 0
  written += c.learn.updates * c.learn.imitate_rows if proposer.imitated else 0
  lengths = (value, value, program)
  tokens = sum(n * t for n, t in zip(counts, lengths, strict=True))
  return sum(counts) + written, tokens + written * sum(sizes.proposal)
