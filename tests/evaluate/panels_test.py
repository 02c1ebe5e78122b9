"""A panel ends in what its metrics last were."""


def test_charts_end_in_the_last_values(workdir, written, last_values):
  source, _ = written(workdir)
  assert last_values(source, "By task type") == [
    "31.1 %",
    "16.1 %",
    "11.1 %",
    "8.2 %",
  ]
  assert last_values(source, "Total loss") == ["2"]
  assert last_values(source, "Pool") == ["130", "120"]
  assert last_values(source, "Training rows") == ["1234"]


def test_every_collapse_indicator_says_what_is_bad(workdir, written):
  source, _ = written(workdir)
  start = source.index("<h2>Collapse indicators")
  panels = source[start : source.index("<h2>Codes", start)].split("<figure")[1:]
  assert len(panels) == 6
  for panel in panels:
    assert '<p class="note">Bad: ' in panel
  assert 'class="alert"' not in source
