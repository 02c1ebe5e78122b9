"""A packed file is the run's model, bit for bit, or it is refused."""

import hashlib
import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax.export import model as model_lib
from bitzero_jax.export import packed

QUANTIZERS = [
  {},
  {"quant__weights": "digits", "quant__planes": 3},
  {"quant__weights": "int8"},
  {"quant__weights": "identity"},
  {"precision__depths": (1, 2)},
  {"precision__budget": 2.6, "precision__allocator": "random"},
  {"precision__ramp_weights": 0.4, "precision__ramp_activations": 0.4},
]


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("changes", QUANTIZERS, ids=str)
def test_its_weights_are_those_of_training(small_config, tmp_path, changes):
  config = small_config(model__layers=1, **changes)
  network = build.build_network(config)
  params = jax.jit(network.init)(jax.random.key(3))
  moves = build.build_precision(config)
  if moves is not None:
    end = jnp.float32(1)
    params = moves.start(params, jax.random.key(4))
    params = moves.advance(params, end, {})
  model = model_lib.of_params(
    config,
    5,
    params,
    build.build_quantizer(config),
    build.build_choice(config, params),
  )
  packed.write(model, tmp_path / "model")
  read = packed.read(tmp_path / "model")
  assert (read.config, read.round) == (config, 5)
  trained = dict(jax.jit(network.weights)(params))
  trained.pop("activation_share", None)
  same(model_lib.weights(read), trained)


@pytest.fixture(scope="module")
def file(tmp_path_factory, mixed_model, small_config):
  path = tmp_path_factory.mktemp("packed") / "model"
  packed.write(mixed_model(small_config()), path)
  return path


def test_planes_differ_by_tensor_and_are_in_the_manifest(
  file, mixed_model, small_config, tmp_path
):
  model = mixed_model(small_config())
  manifest = packed.write(model, tmp_path / "again")
  same(
    {
      path: (m.codes, m.scale) for path, m in packed.read(file).matrices.items()
    },
    {path: (m.codes, m.scale) for path, m in model.matrices.items()},
  )
  rows = manifest["tensors"]
  for path, matrix in model.matrices.items():
    inputs, outputs = matrix.codes.shape
    planes = matrix.spec.planes
    assert rows[path]["planes"] == planes
    assert rows[path]["shape"] == [inputs, outputs]
    assert rows[path]["bytes"] == planes * outputs * inputs // 4 + 4
    assert len(rows[path]["sha256"]) == 64
  assert {row["planes"] for row in rows.values() if "planes" in row} == {
    1,
    2,
    3,
    4,
    5,
  }
  (left,) = tmp_path.iterdir()
  assert left.name == "again"


def change_header(path, into, where):
  """A copy whose header is changed by `where`, its data kept."""
  data = path.read_bytes()
  (size,) = struct.unpack("<Q", data[:8])
  header = json.loads(data[8 : 8 + size])
  where(header)
  text = json.dumps(header).encode()
  into.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize("kept", [0, 4, 100, -1, -1000])
def test_a_truncated_file_is_refused(file, tmp_path, kept):
  short = tmp_path / "short"
  short.write_bytes(file.read_bytes()[:kept])
  with pytest.raises(ValueError, match="is no packed model, or was cut short"):
    packed.read(short)


def test_a_flipped_bit_is_found_and_its_tensor_named(file, tmp_path):
  data = bytearray(file.read_bytes())
  data[-3] ^= 1
  (tmp_path / "bad").write_bytes(data)
  with pytest.raises(ValueError, match=r"checksum mismatch in [a-z_0-9/]+"):
    packed.read(tmp_path / "bad")


def drop(header):
  del header["__metadata__"]


def forge(header):
  text = header["__metadata__"]["bitzero"]
  header["__metadata__"]["bitzero"] = text.replace('"round": 7', '"round": 8')


def rename(header):
  header["norm/other"] = header.pop("norm/scale")


def retype(header):
  header["norm/scale"]["dtype"] = "I32"


def reshape(header):
  header["norm/scale"]["shape"] = [4, 8]


def reshape_planes(header):
  (name, *_) = (name for name in header if name.endswith(".planes"))
  header[name]["shape"] = header[name]["shape"][::-1]


def reshape_scale(header):
  (name, *_) = (name for name in header if name.endswith("kernel.scale"))
  header[name]["shape"] = [1]


def scramble(header):
  digest = hashlib.sha256(b"{").hexdigest()
  header["__metadata__"] = {"bitzero": "{", "sha256": digest}


@pytest.mark.parametrize(
  ("how", "said"),
  [
    (drop, "is safetensors, but no packed model"),
    (forge, "checksum mismatch in its manifest"),
    (rename, "lacks the tensor norm/scale"),
    (retype, "norm/scale is int32, not float32"),
    (reshape, r"norm/scale has shape \[4, 8\], not \[32\]"),
    (reshape_planes, "kernel: packed must be"),
    (reshape_scale, r"the scale of .* has shape \(1,\), not \(\) or"),
    (scramble, "broken manifest: Expecting"),
  ],
)
def test_a_changed_header_is_refused(file, tmp_path, how, said):
  change_header(file, tmp_path / "bad", how)
  with pytest.raises(ValueError, match=said):
    packed.read(tmp_path / "bad")


def sign(header, manifest):
  text = json.dumps(manifest)
  digest = hashlib.sha256(text.encode()).hexdigest()
  header["__metadata__"] = {"bitzero": text, "sha256": digest}


KERNEL = "layers_0/mlp/gate_proj/kernel"


def quantizer(**fields):
  def change(manifest):
    manifest["tensors"][KERNEL]["quantizer"] |= fields

  return change


@pytest.mark.parametrize(
  ("change", "said"),
  [
    (lambda m: m.update(format=2), "has format 2, not 1"),
    (lambda m: m.pop("format"), "has format None, not 1"),
    (lambda m: m.update(round="7"), "broken manifest: round"),
    (lambda m: m.pop("config"), "broken manifest: config"),
    (lambda m: m.update(tensors=[]), "broken manifest: tensors"),
    (lambda m: m["tensors"][KERNEL].pop("shape"), f"manifest: {KERNEL}"),
    (lambda m: m["tensors"][KERNEL].pop("bytes"), f"manifest: {KERNEL}"),
    (lambda m: m["tensors"][KERNEL].update(shape="ab"), f"manifest: {KERNEL}"),
    (lambda m: m["tensors"][KERNEL].update(quantizer=1), "broken manifest: "),
    (lambda m: m["tensors"].pop("norm/scale"), "lacks norm/scale, by its con"),
    (lambda m: m["config"]["model"].update(layers=3), "lacks layers_2"),
    (
      lambda m: m["config"]["model"].update(width=64),
      r"shape .*, not \(250, 6",
    ),
    (lambda m: m["config"]["model"].update(activation="x"), "model.activation"),
    (lambda m: m["config"].update(model=3), "model=3 must be a group of keys"),
    (quantizer(name="other"), "other"),
    (quantizer(planes=9), "planes must be 1 to 5, got 9"),
    (quantizer(stored_bits=9.0), "its quantizer is none of this version"),
    (quantizer(more=9), "its quantizer must say name, planes"),
  ],
)
def test_another_manifest_is_refused_by_what_is_wrong(
  file, tmp_path, change, said
):
  def rewrite(header):
    manifest = json.loads(header["__metadata__"]["bitzero"])
    change(manifest)
    sign(header, manifest)

  change_header(file, tmp_path / "bad", rewrite)
  with pytest.raises(ValueError, match=said) as caught:
    packed.read(tmp_path / "bad")
  assert str(caught.value).startswith(f"--model={tmp_path / 'bad'}")


def test_what_is_no_file_of_this_kind_is_refused(tmp_path):
  other = tmp_path / "other"
  other.write_text("GGUF, or whatever else it may be, but not this")
  with pytest.raises(ValueError, match="is no packed model"):
    packed.read(other)
  with pytest.raises(FileNotFoundError):
    packed.read(tmp_path / "nowhere")


def test_a_place_that_cannot_be_written_is_refused(
  mixed_model, small_config, tmp_path
):
  model = mixed_model(small_config())
  with pytest.raises(ValueError, match="is a folder"):
    packed.write(model, tmp_path)
  with pytest.raises(ValueError, match="nowhere is not a folder"):
    packed.write(model, tmp_path / "nowhere" / "model")
  assert list(tmp_path.iterdir()) == []
