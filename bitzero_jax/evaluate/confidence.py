"""How far a confidence can be trusted: calibration and selective answering.

Letters: n = answers. An answer with an unknown grade is left out of everything.
"""

from typing import NamedTuple

import numpy as np

from bitzero_jax.state import RIGHT, UNKNOWN

BINS = 10  # of equal width
PRECISION = 0.95  # that coverage is given at
_SLACK = 1e-9  # 0.95 * 60 may come out above 57


class Reliability(NamedTuple):
  """Answers by confidence, in bins of equal width. M = bins.

  Bin m holds confidences in (m / M, (m + 1) / M], the first one also 0.

  Attributes:
    count: int [M], answers.
    confidence: float [M], their mean confidence, NaN in an empty bin.
    accuracy: float [M], the share of them that is right, NaN in an empty bin.
  """

  count: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray


def reliability(
  confidence: np.ndarray, grade: np.ndarray, bins: int = BINS
) -> Reliability:
  """What a reliability diagram shows.

  The bins have equal width, as in the papers that introduced them, so that
  diagrams of different models line up; a bin may be empty.

  Args:
    confidence: float [n], in [0, 1].
    grade: int [n], RIGHT, WRONG or UNKNOWN.
    bins: M, at least 1.

  Source:
    Naeini et al. 2015 (AAAI); Guo et al. 2017, arXiv:1706.04599, section 2.

  Raises:
    ValueError: a confidence of a known grade is outside [0, 1].
  """
  confidence, right = _known(confidence, grade)
  place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
  count = np.bincount(place, minlength=bins)
  filled = np.where(count > 0, count, np.nan)
  return Reliability(
    count,
    np.bincount(place, confidence, bins) / filled,
    np.bincount(place, right, bins) / filled,
  )


def expected_calibration_error(
  confidence: np.ndarray, grade: np.ndarray, bins: int = BINS
) -> float:
  """Mean distance between confidence and accuracy, over bins by their count.

  Chance alone keeps it above 0: perfectly calibrated answers to 300 tasks have
  0.03 to 0.05. Arguments and source as for `reliability`.

  Returns:
    In [0, 1], 0 is best; NaN where no grade is known.
  """
  found = reliability(confidence, grade, bins)
  if not found.count.sum():
    return float("nan")
  gap = np.abs(np.nan_to_num(found.accuracy - found.confidence))
  return float(found.count @ gap / found.count.sum())


def brier(confidence: np.ndarray, grade: np.ndarray) -> float:
  """Mean squared distance between confidence and being right (1) or wrong (0).

  A proper scoring rule (Brier 1950): unlike the calibration error, it also
  falls where right and wrong answers are told apart.

  Args:
    confidence: float [n], in [0, 1].
    grade: int [n], RIGHT, WRONG or UNKNOWN.

  Returns:
    In [0, 1], 0 is best; NaN where no grade is known.
  """
  confidence, right = _known(confidence, grade)
  if not len(right):
    return float("nan")
  return float(np.mean((confidence - right) ** 2))


def coverage(
  confidence: np.ndarray, grade: np.ndarray, precision: float = PRECISION
) -> float:
  """Largest share of answers that a threshold keeps at a given precision.

  All answers whose confidence reaches the threshold are kept, so equal
  confidences are kept or dropped together. Among fewer than 20 kept answers
  none may be wrong at 95 %. The threshold is chosen on the same answers, with
  no allowance for chance: of a few answers it says little.

  Args:
    confidence: float [n], in [0, 1].
    grade: int [n], RIGHT, WRONG or UNKNOWN.
    precision: least share of the kept answers that is right, in (0, 1].

  Returns:
    In [0, 1], 1 is best; 0 where no threshold does, or no grade is known.
  """
  confidence, right = _known(confidence, grade)
  if not len(right):
    return 0.0
  order = np.argsort(-confidence, kind="stable")
  confidence, right = confidence[order], right[order]
  kept = np.arange(1, len(right) + 1)
  ends = np.append(confidence[1:] != confidence[:-1], True)  # a tie's last
  good = ends & (np.cumsum(right) >= precision * kept - _SLACK)
  return float(kept[good].max(initial=0) / len(right))


def _known(
  confidence: np.ndarray, grade: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Confidence, and 1.0 for right or 0.0 for wrong, where a grade is known."""
  known = np.asarray(grade) != UNKNOWN
  confidence = np.asarray(confidence, np.float64)[known]
  outside = confidence[~((confidence >= 0) & (confidence <= 1))]
  if len(outside):
    raise ValueError(f"confidence={outside[0]} must be in [0, 1]")
  return confidence, (np.asarray(grade)[known] == RIGHT).astype(np.float64)
