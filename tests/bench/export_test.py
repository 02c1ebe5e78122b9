"""The table of files has a row for each, smallest types the smallest."""

import pytest

from bitzero_jax import config as config_lib


@pytest.mark.slow
def test_every_file_has_its_bytes_and_rates():
  pytest.importorskip("llama_cpp", reason="needs the extra `engine`")
  from bitzero_jax.bench import export

  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 256, 1, 256
  rows = list(export.measure(export.random_model(config), 4))
  size = {row.name: row.bytes for row in rows}
  ordered = [
    "GGUF TQ1_0",
    "GGUF smallest exact: tq2_0",
    "GGUF Q8_0",
    "GGUF F16",
  ]
  assert sorted(ordered, key=size.__getitem__) == ordered
  assert size["float32, as trained"] > size["GGUF F16"]
  for row in rows:
    assert all(rate > 0 for rate in row.rates)
    if row.name.startswith("GGUF"):
      assert len(row.rates) == len(export.THREADS)
    assert row.name in export.line(row)
