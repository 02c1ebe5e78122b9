"""Every curve's last value can be read."""

import re

import numpy as np

from bitzero_jax.evaluate.line_chart import line_chart
from bitzero_jax.evaluate.series import Series


def test_end_labels_never_overlap():
  steps = np.array([0, 1])
  series = [
    Series(str(i), steps, np.array([0.0, 0.001 * i]), i) for i in range(6)
  ]
  svg = line_chart("t", series, axis="a", from_zero=False)
  heights = re.findall(r'class="last c\d" x="\d+" y="([\d.]+)"', svg)
  gaps = np.diff(sorted(map(float, heights)))
  assert len(heights) == 6
  assert gaps.min() >= 12
