"""LEARN by the compiler of GPUs not here: what two of them would wait for."""

import pytest

pytestmark = pytest.mark.slow


def test_no_loop_goes_over_split_rows(compiled_here):
  seen = compiled_here("cuda", "aot_learn.py")
  # The updates are a loop themselves, and the longest.
  assert max(seen["steps"]) == seen["updates"], seen
