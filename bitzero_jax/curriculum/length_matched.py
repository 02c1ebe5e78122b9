"""The control for length: random tasks, as long as those of another arm."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.curriculum import base


def length_matched(*, lengths: Sequence[float]) -> base.Curriculum:
  """The prior's tasks, weighted until their lengths follow a distribution.

  Each sound task weighs as much as its length is wanted over how common that
  length is among its rivals: in the round for fresh rows, in the pool for the
  others. A length that has no task gives its share to the rest.

  Program length is the main confounder of a curriculum: what another arm gains
  beyond its length-matched control, it does not owe to length.

  Args:
    lengths: weights of programs of 1, 2, 3 ... tokens, in any unit; longer
      programs have none. The metric "trained/lengths" of an arm, averaged over
      its run, makes this its control.
  """
  target = np.array([0.0, *lengths], np.float32)  # nothing has no tokens

  def weigh(length: jax.Array, rivals: jax.Array) -> jax.Array:
    known = jnp.where(rivals & (length < len(target)), length, 0)
    count = jnp.zeros(target.shape).at[known].add(1.0)
    return (target / jnp.maximum(count, 1.0))[known]

  def choose(judged: base.Judged) -> jax.Array:
    return weigh(judged.length, judged.sound)

  def recall(length: jax.Array) -> jax.Array:
    return weigh(length, length > 0)

  return base.Curriculum("length_matched", base.Writers.NOBODY, choose, recall)
