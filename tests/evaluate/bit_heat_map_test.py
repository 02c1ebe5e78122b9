"""Bits stand by layer and projection, and bytes add up."""

import pytest

from bitzero_jax.evaluate.bit_heat_map import bit_tables, place_of


def test_bits_by_layer_and_projection(workdir, written, page_of):
  source, page = written(workdir)
  start = source.index('<table class="bits">')
  table = page_of(source[start : source.index("</table>", start)])
  assert table.text("th")[1:7] == ["q", "k", "v", "o", "gate", "bytes"]
  cells = table.text("td")
  # Layer 0 has no gate: its cell stays empty.
  assert cells[:6] == ["1.58"] * 4 + ["", "16.9 kB"]
  assert cells[6:12] == ["1.58"] * 4 + ["3.17", "21.1 kB"]
  assert cells[12:] == ["8.45 kB"] * 4 + ["4.22 kB", "38 kB"]
  assert "params/embedding/table" in page.text("th")
  assert any(
    "In all 163,840 weights in 70.8 kB: 3.46 stored bits a weight" in text
    for text in page.text("p")
  )


def test_a_cell_is_the_mean_of_its_groups_and_names_their_planes(page_of):
  row = {
    "path": "layers_0/self_attn/q_proj/kernel",
    "shape": [8, 6],
    "parameters": 48,
    "bits": 4.354,
    "stored_bits": 4.354,
    "bytes": 40,
    "quantizer": "digits",
    "groups": [1, 3, 3],
  }
  text = bit_tables([row])
  assert page_of(text).text("td")[0] == "4.35"
  assert "planes of groups of its outputs: 1 3 3" in text


@pytest.mark.parametrize(
  ("path", "place"),
  [
    ("params/layer_3/attention/q/kernel", (3, "q")),
    ("params/layers_12/mlp/down_proj/kernel", (12, "down")),
    ("['params']['block_0']['attention']['value']['kernel']", (0, "v")),
    ("params/layers/attention/o/kernel", (-1, "o")),
    ("params/layer_3/norm/scale", None),
    ("params/embedding/table", None),
  ],
)
def test_place_of_reads_common_paths(path, place):
  assert place_of(path) == place
