"""A run leaves as files that evaluate and solve, or nothing is written."""

import json

import pytest

PAIR = "[3,1,2]->[1,2,3]"


def refused(done):
  """The one line that a refusal is."""
  assert done.returncode == 2, done.stderr
  assert done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert line.startswith("bitzero: ")
  return line


@pytest.fixture(scope="module")
def packed(bitzero, straight, tmp_path_factory):
  path = tmp_path_factory.mktemp("packed") / "model"
  done = bitzero(
    "export", "--format=packed", f"--workdir={straight}", f"--out={path}"
  )
  assert done.returncode == 0, done.stderr
  assert f"{path}: {path.stat().st_size:,} bytes, 7 kernels" in done.stdout
  return path


@pytest.mark.slow
def test_a_packed_file_scores_and_solves_as_its_run(bitzero, straight, packed):
  for command in (["evaluate", "--json"], ["solve", PAIR, "--samples=20"]):
    of_run = bitzero(*command, f"--workdir={straight}")
    of_file = bitzero(*command, f"--model={packed}")
    assert of_file.returncode == of_run.returncode
    assert of_file.stderr == ""
    assert of_file.stdout == of_run.stdout


def test_a_packed_file_leaves_as_any_other(bitzero, packed, tmp_path):
  command = ["export", f"--model={packed}"]
  done = bitzero(*command, "--format=gbnf", f"--out={tmp_path / 'x.gbnf'}")
  assert done.returncode == 0, done.stderr
  assert (tmp_path / "x.gbnf").read_text().startswith("root ::= program\n")
  folder = tmp_path / "theirs"
  done = bitzero(*command, "--format=huggingface", f"--out={folder}")
  assert done.returncode == 0, done.stderr
  config = json.loads((folder / "config.json").read_text())
  assert config["quantization_config"]["linear_class"] == "autobitlinear"
  file = tmp_path / "x.gguf"
  done = bitzero(
    *(*command, "--format=gguf", f"--out={file}"),
    *("--type=f16", "--embedding=f16"),
  )
  assert done.returncode == 0, done.stderr
  assert "7 kernels as F16" in done.stdout
  assert file.read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize(
  ("options", "said"),
  [
    (["--format=onnx"], "invalid choice: 'onnx'"),
    (["--format=gguf"], "model.hidden=16 must be a multiple of 32"),
    (
      ["--format=gguf", "--type=q2_k"],
      "--type=q2_k must be one of auto,",
    ),
    (["--format=gguf", "--embedding=q4_0"], "--embedding=q4_0 must be one of"),
    (["--format=packed", "--type=f16"], "--type=f16 needs --format=gguf"),
  ],
)
def test_a_wrong_export_is_refused(bitzero, packed, tmp_path, options, said):
  done = bitzero(
    "export", f"--model={packed}", f"--out={tmp_path / 'x'}", *options
  )
  assert said in refused(done)
  assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(bitzero, packed, tmp_path):
  command = ["export", f"--model={packed}"]
  done = bitzero(*command, "--format=packed", f"--out={tmp_path}")
  assert "is a folder" in refused(done)
  done = bitzero(*command, "--format=gguf", f"--out={tmp_path / 'no' / 'x'}")
  assert "no is not a folder" in refused(done)
  done = bitzero(*command, "--format=huggingface", f"--out={tmp_path}")
  assert "exists" in refused(done)


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["evaluate"], "needs --workdir=RUN or --model=FILE, one of them"),
    (["evaluate", "--workdir=x", "--model=y"], "one of them"),
    (["evaluate", "--model=y", "--save"], "--save needs --workdir=RUN"),
    (["evaluate", "--model=y", "--dynamic"], "--dynamic needs --workdir=RUN"),
    (["solve", PAIR, "--model=y", "--practice=1"], "--practice needs"),
    (["solve", PAIR, "--model=y", "--checkpoint=best"], "--checkpoint needs"),
    (["solve", PAIR, "--model=nowhere"], "nowhere: No such file"),
    (["export", "--out=x", "--format=packed"], "one of them"),
  ],
)
def test_a_model_comes_from_one_place(bitzero, arguments, said):
  assert said in refused(bitzero(*arguments))


@pytest.mark.parametrize("verb", ["evaluate", "solve"])
def test_a_file_that_is_no_model_is_refused(bitzero, packed, tmp_path, verb):
  command = [verb, *([PAIR] if verb == "solve" else [])]
  data = packed.read_bytes()
  for name, broken, said in (
    ("short", data[: len(data) // 2], "was cut short"),
    ("flipped", data[:-1] + bytes([data[-1] ^ 1]), "checksum mismatch in"),
    ("other", b"what is this?", "is no packed model"),
    ("gguf", b"GGUF and nothing more", "is no GGUF file, or was cut short"),
  ):
    path = tmp_path / name
    path.write_bytes(broken)
    assert said in refused(bitzero(*command, f"--model={path}"))
