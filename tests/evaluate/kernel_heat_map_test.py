"""A cell for each matrix and span of updates, in bands by projection."""

import re
from xml.etree import ElementTree

import pytest

from bitzero_jax.evaluate.kernel_heat_map import (
  MAPS,
  Matrix,
  kernel_heat_maps,
  matrices_of,
)

FLIPS, ZEROS, SCALE = (one.metric for one in MAPS)


def parameter(path, shape=(8, 8), quantizer="absmean"):
  return {"path": path, "shape": list(shape), "quantizer": quantizer}


# In another order than the lists of the metrics, which are sorted by path.
PARAMETERS = [
  parameter("layers_1/attn/q_proj/kernel"),
  parameter("layers_0/attn/q_proj/kernel"),
  parameter("layers_0/mlp/down_proj/kernel"),
  parameter("embed/embedding", quantizer="float32"),
]


def drawn(figure):
  found = re.search(r"<svg.*</svg>", figure, re.DOTALL)
  assert found is not None
  return ElementTree.fromstring(found.group())


def boxes(figure):
  """(heat, left, top, right, bottom) of every box, without the key's."""
  found = []
  for path in drawn(figure).iter("path"):
    heat = float(path.get("style", ":").split(":")[1])
    form = r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H"
    for box in re.findall(form, path.get("d", "")):
      found.append((heat, *map(float, box)))
  return found


def words(figure, kind):
  texts = drawn(figure).iter("text")
  return [x.text for x in texts if x.get("class", "").startswith(kind)]


def test_matrices_are_sorted_as_the_metrics_are():
  assert matrices_of(PARAMETERS) == [
    Matrix("q", 0),
    Matrix("down", 0),
    Matrix("q", 1),
  ]
  stack = [
    parameter("blocks/attn/q/kernel", (2, 8, 8)),
    parameter("head/kernel", quantizer="identity"),
    parameter("reader/kernel"),
  ]
  assert matrices_of(stack) == [
    Matrix("q", 0),
    Matrix("q", 1),
    Matrix("reader", -1),
  ]


def test_a_cell_stands_where_its_matrix_and_updates_are():
  lines = [
    {"step": 10, FLIPS: [0.0, 0.5, 1.0]},
    {"step": 20, FLIPS: [1.0, 0.5, 1.0]},
  ]
  figure = kernel_heat_maps(lines, PARAMETERS)[0]
  found = sorted(boxes(figure), key=lambda box: (box[2], box[1]))
  assert len(found) == 4  # neighbours of one shade are one box
  early, late, second, down = found
  assert early[0] < late[0] == second[0]
  assert early[0] < down[0] < late[0]
  assert early[1:] == (50.0, 24.0, 198.0, early[4])
  assert late[1:4] == (198.0, 24.0, 346.0)
  assert second[1:4] == (50.0, early[4], 346.0)  # layer 1 below layer 0
  assert down[2] > second[4]  # a gap between projections
  assert down[4] == 196.0
  assert words(figure, "tick end") == ["0 %", "q", "down"]
  assert words(figure, "last") == ["100 %", "50 %"]


def test_a_scale_is_shown_beside_its_first():
  lines = [
    {"step": 10, SCALE: [0.1, 0.2, 0.1]},
    {"step": 20, SCALE: [0.2, 0.2, 0.05]},
  ]
  figure = kernel_heat_maps(lines, PARAMETERS)[2]
  assert words(figure, "last") == ["\N{MULTIPLICATION SIGN}1"] * 2
  kinds = [
    path.get("class")
    for path in drawn(figure).iter("path")
    if "V" in path.get("d", "")
  ]
  assert kinds == ["cells shrunk", "cells", "cells"]


def test_a_long_run_has_no_more_columns_than_can_be_seen():
  lines = [
    {"step": 10 * i + 10, ZEROS: [0.1 * (i % 7), 0.3, 0.6]} for i in range(999)
  ]
  figure = kernel_heat_maps(lines, PARAMETERS)[1]
  lefts = {box[1] for box in boxes(figure)}
  assert 2 < len(lefts) <= 48


@pytest.mark.parametrize("values", [None, [0.5], [0.5, None, 0.5]], ids=str)
def test_readings_that_do_not_fit_are_left_out(values):
  lines = [{"step": 10, FLIPS: values}]
  assert kernel_heat_maps(lines, PARAMETERS) == ["", "", ""]
  assert kernel_heat_maps(lines, []) == ["", "", ""]
