"""Scores against bits, from runs written by hand."""

import json
from xml.etree import ElementTree

import pytest

from bitzero_jax import config as config_lib
from bitzero_jax.evaluate import arms, bits_curve
from bitzero_jax.state import KINDS


def write(folder, name, seed, bits, score, **precision):
  config = config_lib.default()
  config.name, config.seed = name, seed
  config.precision.update(precision)
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(config_lib.to_json(config))
  line = {"step": 10, "seconds": 1.0, "bits/stored_per_weight": bits}
  line |= {f"eval/{kind}": score for kind in KINDS}
  line |= {f"eval/nll/{kind}": 2 - score for kind in KINDS}
  (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")


@pytest.fixture
def runs(tmp_path):
  for seed in range(3):
    write(tmp_path / f"a{seed}", "one", seed, 2.0625, 0.2 + 0.1 * seed)
    for budget in (2.6, 3.0):
      write(
        tmp_path / f"b{budget}{seed}",
        f"learned {budget}",
        seed,
        budget,
        0.5,
        budget=budget,
        sharpness=4.0,
      )
  return tmp_path


def test_arms_of_one_allocator_are_joined_and_others_stand_alone(runs):
  points = [bits_curve.point(arm) for arm in arms.read(runs)]
  found = sorted((p.bits, p.group) for p in points)
  learned = "learned allocation, sharpness 4"
  assert found == [(2.0625, "one"), (2.6, learned), (3.0, learned)]
  (alone,) = (p for p in points if p.group == "one")
  assert alone.accuracy == pytest.approx((0.2, 0.3, 0.4))
  assert alone.nats == pytest.approx((1.8, 1.7, 1.6))


def test_groups_are_an_arm_of_their_own(tmp_path):
  write(tmp_path / "a", "by group", 0, 2.6, 0.5, budget=2.6, groups=8)
  (arm,) = arms.read(tmp_path)
  assert bits_curve.point(arm).group == "learned allocation, 8 groups"


@pytest.mark.parametrize(
  ("precision", "group"),
  [
    ({"allocator": "learned"}, "earlier learned allocation"),
    (
      {"allocator": "learned", "sharpness": 4.0},
      "earlier learned allocation, sharpness 4",
    ),
    ({"allocator": "random"}, "random allocation"),
  ],
)
def test_the_learned_allocator_of_earlier_versions_is_another(
  tmp_path, precision, group
):
  write(tmp_path / "a", "earlier", 0, 2.6, 0.5, budget=2.6)
  path = tmp_path / "a" / "config.json"
  config = json.loads(path.read_text())
  del config["precision"]["sharpness"]
  config["precision"] |= {"dual_rate": 0.005} | precision
  path.write_text(json.dumps(config))
  (arm,) = arms.read(tmp_path)
  assert bits_curve.point(arm).group == group


def test_the_drawing_names_every_group_once(runs, tmp_path):
  out = tmp_path / "bits.svg"
  assert bits_curve.main([str(out), str(runs)]) == 0
  text = out.read_text()
  ElementTree.fromstring(text)
  assert text.count("<!-- learned allocation, sharpness 4 -->") == 1
  assert text.count("<!-- one -->") == 1


def test_bad_input_is_one_line(tmp_path, capsys):
  assert bits_curve.main([]) == 2
  assert bits_curve.main([str(tmp_path / "x.svg"), str(tmp_path)]) == 2
  assert "no run with an evaluation" in capsys.readouterr().err
  assert not (tmp_path / "x.svg").exists()
