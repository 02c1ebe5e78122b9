"""A chart's shell as inline SVG and HTML: no script, no outside file.

Colours are the classes c0 to c7, which the page defines for light and dark.
Every chart is 400 units wide, so that text stays readable on a phone.
"""

import html

GREY = 7  # of references and of what is left over
WIDTH, HEIGHT = 400, 232


def figure(
  title: str,
  legend: list[tuple[str, int, bool]],
  body: str,
  note: str,
  height: int = HEIGHT,
) -> str:
  """A caption, a legend, a drawing and a line below it.

  Args:
    title: the caption, also for who cannot see the drawing.
    legend: name, color and whether dashed, for each key.
    body: SVG inside WIDTH by `height`.
    note: the line below.
    height: of the drawing.
  """
  keys = "".join(
    f'<span class="key c{color}{" dash" if dashed else ""}">'
    f"{html.escape(name)}</span>"
    for name, color, dashed in legend
  )
  label = html.escape(title)
  return (
    f'<figure class="chart"><figcaption>{label}</figcaption>'
    f'<p class="legend">{keys}</p>'
    f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
    f'{body}</svg><p class="note">{html.escape(note)}</p></figure>'
  )


def grid(*figures: str) -> str:
  """Figures side by side where there is room; "" when all are empty."""
  shown = "".join(figures)
  return f'<div class="grid">{shown}</div>' if shown else ""
