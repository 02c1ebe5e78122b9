"""An HTML table that fits a narrow page."""

import html
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[str], kind: str) -> str:
  """A table that scrolls sideways on its own where the page is narrow.

  Args:
    head: column names; none for a table without a heading.
    rows: HTML, each from "<tr>" on.
    kind: the CSS class.
  """
  names = "".join(f"<th>{html.escape(name)}" for name in head)
  top = f"<thead><tr>{names}</thead>" if head else ""
  return (
    f'<div class="wide"><table class="{kind}">{top}'
    f"<tbody>{''.join(rows)}</tbody></table></div>"
  )
