"""Curves of what practice solved."""

import json
from xml.etree import ElementTree

import numpy as np

from bitzero_jax.evaluate import practice_curve


def write(path, grades, seconds):
  tasks = {"grade/induction": grades, "seconds": seconds}
  path.write_text(json.dumps({"scores": {"seconds": 10.0}, "tasks": tasks}))
  return path


def test_what_was_answered_and_wrong_is_not_counted(tmp_path):
  path = write(tmp_path / "a", [1, 0, 1, 0], [4.0, 1.0, 2.0, None])
  curve = practice_curve.read(f"own={path}")
  assert (curve.label, curve.seconds) == ("own", 10.0)
  counts = practice_curve.counts([curve], np.array([0, 1.9, 2, 5]))
  assert counts.tolist() == [[0, 0, 1, 2]]


def test_a_drawing_names_its_arms_with_their_means(tmp_path):
  one = write(tmp_path / "a", [1, 1], [4.0, 1.0])
  two = write(tmp_path / "b", [1, 0], [4.0, 1.0])
  out = tmp_path / "curve.svg"
  said = [f"own={one}", f"own={two}", f"none={two}"]
  assert practice_curve.main([str(out), *said]) == 0
  assert "<!-- own: 1.5 -->" in out.read_text()
  assert "<!-- none: 1 -->" in out.read_text()
  ElementTree.parse(out)


def test_what_is_no_practice_is_refused(tmp_path, capsys):
  (tmp_path / "a").write_text('{"scores": {}, "tasks": {}}')
  for said, why in (
    (f"own={tmp_path / 'a'}", "no practised evaluation"),
    ("own", "must be LABEL=FILE"),
    (f"own={tmp_path / 'none'}", "No such file"),
  ):
    assert practice_curve.main([str(tmp_path / "x.svg"), said]) == 2
    assert why in capsys.readouterr().err
  assert not (tmp_path / "x.svg").exists()
  assert practice_curve.main([]) == 2
