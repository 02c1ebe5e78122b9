"""Where a run's time went: seconds by phase."""

import html
from collections.abc import Mapping

from bitzero_jax.evaluate.number_format import percent
from bitzero_jax.evaluate.series import Lines, is_number
from bitzero_jax.evaluate.table import table
from bitzero_jax.runtime import progress


def phases(lines: Lines) -> str:
  """The table of seconds by phase, summed over the run."""
  spent: dict[str, float] = {}
  for line in lines:
    for key, value in line.items():
      if key.startswith("seconds/") and is_number(value):
        name = key.removeprefix("seconds/")
        spent[name] = spent.get(name, 0.0) + value
  return share_table("Seconds by phase, whole run", spent)


def share_table(title: str, parts: Mapping[str, float]) -> str:
  """Seconds by name, longest first, each with a bar and its share.

  Returns:
    A `<figure>`, or "" when no second was spent.
  """
  whole = sum(parts.values())
  if not whole > 0:
    return ""
  longest = max(parts.values())
  rows = [
    f'<tr><th>{html.escape(name)}<td class="track">'
    f'<div style="width:{100 * seconds / longest:.1f}%"></div>'
    f'<td class="num">{progress.format_seconds(seconds)}'
    f'<td class="num">{percent(seconds / whole)}'
    for name, seconds in sorted(parts.items(), key=lambda part: -part[1])
  ]
  return (
    f'<figure class="chart"><figcaption>{html.escape(title)}</figcaption>'
    f'<p class="legend"></p>{table((), rows, "phases")}</figure>'
  )
