"""What does not fit is one line: the field, its value and what is allowed."""

from typing import Any


def get(config: Any, path: str) -> Any:
  """The value of a field such as "learn.updates"."""
  for name in path.split("."):
    config = config[name]
  return config


def require(condition: bool, message: str) -> None:
  """Raises ValueError with the message where the condition does not hold."""
  if not condition:
    raise ValueError(message)


def within(config: Any, path: str, low: float, high: float) -> None:
  """Requires a field's value to be in [low, high]."""
  value = get(config, path)
  require(low <= value <= high, f"{path}={value} must be in [{low}, {high}]")
