"""A wrong configuration is refused before any work, in one line."""

import importlib.util
import json
import pathlib

import pytest

from bitzero_jax import build, config_checks
from bitzero_jax import config as config_lib
from bitzero_jax.config import default, from_dict, to_json
from bitzero_jax.config_checks import CHOICES, KERNELS, TERNARY, validate
from bitzero_jax.config_checks.entries import ENTRIES
from bitzero_jax.curriculum.pool import EVICTION
from bitzero_jax.curriculum.table import CURRICULA
from bitzero_jax.language.levels import LEVELS
from bitzero_jax.learn.reward import LEARNABILITY
from bitzero_jax.quant.digits import STORED_BITS
from bitzero_jax.quant.table import QUANTIZERS, make
from pallas_kernels.ternary_matmul import api


def changed(**changes):
  config = default()
  for path, value in changes.items():
    *rooms, field = path.split("__")
    place = config
    for room in rooms:
      place = place[room]
    place[field] = value
  return config


def complaint(config):
  with pytest.raises(ValueError) as caught:
    validate(config)
  message = str(caught.value)
  assert "\n" not in message
  return message


def test_the_default_is_valid():
  validate(default())


@pytest.mark.parametrize("path", CHOICES)
def test_each_choice_is_one_of_those_allowed(path):
  message = complaint(changed(**{path.replace(".", "__"): "nonsense"}))
  assert message.startswith(f"{path}='nonsense' ")
  assert all(name in message for name in CHOICES[path])
  for name in CHOICES[path]:
    config = changed(**{path.replace(".", "__"): name})
    config.learn.updates = 32
    config.curriculum.lengths = (0, 1)  # one of the curricula needs them
    config.solve.fresh_rows = config.propose.candidates // 3
    if name == "packed":
      config.quant.product = "integer"
    validate(config)


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"rollout": "packed"}, "quant.product='float' must be 'integer'"),
    (
      {"quant__product": "integer", "quant__activations": "none"},
      "quant.activations='none' must be 'int8'",
    ),
    (
      {"quant__product": "integer", "quant__weights": "identity"},
      "quant.weights='identity' has no codes",
    ),
    (
      {"quant__product": "integer", "precision__ramp_weights": 0.5},
      "precision.ramp_weights=0.5",
    ),
    (
      {"quant__product": "integer", "precision__budget": 2.6},
      "precision.allocator='learned'",
    ),
    (
      {
        "rollout": "packed",
        "quant__product": "integer",
        "quant__weights": "int4",
      },
      "quant.weights='int4' must be one of absmean, digits",
    ),
  ],
)
def test_integers_and_packed_rollouts_need_codes(changes, said):
  assert complaint(changed(**changes)).startswith(said)


@pytest.mark.parametrize(
  ("kernel", "platform", "said"),
  [
    (
      "triton_dot",
      "tpu",
      "'triton_dot' runs on a gpu, and this process has a tpu",
    ),
    ("triton_gemv", "gpu", "'triton_gemv' takes at most 8 rows"),
  ],
)
def test_a_kernel_that_cannot_sample_is_refused(kernel, platform, said):
  changes = {"rollout": "packed", "quant__kernel": kernel}
  with pytest.raises(ValueError, match=f"quant.kernel={said}"):
    build.check_kernel(changed(**changes), platform)
  build.check_kernel(changed(quant__kernel=kernel), platform)
  for able in ("auto", "base", "triton_dot"):
    changes["quant__kernel"] = able
    build.check_kernel(changed(**changes), "gpu")


def test_names_of_kernels_are_those_that_dispatch_knows():
  assert (api.AUTO, *api.IMPLEMENTATIONS) == KERNELS
  ternary = {n for n in QUANTIZERS if make(n).spec.planes}
  assert set(TERNARY) == ternary & set(CHOICES["quant.weights"])


def test_names_here_are_the_names_in_the_tables():
  by_precision = {
    "adaptive",
    "allocated",
    "nested",
  }  # whose planes somebody must move
  assert set(CHOICES["quant.weights"]) == set(QUANTIZERS) - by_precision
  assert set(CHOICES["pool.eviction"]) == set(EVICTION)
  assert set(CHOICES["curriculum.learnability"]) == set(LEARNABILITY)
  assert set(CHOICES["curriculum.name"]) == set(CURRICULA)
  assert tuple(LEVELS) == config_checks.LEVELS
  assert STORED_BITS[1] == config_checks.SMALLEST_BITS


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"language__levels": ("tiny",)}, ["'tiny'", "small, medium, large, full"]),
    ({"language__levels": ("small", "full")}, ["language.widen_at=()"]),
    (
      {
        "language__levels": ("small", "full", "full"),
        "language__widen_at": (20, 10),
      },
      ["language.widen_at=(20, 10)", "not decrease"],
    ),
    (
      {
        "language__levels": ("small", "full"),
        "language__widen_at": (10,),
        "language__widen_rate": 0.3,
      },
      ["language.widen_at=(10,)", "empty", "language.widen_rate=0.3"],
    ),
    ({"language__widen_rate": 1.5}, ["language.widen_rate=1.5", "[0.0, 1.0]"]),
    (
      {
        "language__levels": ("small", "full"),
        "language__widen_rate": 0.3,
        "propose__model_share": 1.0,
      },
      ["propose.measured=0", "language.widen_rate=0.3"],
    ),
    ({"language__widen_rounds": 0}, ["language.widen_rounds=0", "above 0"]),
    (
      {"language__shown": 5, "language__pairs": 5},
      ["language.shown + language.hidden = 7", "language.pairs=5"],
    ),
    ({"language__shown": 0}, ["language.shown=0"]),
    ({"language__spare": -1}, ["language.spare=-1"]),
    ({"propose__candidates": 97}, ["propose.candidates=97", "of 3"]),
    ({"propose__measured": 4}, ["propose.measured=4", "of 3"]),
    (
      {
        "probe__method": "samples",
        "solve__fresh_rows": 128,
        "propose__measured": 3,
      },
      ["propose.measured=3", "probe.method='samples'"],
    ),
    ({"propose__model_share": 1.5}, ["propose.model_share=1.5", "[0.0, 1.0]"]),
    ({"propose__temperature": 0.0}, ["propose.temperature=0.0", "above 0"]),
    ({"solve__temperature": -1.0}, ["solve.temperature=-1.0", "above 0"]),
    ({"learn__rows": (1, 2)}, ["learn.rows=(1, 2)", "three"]),
    ({"learn__rows": (1, 2, -1)}, ["learn.rows=(1, 2, -1)"]),
    ({"learn__rows": (1, 2, "3")}, ["learn.rows=(1, 2, '3')"]),
    ({"seed": -1}, ["seed=-1", "[0, 4294967295]"]),
    ({"seeds": 0}, ["seeds=0", "[1, 64]"]),
    ({"seeds": 2}, ["wiring='callback'", "'host'", "seeds=2"]),
    (
      {"seeds": 2, "wiring": "host", "mesh__fsdp": 2},
      ["mesh.data * mesh.fsdp * mesh.tensor = 2", "must be 1", "seeds=2"],
    ),
    (
      {"seeds": 2, "wiring": "host", "seed": 4294967295},
      ["seed=4294967295", "[0, 4294967294]"],
    ),
    ({"learn__updates": 7}, ["learn.updates=7", "multiple"]),
    ({"precision__budget": 1.5}, ["precision.budget=1.5", "2.0625"]),
    (
      {"precision__budget": 2.6, "precision__planes": (1,)},
      ["budget=2.6 and planes=(1,)"],
    ),
    (
      {"precision__planes": (1,), "precision__depths": (1, 2)},
      ["planes=(1,) and depths=(1, 2)"],
    ),
    (
      {"precision__planes": (3, 1)},
      ["precision.planes_at=()", "precision.planes=(3, 1)"],
    ),
    (
      {"precision__planes": (3, 2, 1), "precision__planes_at": (0.5, 0.2)},
      ["precision.planes_at=(0.5, 0.2)", "not decrease"],
    ),
    ({"precision__planes": (6,)}, ["precision.planes=(6,)", "1 to 5"]),
    ({"precision__depths": (3, 1)}, ["precision.depths=(3, 1)", "higher"]),
    ({"precision__depths": (3,)}, ["precision.depths=(3,)", "two numbers"]),
    ({"precision__allocator": "best"}, ["precision.allocator='best'"]),
    ({"precision__most": 1}, ["precision.most=1", "[2, 5]"]),
    ({"precision__freeze": 1.5}, ["precision.freeze=1.5"]),
    (
      {"precision__groups": 4},
      ["precision.groups=4 must be 1", "precision.budget=0"],
    ),
    (
      {"precision__budget": 2.6, "precision__groups": 0},
      ["precision.groups=0", "above 0"],
    ),
    (
      {"precision__budget": 2.6, "precision__groups": 5},
      ["precision.groups=5 must divide model.width = 96"],
    ),
    (
      {"precision__budget": 2.6, "precision__groups": 3, "model__hidden": 160},
      ["precision.groups=3 must divide model.hidden = 160"],
    ),
    (
      {
        "precision__budget": 2.6,
        "precision__groups": 32,
        "model__kv_heads": 2,
      },
      ["precision.groups=32 must divide", "model.kv_heads = 48"],
    ),
    (
      {"precision__gap": 0.5, "curriculum__name": "trr"},
      ["precision.gap=0.5", "precision.depths"],
    ),
    (
      {
        "precision__gap": 0.5,
        "precision__depths": (1, 2),
        "curriculum__name": "random",
      },
      ["precision.gap=0.5", "'random'"],
    ),
    (
      {"precision__ramp_activations": 0.5, "quant__activations": "none"},
      ["quant.activations='none'", "precision.ramp_activations=0.5"],
    ),
    (
      {
        "precision__depths": (1, 2),
        "probe__method": "samples",
        "solve__fresh_rows": 128,
      },
      ["probe.method='samples'", "precision.depths=(1, 2)"],
    ),
    ({"learn__hindsight": -1.0}, ["learn.hindsight=-1.0"]),
    ({"learn__shown_weight": -1.0}, ["learn.shown_weight=-1.0"]),
    ({"learn__confidence_weight": 1.5}, ["learn.confidence_weight=1.5"]),
    ({"solve__fresh_rows": 0}, ["solve.fresh_rows=0"]),
    ({"solve__fresh_rows": 1000}, ["solve.fresh_rows=1000"]),
    (
      {"probe__method": "samples", "solve__fresh_rows": 1},
      ["probe.method='samples'", "solve.fresh_rows=1"],
    ),
    (
      {
        "probe__method": "samples",
        "solve__fresh_rows": 128,
        "curriculum__name": "progress",
      },
      ["probe.method='samples'", "'gold'", "curriculum.name='progress'"],
    ),
    ({"curriculum__decay": 1.5}, ["curriculum.decay=1.5", "[0.0, 1.0]"]),
    ({"model__width": 100}, ["model.width=100", "8"]),
    ({"model__kv_heads": 3}, ["model.kv_heads=3", "model.heads=4"]),
    ({"quant__planes": 6}, ["quant.planes=6", "[1, 5]"]),
    ({"mesh__data": 5}, ["mesh.tensor = 5", "propose.candidates + "]),
    ({"mesh__fsdp": 5}, ["mesh.fsdp=5 must divide model.width = 96"]),
    ({"mesh__tensor": 3}, ["mesh.tensor=3 must divide model.heads=4"]),
    ({"rounds": 0}, ["rounds=0", "above 0"]),
    (
      {"curriculum__name": "length_matched"},
      ["curriculum.lengths=()", "a weight above 0", "--lengths ARM"],
    ),
    ({"curriculum__lengths": (1, -1)}, ["curriculum.lengths=(1, -1)"]),
    ({"heldout__bar_share": 2.0}, ["heldout.bar_share=2.0", "[0.0, 1.0]"]),
    ({"optimizer__learning_rate": float("nan")}, ["optimizer.learning_rate"]),
    ({"optimizer__schedule": "wsd"}, ["optimizer.schedule='wsd'", "two_stage"]),
    ({"optimizer__decay_until": 1.5}, ["optimizer.decay_until=1.5", "1.0]"]),
    ({"optimizer__second_stage_share": -1.0}, ["second_stage_share=-1.0"]),
    (
      {"optimizer__schedule": "two_stage", "optimizer__warmup": 1920},
      ["optimizer.second_stage_at=0.5", "update 1920", "warmup=1920"],
    ),
    (
      {"optimizer__schedule": "two_stage", "optimizer__second_stage_at": 1.0},
      ["optimizer.second_stage_at=1.0", "of 3840", "before the end"],
    ),
    ({"practice__programs": 128}, ["practice.programs=128", "of 256"]),
    ({"practice__programs": 0}, ["practice.programs=0", "of 256"]),
    ({"practice__programs": -256}, ["practice.programs=-256"]),
    ({"practice__edit_share": 1.5}, ["practice.edit_share=1.5", "[0.0, 1.0]"]),
    ({"practice__resume_share": -0.1}, ["practice.resume_share=-0.1"]),
    ({"practice__resume_share": float("nan")}, ["practice.resume_share=nan"]),
    ({"practice__kept": 0}, ["practice.kept=0", "above 0"]),
    ({"practice__sharpness": -1.0}, ["practice.sharpness=-1.0", "100.0]"]),
    ({"practice__updates": 0}, ["practice.updates=0", "above 0"]),
    ({"practice__rows": (1, 2)}, ["practice.rows=(1, 2)", "three"]),
    ({"practice__rows": (0, 0, 0)}, ["practice.rows=(0, 0, 0)", "above 0"]),
    ({"practice__learning_rate": 0.0}, ["practice.learning_rate=0.0"]),
    ({"practice__learning_rate": float("nan")}, ["practice.learning_rate=nan"]),
  ],
)
def test_what_does_not_fit_is_named(changes, words):
  message = complaint(changed(**changes))
  assert all(word in message for word in words), message


def leaves(room, path=""):
  for name, value in room.items():
    if isinstance(value, dict):
      yield from leaves(value, f"{path}{name}.")
    else:
      yield path + name, value


TUPLES = [k for k, v in leaves(default().to_dict()) if type(v) is tuple]
FLOATS = [k for k, v in leaves(default().to_dict()) if type(v) is float]


def test_entries_of_every_tuple_are_checked():
  assert set(ENTRIES) == set(TUPLES)


@pytest.mark.parametrize("path", TUPLES)
def test_entries_of_another_type_are_named(path):
  others = [None, (1,), {"a": 1}, True, 1j, float("nan"), float("inf")]
  others.append(1 if path == "language.levels" else "a")
  if ENTRIES[path][1] == "finite numbers":
    others.append(10**400)
  for other in others:
    for value in ((other,), (1, other), (1, other, "small")):
      message = complaint(changed(**{path.replace(".", "__"): value}))
      assert message.startswith(f"{path}={value!r} must hold ")


@pytest.mark.parametrize("path", FLOATS)
def test_every_number_is_finite(path):
  for value in ("nan", "inf", "-inf"):
    config = changed(**{path.replace(".", "__"): float(value)})
    assert complaint(config) == f"{path}={value} must be finite"


def test_rows_are_dealt_out_evenly_to_the_updates():
  sizes = {
    "propose__candidates": 96,
    "solve__fresh_rows": 32,
    "learn__updates": 16,
    "propose__model_share": 0.5,
  }
  validate(changed(**sizes))
  message = complaint(changed(**{**sizes, "propose__model_share": 0.25}))
  assert "propose.candidates * propose.model_share = 24" in message
  for name in set(CURRICULA) - set(
    config_checks.REINFORCED
  ):  # none to deal out
    unlike = {"propose__model_share": 0.25, "curriculum__name": name}
    unlike["curriculum__lengths"] = (0, 1)  # one of them needs them
    validate(changed(**{**sizes, **unlike}))
  message = complaint(changed(**sizes, solve__buffer_rows=1))
  assert "= 33 must be a multiple of learn.updates=16" in message


def test_a_configuration_survives_json():
  config = changed(
    seed=7, learn__rows=(1, 2, 3), optimizer__name="adamw", wiring="host"
  )
  text = to_json(config)
  assert text.endswith("}\n")
  back = from_dict(json.loads(text))
  assert back.to_dict() == config.to_dict()
  assert type(back.learn.rows) is tuple
  assert to_json(back) == text


def test_saved_keys_that_do_not_fit_are_refused():
  saved = json.loads(to_json(default()))
  for spoil, words in (
    (lambda s: s.update(speed=1), ["speed", "top level"]),
    (lambda s: s["learn"].update(rate=1), ["rate", "learn"]),
    (lambda s: s["pool"].pop("capacity"), ["missing", "pool.capacity"]),
    (lambda s: s.pop("seed"), ["missing", "seed"]),
    (lambda s: s["model"].update(activation="gelu"), ["model.activation"]),
  ):
    copy = json.loads(json.dumps(saved))
    spoil(copy)
    with pytest.raises(ValueError) as caught:
      from_dict(copy)
    assert all(word in str(caught.value) for word in words)


def test_keys_that_an_earlier_version_had_not_take_their_defaults():
  saved = json.loads(to_json(changed(seed=5, pool__capacity=64)))
  saved["pool"].pop("eviction")
  saved.pop("precision")
  saved["devices"] = 1  # that it had and this one has not
  config, missing = config_lib.of_a_run(saved)
  assert missing == ["precision", "pool.eviction"]
  assert config.to_dict() == changed(seed=5, pool__capacity=64).to_dict()
  with pytest.raises(ValueError, match="unknown"):
    config_lib.of_a_run(saved | {"speed": 1})
  with pytest.raises(ValueError, match=r"must be a group of keys, not \[\]"):
    config_lib.of_a_run([])


def test_updates_are_counted_over_the_whole_run():
  assert config_lib.total_updates(changed(rounds=5, learn__updates=4)) == 20


@pytest.mark.parametrize(
  ("changes", "first"),
  [
    ({}, 0),
    ({"precision__freeze": 0.9}, 0),  # there is no budget
    ({"precision__budget": 3.0, "precision__freeze": 0.5}, 10),
    ({"precision__ramp_weights": 0.25}, 5),
    ({"precision__ramp_activations": 1.0}, 20),
    (
      {
        "precision__planes": (3, 2, 1),
        "precision__planes_at": (0.25, 0.5),
        "precision__ramp_weights": 0.3,
      },
      10,
    ),
    ({"precision__depths": (1, 3)}, 0),
  ],
)
def test_precision_is_settled_once_nothing_moves_it(changes, first):
  config = changed(rounds=5, learn__updates=4, **changes)
  settled = [config_lib.settled(config, updates) for updates in range(21)]
  assert settled == [updates >= first for updates in range(21)]


EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"


@pytest.mark.parametrize(
  "path", sorted(EXPERIMENTS.rglob("*.py")), ids=lambda path: path.stem
)
def test_every_experiment_is_valid_and_named(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  validate(config)
  assert config.name != default().name


def test_each_seed_has_the_config_of_a_run_alone():
  config = changed(seeds=3, seed=5, wiring="host")
  found = config_lib.of_each_seed(config)
  assert [(one.seed, one.seeds) for one in found] == [(5, 1), (6, 1), (7, 1)]
  assert found[1] == changed(seed=6, wiring="host")
  assert (config.seed, config.seeds) == (5, 3)
