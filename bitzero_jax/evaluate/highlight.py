"""Syntax highlighting: Python source as HTML."""

import html
import keyword
import re

_PYTHON = re.compile(
  r"""(?P<str>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")"""
  r"|(?P<com>\#[^\n]*)|(?P<num>\b\d[\w.]*)|(?P<name>[A-Za-z_]\w*)"
)


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
