"""The model learns to propose by copying what turned out well."""

import jax

from bitzero_jax.curriculum import base
from bitzero_jax.curriculum.rank import best, spread
from bitzero_jax.learn.reward import LEARNABILITY
from bitzero_jax.state import REASON


def proposer(*, learnability: str, top_share: float) -> base.Curriculum:
  """Expert iteration: cross-entropy on the round's best programs.

  Of the candidates that the gate accepted, so new ones, whoever wrote them,
  the most learnable of each program length are imitated, all alike; of each
  the program, not its input. Constants, identities, duplicates and what fails
  weigh nothing, so nothing is pushed away and there is no baseline to fool.
  Each length gives the same share, because the probability of a whole answer
  falls with the length of a program: ranked together, the shortest would win.

  Source: reward-weighted regression, Peters and Schaal 2007, with weights 0
  and 1; expert iteration, Anthony et al. 2017, arXiv:1705.08439.

  Args:
    learnability: a name in `LEARNABILITY`, of an accepted task's solve rate.
    top_share: of the accepted tasks of a length, the share that is imitated.
  """

  def imitate(judged: base.Judged) -> jax.Array:
    score = LEARNABILITY[learnability](judged.solve_rate)
    able = (judged.reason == REASON["accepted"]) & (score > 0)
    return spread(best(score, able, top_share, judged.length))

  return base.Curriculum(
    "proposer", base.Writers.MODEL, base.every_sound, imitate=imitate
  )
