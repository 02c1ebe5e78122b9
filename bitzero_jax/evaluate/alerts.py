"""What certainly went wrong in a run, in words."""

from bitzero_jax.evaluate.number_format import number, percent
from bitzero_jax.evaluate.series import Lines, readings

_UNKNOWN_LIMIT = 0.005  # a run stops above it


def alerts(lines: Lines) -> str:
  """What is certainly wrong, said above the charts."""
  said = []
  unknown = readings(lines, "executor/unknown_rate").values
  if len(unknown) and unknown.max() > _UNKNOWN_LIMIT:
    most, limit = percent(unknown.max()), percent(_UNKNOWN_LIMIT)
    said.append(f"The unknown rate reached {most}; the limit is {limit}.")
  gap = readings(lines, "gap/logprob_max").values
  if len(gap) and gap.max() > 0:
    most = number(gap.max())
    said.append(f"The log-prob gap reached {most} nats; it must be 0.")
  return "".join(f'<p class="alert">{text}</p>' for text in said)
