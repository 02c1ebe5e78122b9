"""Small charts and tables as inline SVG and HTML: no script, no outside file.

Colours are the classes c0 to c7, which the page defines for light and dark.
Every chart is 400 units wide, so that text stays readable on a phone.

Letters: N = readings of a series, B = bars in a group.
"""

import html
import json
import keyword
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitzero_jax.runtime import progress

GREY = 7
_WIDTH, _HEIGHT = 400, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 54, 24, 36
_SMOOTH_FROM = 40  # a series with fewer readings is drawn as it is
_MOST_POINTS = 240  # more than that cannot be seen at this width

_PROJECTIONS = {
  "q": ("q", "q_proj", "query", "wq"),
  "k": ("k", "k_proj", "key", "wk"),
  "v": ("v", "v_proj", "value", "wv"),
  "o": ("o", "o_proj", "out", "out_proj", "wo"),
  "gate": ("gate", "gate_proj", "w_gate"),
  "up": ("up", "up_proj", "w_up"),
  "down": ("down", "down_proj", "w_down"),
}
_PYTHON = re.compile(
  r"""(?P<str>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")"""
  r"|(?P<com>\#[^\n]*)|(?P<num>\b\d[\w.]*)|(?P<name>[A-Za-z_]\w*)"
)

Rows = Sequence[Mapping[str, Any]]


class Series(NamedTuple):
  """One curve.

  Attributes:
    name: what the legend calls it.
    steps: [N] int, gradient updates, rising.
    values: [N] float, finite.
    color: 0 to 7.
    dashed: for a reference rather than a result.
  """

  name: str
  steps: np.ndarray
  values: np.ndarray
  color: int
  dashed: bool = False


class Bars(NamedTuple):
  """One bar in each group; NaN leaves its place empty.

  Attributes:
    name: what the legend calls it.
    values: [B] float.
    color: 0 to 7.
  """

  name: str
  values: np.ndarray
  color: int


def percent(value: float) -> str:
  """0.345 -> "34.5 %", 0.5 -> "50 %", 0.00025 -> "0.025 %"."""
  shown = 100 * value
  text = f"{shown:.1f}" if abs(shown) >= 0.1 else f"{shown:.2g}"
  return f"{text.removesuffix('.0')} %"


def number(value: float) -> str:
  """12345 -> "12.3k", 0.01234 -> "0.0123", 2e-7 -> "2e-07"."""
  size = abs(value)
  for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
    if size >= limit:
      scale = 1e3 if unit == "k" else limit
      return f"{value / scale:.3g}{unit}"
  if size >= 1000:
    return f"{value:.0f}"
  return f"{value:.3g}"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
  """Round numbers that cover [low, high]; the first and last enclose it."""
  if not high > low:
    high = low + 1.0
  raw = (high - low) / count
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
  first = math.floor(low / step + 1e-9)
  last = math.ceil(high / step - 1e-9)
  return [i * step for i in range(first, last + 1)]


def smooth(values: np.ndarray) -> np.ndarray:
  """Running mean over about a twentieth of the readings, [N] -> [N]."""
  half = len(values) // 40
  total = np.concatenate([[0.0], np.cumsum(values)])
  index = np.arange(len(values))
  low = np.maximum(index - half, 0)
  high = np.minimum(index + half + 1, len(values))
  return (total[high] - total[low]) / (high - low)


def line_chart(
  title: str,
  series: Sequence[Series],
  *,
  axis: str,
  show: Callable[[float], str] = number,
  note: str = "",
  from_zero: bool = True,
  smoothed: bool = True,
) -> str:
  """Curves over gradient updates, each with its last value at its end.

  Args:
    title: heading of the chart.
    series: curves; empty ones are left out.
    axis: what the vertical axis counts.
    show: writes a value of that axis.
    note: one line below, such as what a bad value looks like.
    from_zero: whether the axis must reach zero.
    smoothed: whether a long curve shows its running mean over thin readings.

  Returns:
    A `<figure>`, or "" when no curve has a reading.
  """
  series = [item for item in series if len(item.values)]
  if not series:
    return ""
  values = np.concatenate([item.values for item in series])
  low, high = float(values.min()), float(values.max())
  if from_zero or 0 <= low < 0.4 * high:
    low, high = min(low, 0.0), max(high, 0.0)
  frame = _Frame(
    _span([item.steps for item in series]), ticks(low, high), axis, show
  )
  parts = [frame.grid()]
  ends = []
  for item in series:
    bold = item.values
    if smoothed and len(bold) >= _SMOOTH_FROM and not item.dashed:
      bold = smooth(bold)
      thin = frame.path(item.steps, item.values)
      parts.append(f'<path class="line thin c{item.color}" d="{thin}"/>')
    dash = " dash" if item.dashed else ""
    path = frame.path(item.steps, bold)
    parts.append(f'<path class="line c{item.color}{dash}" d="{path}"/>')
    if len(bold) < _SMOOTH_FROM and not item.dashed:
      parts += [
        f'<circle class="dot c{item.color}" cx="{frame.x(step):.1f}"'
        f' cy="{frame.y(value):.1f}" r="2.5"><title>'
        f"{html.escape(item.name)}, step {step}: {show(value)}</title></circle>"
        for step, value in zip(item.steps, bold, strict=True)
      ]
    ends.append((frame.y(bold[-1]), show(float(bold[-1])), item.color))
  parts.append(_end_labels(ends))
  legend = [(item.name, item.color, item.dashed) for item in series]
  return _figure(title, legend, "".join(parts), note)


def stacked_chart(
  title: str,
  series: Sequence[Series],
  *,
  axis: str,
  note: str = "",
) -> str:
  """Shares on top of each other; all series have the same steps.

  Returns:
    A `<figure>`, or "" when there is no reading.
  """
  if not series or not len(series[0].steps):
    return ""
  steps = series[0].steps
  levels = [item.values for item in series]
  if len(steps) >= _SMOOTH_FROM:
    levels = [smooth(values) for values in levels]
  stack = np.cumsum([np.zeros(len(steps)), *levels], axis=0)  # [series + 1, N]
  if len(steps) == 1:  # a single reading still needs a width to be seen
    steps, stack = np.append(steps, steps + 1), np.repeat(stack, 2, axis=1)
  top = max(1.0, float(stack[-1].max()))
  frame = _Frame(_span([steps]), ticks(0.0, top), axis, percent)
  parts = [frame.grid()]
  ends = []
  for index, item in enumerate(series):
    upper = frame.path(steps, stack[index + 1])
    lower = frame.path(steps[::-1], stack[index][::-1]).replace("M", "L", 1)
    parts.append(f'<path class="area c{item.color}" d="{upper}{lower}Z"/>')
    share = float(stack[index + 1][-1] - stack[index][-1])
    middle = (stack[index][-1] + stack[index + 1][-1]) / 2
    ends.append((frame.y(middle), percent(share), item.color))
  parts.append(_end_labels(ends))
  legend = [(item.name, item.color, False) for item in series]
  return _figure(title, legend, "".join(parts), note)


def bar_chart(
  title: str,
  labels: Sequence[str],
  groups: Sequence[Bars],
  *,
  axis: str,
  top: float | None = None,
  reference: tuple[str, float] | None = None,
  note: str = "",
) -> str:
  """Groups of upright bars that hold shares, the value above each bar.

  Args:
    title: heading of the chart.
    labels: [B] names below the groups.
    groups: one bar in every group each.
    axis: what the vertical axis counts.
    top: highest share to make room for; None: the highest bar.
    reference: name and height of a dashed line.
    note: one line below.

  Returns:
    A `<figure>`, or "" when there are no labels.
  """
  if not labels:
    return ""
  heights = np.concatenate([group.values for group in groups])
  heights = heights[np.isfinite(heights)]
  most = [float(heights.max())] if len(heights) else []
  most += [] if top is None else [top]
  most += [] if reference is None else [reference[1]]
  frame = _Frame(None, ticks(0.0, max(most, default=1.0)), axis, percent)
  room = (_WIDTH - _LEFT - 8) / len(labels)
  width = min(room * 0.76 / len(groups), 40.0)
  parts = [frame.grid()]
  values = []
  for place, label in enumerate(labels):
    middle = _LEFT + room * (place + 0.5)
    text = html.escape(label)
    y = _HEIGHT - _BOTTOM + 16
    parts.append(
      f'<text class="tick mid" x="{middle:.1f}" y="{y}">{text}</text>'
    )
    for index, group in enumerate(groups):
      value = float(group.values[place])
      if not math.isfinite(value):
        continue
      x = middle + (index - len(groups) / 2) * width
      y = frame.y(value)
      height = max(frame.y(0.0) - y, 0.5)
      parts.append(
        f'<rect class="bar c{group.color}" x="{x + 1:.1f}" y="{y:.1f}"'
        f' width="{width - 2:.1f}" height="{height:.1f}"/>'
      )
      values.append(
        f'<text class="value mid" x="{x + width / 2:.1f}" y="{y - 4:.1f}">'
        f"{100 * value:.0f}</text>"
      )
  legend = [(group.name, group.color, False) for group in groups]
  if reference is not None:
    y = frame.y(reference[1])
    parts.append(
      f'<path class="line c{GREY} dash" d="M{_LEFT} {y:.1f}H{_WIDTH - 8}"/>'
    )
    legend.append((f"{reference[0]} {percent(reference[1])}", GREY, True))
  return _figure(title, legend, "".join(parts + values), note)


def bit_tables(parameters: Rows) -> str:
  """Totals, a heat map of layers by projections, then all other tensors.

  Args:
    parameters: rows of `parameters.json`: path, shape, parameters (a count),
      bits and stored_bits (of one weight), bytes, quantizer.

  Returns:
    HTML, or "" when there are no rows.
  """
  if not parameters:
    return ""
  cells: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
  others: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
  for row in parameters:
    place = place_of(row["path"])
    if place is not None:
      cells.setdefault(place, []).append(row)
    else:
      name = re.sub(r"\d+", "*", row["path"])
      others.setdefault((name, row.get("quantizer") or "-"), []).append(row)
  weights, size = total(parameters, "parameters"), total(parameters, "bytes")
  return (
    f"<p>In all {weights:,.0f} weights in {size_text(size)}:"
    f" {8 * size / max(weights, 1):.2f} stored bits a weight;"
    f" bfloat16 would take {size_text(2 * weights)}.</p>"
    + (_heat_map(cells) if cells else "")
    + (_other_tensors(others) if others else "")
  )


def _heat_map(cells: Mapping[tuple[int, str], Rows]) -> str:
  """One row a layer, one column a projection, bytes summed both ways."""
  columns = [x for x in _PROJECTIONS if any(at == x for _, at in cells)]
  rows = []
  for layer in sorted({layer for layer, _ in cells}):
    mine = [cells.get((layer, column), []) for column in columns]
    name = f"layer {layer}" if layer >= 0 else "all layers"
    shown = "".join(_heat_cell(tensors) for tensors in mine)
    rows.append(f"<tr><th>{name}{shown}{_bytes_cell(mine)}")
  last = [
    _bytes_cell([found for (_, at), found in cells.items() if at == column])
    for column in columns
  ]
  rows.append(f"<tr><th>bytes{''.join(last)}{_bytes_cell(cells.values())}")
  return table(("", *columns, "bytes"), rows, "bits") + (
    '<p class="note">In each cell: bits of a weight. Colour: bits that are'
    " stored for it, from 1.5 (pale) to 16 (deep).</p>"
  )


def _other_tensors(others: Mapping[tuple[str, str], Rows]) -> str:
  rows = [
    f"<tr><th>{html.escape(name)}{_heat_cell(tensors)}<td>{len(tensors)}"
    f"<td>{html.escape(quantizer)}{_bytes_cell([tensors])}"
    for (name, quantizer), tensors in others.items()
  ]
  head = ("path", "bits", "tensors", "quantizer", "bytes")
  return f"<h3>Embedding and other tensors</h3>{table(head, rows, 'bits')}"


def place_of(path: str) -> tuple[int, str] | None:
  """Layer number and projection of a parameter, None if it is neither's.

  Layers stacked into one tensor have no number in their path: -1.
  """
  for part in reversed(re.findall(r"\w+", path.lower())):
    for column, names in _PROJECTIONS.items():
      if part in names:
        layer = re.search(r"(?:layers?|blocks?)\W*_?(\d+)", path.lower())
        return int(layer.group(1)) if layer else -1, column
  return None


def _heat_cell(tensors: Rows) -> str:
  """The bits of the largest of these tensors, such as a kernel by its scale."""
  if not tensors:
    return "<td>"
  main = max(tensors, key=lambda row: row["parameters"])
  bits, stored = main.get("bits"), main.get("stored_bits")
  heat = math.log2(stored / 1.5) / math.log2(16 / 1.5) if stored else 0.0
  heat = min(max(heat, 0.0), 1.0)
  hint = (
    f"{main['path']} {main['shape']}: {main.get('quantizer')},"
    f" {bits} bits, {stored} stored"
  )
  return (
    f'<td class="heat{" deep" if heat > 0.55 else ""}"'
    f' style="--heat:{0.08 + 0.92 * heat:.2f}" title="{html.escape(hint)}">'
    f"{'-' if bits is None else f'{bits:.3g}'}"
  )


def _bytes_cell(groups: Iterable[Rows]) -> str:
  size = sum(total(rows, "bytes") for rows in groups)
  return f'<td class="num">{size_text(size)}'


def total(rows: Rows, field: str) -> float:
  """Sum of one field over rows."""
  return sum(row[field] for row in rows)


def size_text(count: float) -> str:
  """Bytes as text: 4224 -> "4.22 kB"."""
  for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
    if count >= scale:
      return f"{count / scale:.3g} {unit}"
  return f"{count:.0f} B"


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


def task_table(tasks: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
  """Tasks with their source; each comes with a word for when it was made.

  Args:
    tasks: the word, and the line of `tasks.jsonl`.
  """
  rows = []
  for stage, task in tasks:
    rate = task.get("solve_rate")
    origin = f"{task.get('source', '')}, {task.get('status', '')}"
    rows.append(
      f"<tr><td>{stage}<br><small>step {task['step']}</small>"
      f"<td>{html.escape(str(task.get('type', '')))}"
      f"<br><small>{html.escape(origin)}</small>"
      f"<td><pre>{highlight(str(task.get('program', '')))}</pre>"
      f"<td><code>{highlight(_short(task.get('input', '')))}</code>"
      f"<td><code>{highlight(_short(task.get('output', '')))}</code>"
      f'<td class="num">{"-" if rate is None else percent(rate)}'
    )
  head = ("When", "Task", "Program", "Input", "Output", "Solved")
  return table(head, rows, "tasks")


def _short(value: Any, limit: int = 200) -> str:
  text = value if isinstance(value, str) else json.dumps(value)
  return text if len(text) <= limit else text[: limit - 1] + "…"


def highlight(source: str) -> str:
  """Python source as escaped HTML, with strings, numbers and keywords marked.

  Args:
    source: any text; it need not be valid Python.

  Returns:
    HTML that shows exactly `source`.
  """
  parts = []
  end = 0
  for match in _PYTHON.finditer(source):
    parts.append(html.escape(source[end : match.start()]))
    text = html.escape(match.group())
    kind = match.lastgroup
    if kind == "name":
      kind = "kw" if keyword.iskeyword(match.group()) else None
    parts.append(f'<span class="{kind}">{text}</span>' if kind else text)
    end = match.end()
  return "".join(parts) + html.escape(source[end:])


class _Frame:
  """The plot's axes: places of values, and the grid behind them."""

  def __init__(
    self,
    span: tuple[int, int] | None,
    rows: list[float],
    axis: str,
    show: Callable[[float], str],
  ):
    self._span = span
    self._rows = rows
    self._axis = axis
    self._show = show

  def x(self, step: float) -> float:
    assert self._span is not None
    first, last = self._span
    room = _WIDTH - _LEFT - _RIGHT
    return _LEFT + room * (step - first) / (last - first)

  def y(self, value: float) -> float:
    low, high = self._rows[0], self._rows[-1]
    room = _HEIGHT - _TOP - _BOTTOM
    return _HEIGHT - _BOTTOM - room * (value - low) / (high - low)

  def path(self, steps: np.ndarray, values: np.ndarray) -> str:
    """A broken line through the readings, thinned to what can be seen."""
    chosen = _extremes(values)
    steps, values = steps[chosen], values[chosen]
    points = [
      f"{self.x(step):.1f} {self.y(value):.1f}"
      for step, value in zip(steps, values, strict=True)
    ]
    return "M" + "L".join(points)

  def grid(self) -> str:
    parts = [
      f'<text class="axis" x="0" y="12">{html.escape(self._axis)}</text>'
    ]
    right = _WIDTH - (8 if self._span is None else _RIGHT)
    for row in self._rows:
      y = self.y(row)
      parts.append(
        f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">'
        f"{self._show(row)}</text>"
      )
    if self._span is None:
      return "".join(parts)
    first, last = self._span
    for step in ticks(first, last, 4):
      if first <= step <= last and float(step).is_integer():
        parts.append(
          f'<text class="tick mid" x="{self.x(step):.1f}"'
          f' y="{_HEIGHT - _BOTTOM + 16}">{number(step)}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
      f'<text class="axis mid" x="{middle}" y="{_HEIGHT - 4}">'
      "gradient updates</text>"
    )
    return "".join(parts)


def _extremes(values: np.ndarray) -> np.ndarray:
  """Indices of few readings that still show every peak, in order."""
  if len(values) <= _MOST_POINTS:
    return np.arange(len(values))
  kept = {0, len(values) - 1}
  for part in np.array_split(np.arange(len(values)), _MOST_POINTS // 2):
    kept.add(int(part[values[part].argmin()]))
    kept.add(int(part[values[part].argmax()]))
  return np.array(sorted(kept))


def _span(all_steps: Sequence[np.ndarray]) -> tuple[int, int]:
  first = min(int(steps[0]) for steps in all_steps)
  last = max(int(steps[-1]) for steps in all_steps)
  if first < 0.1 * last:
    first = 0
  return first, max(last, first + 1)


def _end_labels(ends: list[tuple[float, str, int]]) -> str:
  """Last values right of the plot, pushed apart so that none overlap."""
  gap = 12.5
  ends = sorted(ends)
  places: list[float] = []
  for y, _, _ in ends:
    places.append(max(y, places[-1] + gap) if places else y)
  bottom = _HEIGHT - _BOTTOM
  for index in range(len(places) - 1, -1, -1):
    places[index] = min(places[index], bottom - gap * (len(places) - 1 - index))
  return "".join(
    f'<text class="last c{color}" x="{_WIDTH - _RIGHT + 5}" y="{y + 4:.1f}">'
    f"{text}</text>"
    for y, (_, text, color) in zip(places, ends, strict=True)
  )


def _figure(
  title: str, legend: list[tuple[str, int, bool]], body: str, note: str
) -> str:
  keys = "".join(
    f'<span class="key c{color}{" dash" if dashed else ""}">'
    f"{html.escape(name)}</span>"
    for name, color, dashed in legend
  )
  label = html.escape(title)
  return (
    f'<figure class="chart"><figcaption>{label}</figcaption>'
    f'<p class="legend">{keys}</p>'
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
    f'{body}</svg><p class="note">{html.escape(note)}</p></figure>'
  )
