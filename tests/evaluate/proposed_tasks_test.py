"""No candidate is left out, and no program is changed."""

import pytest


def test_candidates_add_up_to_all_of_them(workdir, written, last_values):
  source, _ = written(workdir)
  shares = last_values(source, "What became of the candidates")
  assert len(shares) == 7  # accepted, five reasons, the rest
  total = sum(float(text.removesuffix(" %")) for text in shares if text)
  assert total == pytest.approx(100, abs=0.5)


def test_programs_show_to_the_letter_and_are_escaped(workdir, written, program):
  source, page = written(workdir)
  shown = page.text("pre")
  assert len(shown) == 9  # early, middle, late, by three types
  assert {text.splitlines()[0] for text in shown} == {
    "# model 0",
    "# model 60",
    "# model 90",
  }
  for text in shown:
    assert text.split("\n", 1)[1] == program
  assert "script" not in page.tags
  assert "b" not in page.tags
  assert "i" not in page.tags
  assert "'<i>'" in page.text("code")
  assert "<b>" not in source
