"""What practice says on the terminal."""

import time
from collections.abc import Callable

from bitzero_jax.language import render
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.practise import Standing

_EVERY = 5.0  # seconds between two lines
_NEAREST = 10  # misses that are shown where nothing fits


def narrator(
  seconds: float, questions: int, write: Callable[[str], None]
) -> Callable[[Standing], None]:
  """Says every few seconds how far a practice is."""
  due = 0.0

  def show(standing: Standing) -> None:
    nonlocal due
    if time.monotonic() < due and standing.seconds < seconds:
      return
    due = time.monotonic() + _EVERY
    left = max(seconds - standing.seconds, 0)
    write(
      f"practised {standing.seconds:.0f} s, {left:.0f} s left | programs tried "
      f"{standing.tried:,} | answered {len(standing.answered)} of {questions}"
    )

  return show


def answer(archive: Archive, last: Standing) -> list[str]:
  """Lines about the program that fits a question, or about the nearest."""
  examples, sayable = len(archive.question.given), len(archive.question.sayable)
  after = f"after {last.seconds:.0f} s and {last.tried:,} programs"
  if archive.answer is not None:
    said = f"a program fits all {examples} examples, found {after}:"
    return [said, f"  {render.expression(archive.answer)}"]
  near = archive.first()[:_NEAREST]
  tail = "; the nearest:" if near else ", and none comes near"
  lines = [f"no program fits all {examples} examples {after}{tail}"]
  if sayable < examples:
    lines[:0] = [
      f"the model can read {sayable} of the {examples} examples: the values of "
      "the others are too long or too large for it"
    ]
  lines += [
    f"  {a.closeness:4.0%} of the outputs' tokens   "
    f"{render.expression(a.program)}"
    for a in near
  ]
  return lines


def suite(scores: dict[str, object]) -> str:
  """A suite's scores as a table to print."""
  rows = [
    (name.partition("/")[2] or "all", scores[name], scores[f"functions{tail}"])
    for name in scores
    if name.startswith("solved")
    for tail in [name.removeprefix("solved")]
  ]
  head = (
    f"practised {scores['seconds']} s, {scores['tried']:,} programs tried, "
    f"{scores['fitted']} functions fitted"
  )
  return "\n".join([head, *(f"{n:<16}{s:>6} of {t}" for n, s, t in rows)])
