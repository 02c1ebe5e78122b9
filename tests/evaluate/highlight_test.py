"""Marking a program changes none of its letters."""

from bitzero_jax.evaluate.highlight import highlight


def test_highlight_keeps_any_text(page_of, program):
  for text in ("", "def f(x): return 'a", 'é < & > "', program, "1if x else"):
    assert "".join(page_of(f"<p>{highlight(text)}</p>").text("p")) == text
  assert '<span class="kw">return</span>' in highlight("return x")
  assert "span" not in highlight("returned")
