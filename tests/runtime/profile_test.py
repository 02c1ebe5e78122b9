"""A trace holds the rounds of its window and no others."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from bitzero_jax.runtime.profile import Profile, check


def traced_rounds(folder):
  """Numbers of the rounds in the one trace below a folder."""
  (path,) = folder.glob("profile/plugins/profile/*/*.trace.json.gz")
  assert list(path.parent.glob("*.xplane.pb"))  # as XProf reads
  with gzip.open(path, "rt") as file:
    events = json.load(file)["traceEvents"]
  numbers = {
    int(event["args"]["step_num"])
    for event in events
    if event.get("name") == "round"
  }
  return sorted(numbers)


@pytest.mark.parametrize(
  ("ran", "traced"),
  [(range(1, 7), [3, 4]), (range(4, 7), [4]), (range(1, 4), [3])],
  ids=["whole", "resumed inside", "ended inside"],
)
def test_a_window_is_traced(tmp_path, ran, traced):
  double = jax.jit(lambda x: 2 * x)
  said = []
  with Profile(tmp_path, (3, 4), said.append) as profile:
    for number in ran:
      with profile.round(number):
        double(jnp.float32(number)).block_until_ready()
  assert traced_rounds(tmp_path) == traced
  (line,) = said
  assert f"rounds {traced[0]} to {traced[-1]}: {tmp_path / 'profile'}" in line


def test_a_bucket_takes_no_trace(tmp_path):
  check(tmp_path, (3, 4))
  check("gs://bucket/run", ())
  with pytest.raises(ValueError, match=r"steps=\(3, 4\) needs a folder"):
    check("gs://bucket/run", (3, 4))


def test_without_a_window_nothing_is_written(tmp_path):
  with Profile(tmp_path, (), pytest.fail) as profile, profile.round(1):
    pass
  assert list(tmp_path.iterdir()) == []
