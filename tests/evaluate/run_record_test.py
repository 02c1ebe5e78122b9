"""What the run wrote down is all there, the unusual first."""


def test_config_differences_come_first(workdir, written, page_of):
  learn = {"lr": 0.01, "steps": 100, "rows": (1, 2)}
  defaults = {"name": "run <1>", "learn": learn, "seed": 0}
  source, page = written(workdir, defaults=defaults)
  changed = source[source.index("<h3>Differs from the defaults") :]
  changed = page_of(changed[: changed.index("<details>")])
  assert changed.text("th") == ["learn.lr"]
  assert changed.text("code") == ["0.001  (default 0.01)"]
  assert "learn.steps" in page.text("th")


def test_every_metric_is_listed(workdir, written, train_line, eval_line):
  _, page = written(workdir)
  names = set(train_line(0)) | set(eval_line(0))
  names -= {"step", "solve_rate/histogram"}  # lists are drawn, not listed
  names -= {"learnability/histogram", "trained/lengths"}
  names = {n for n in names if not n.startswith("ternary/kernels/")}
  assert names <= set(page.text("th"))
