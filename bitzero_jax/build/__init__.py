"""The only place where a name in a config becomes a function.

Each file uses those before it: language, model, roles, states, round; practice
needs the first two.
"""

from bitzero_jax.build.language import (
  build_exam,
  build_executor,
  build_human_exam,
  build_language,
  build_widen,
)
from bitzero_jax.build.model import (
  build_at_depth,
  build_choice,
  build_groups,
  build_model,
  build_network,
  build_precision,
  build_quantizer,
  build_rollout,
  build_shipped_network,
  check_kernel,
)
from bitzero_jax.build.practice import build_practice
from bitzero_jax.build.roles import (
  build_curriculum,
  build_learner,
  build_optimizer,
  build_proposer,
  rows_a_round,
)
from bitzero_jax.build.round import (
  build_host,
  build_parts,
  build_round,
  build_stages,
  build_traces,
)
from bitzero_jax.build.states import (
  build_mesh,
  build_shardings,
  build_state,
  build_states,
  build_states_shape,
)

__all__ = [
  "build_at_depth",
  "build_choice",
  "build_curriculum",
  "build_exam",
  "build_executor",
  "build_groups",
  "build_host",
  "build_human_exam",
  "build_language",
  "build_learner",
  "build_mesh",
  "build_model",
  "build_network",
  "build_optimizer",
  "build_parts",
  "build_practice",
  "build_precision",
  "build_proposer",
  "build_quantizer",
  "build_rollout",
  "build_round",
  "build_shardings",
  "build_shipped_network",
  "build_stages",
  "build_state",
  "build_states",
  "build_states_shape",
  "build_traces",
  "build_widen",
  "check_kernel",
  "rows_a_round",
]
