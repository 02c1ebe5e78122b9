"""No candidate is left out, and no program is changed."""

import pytest

from bitzero_jax.evaluate.proposed_tasks import over_time


def test_candidates_add_up_to_all_of_them(workdir, written, last_values):
  source, _ = written(workdir)
  shares = last_values(source, "What became of the candidates")
  assert len(shares) == 7  # accepted, five reasons, the rest
  total = sum(float(text.removesuffix(" %")) for text in shares if text)
  assert total == pytest.approx(100, abs=0.5)


def test_programs_show_to_the_letter_and_are_escaped(workdir, written, program):
  source, page = written(workdir)
  shown = page.text("pre")
  assert len(shown) == 24  # four times, three types, two sources
  assert [text.splitlines()[0] for text in shown[:2]] == [
    "# model 0",
    "# random 0",
  ]
  steps = [text.splitlines()[0].split()[-1] for text in shown]
  assert list(dict.fromkeys(steps)) == ["0", "30", "60", "90"]
  for text in shown:
    assert text.split("\n", 1)[1] == program
  assert "script" not in page.tags
  assert "b" not in page.tags
  assert "i" not in page.tags
  assert "'<i>'" in page.text("code")
  assert "<b>" not in source


def test_a_short_run_shows_each_of_its_rounds_once():
  tasks = [
    {"step": step, "type": "abduction", "source": "edit", "program": str(step)}
    for step in (2, 4)
  ]
  page = over_time(tasks)
  assert page.count("step 2<") == page.count("step 4<") == 1
  assert over_time([]) == ""
