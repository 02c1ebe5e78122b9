"""As trr, on a leash: what strays from the grammar's prior must earn it."""

from bitzero_jax.curriculum import base
from bitzero_jax.curriculum.trr import trr


def trr_kl(
  *, learnability: str, refused: float, prior_kl: float
) -> base.Curriculum:
  """TRR++ with KL(proposing policy || grammar's prior) added to its loss.

  Both policies have the same mask, log-prior and temperature, the prior's with
  logits 0, and both are taken at each token that was written. So far every
  policy gradient drifted to one kind of program; the divergence keeps it where
  the grammar's variety is. Source of the term: Ouyang et al. 2022,
  arXiv:2203.02155, there to a reference model.

  Args:
    learnability, refused: as for `trr`. Constants, identities and known
      behaviour earn `refused`, like what fails.
    prior_kl: weight of the divergence, per nat.
  """
  plain = trr(learnability=learnability, refused=refused)
  return plain._replace(name="trr_kl", prior_kl=prior_kl)
