"""In llama.cpp itself: the same logits, the same answers."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build, in_llama, shipped, trained
from bitzero_jax.export import engine, gguf, vocabulary
from bitzero_jax.export import model as model_lib
from bitzero_jax.export.listener import Listener
from bitzero_jax.language import layout, levels, prior, render
from bitzero_jax.state import KINDS

pytestmark = pytest.mark.slow
llama = pytest.importorskip(
  "bitzero_jax.export.llama", reason="needs the extra `engine`"
)
pytest.importorskip("llama_cpp", reason="needs the extra `engine`")

ROWS, COLUMNS = 24, 8


def relative(got, wanted):
  """Root mean square of the difference over that of what is wanted."""
  difference = np.sqrt(np.mean(np.square(got - wanted)))
  return difference / np.sqrt(np.mean(np.square(wanted)))


def rows(padded):
  """Rows of a language's tokens, with gaps where `padded`."""
  rng = np.random.default_rng(5)
  drawn = rng.integers(1, 250, (ROWS, COLUMNS)).astype(np.int32)
  if padded:
    drawn[:, :-1][rng.random((ROWS, COLUMNS - 1)) < 0.3] = 0
  return drawn


def in_llama_cpp(path, tokens):
  """Logits and the inputs of products, of every row."""
  with Listener(path, COLUMNS) as opened:
    pairs = [opened.hear(row) for row in tokens.tolist()]
  logits, heard = zip(*pairs, strict=True)
  return np.stack(logits), jax.tree.map(lambda *rows: np.stack(rows), *heard)


def per_token(model, placed, tokens):
  """The forward pass of training, with the embedding that the file holds."""
  network = build.build_shipped_network(model.config)
  table = engine.embedding(placed[gguf.EMBEDDING])
  held = model._replace(others=model.others | {gguf.EMBEDDING: table})
  logits = jax.jit(lambda w, t: network.logits(w, t, COLUMNS))
  return np.asarray(logits(model_lib.weights(held), jnp.asarray(tokens)))


def differences(model, path, options, padded):
  """Of each row, from engine mode alone and by what it heard; per token."""
  placed = gguf.place(model, **options)
  gguf.write(model, placed, path, context=COLUMNS)
  tokens = rows(padded)
  got, heard = in_llama_cpp(path, tokens)
  forward = engine.forward(model, placed, COLUMNS)
  real = tokens != 0
  return [
    np.array(
      [relative(got[i][real[i]], wanted[i][real[i]]) for i in range(ROWS)]
    )
    for wanted in (
      forward(tokens),
      forward(tokens, heard),
      per_token(model, placed, tokens),
    )
  ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A run of a few rounds, at a size that TQ2_0 holds."""
  folder = tmp_path_factory.mktemp("engine") / "run"
  command = [
    *("bitzero_jax.main", "train", "--config=experiments/smoke.py"),
    *(f"--workdir={folder}", "--config.rounds=40"),
    *("--config.model.width=256", "--config.model.hidden=256"),
    *("--config.optimizer.warmup=20", "--config.learn.updates=16"),
    "--config.curriculum.name=random",
    *("--config.heldout.candidates=14336", "--config.heldout.tasks=100"),
  ]
  subprocess.run([sys.executable, "-m", *command], check=True, timeout=900)
  return folder


@pytest.fixture(scope="module")
def learned(run):
  return shipped.open_model(str(run), "last", None)


# A code in the middle between two tips by a rounding of float32 and moves its
# row by up to a percent; such ties are broken as llama.cpp broke them. Without
# that most rows have none.
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("wanted", ["auto", "tq1_0", "q4_0", "q5_0", "q8_0"])
def test_a_trained_model_has_the_logits_of_jax(
  learned, tmp_path, wanted, padded
):
  options = {"wanted": wanted}
  alone, heard, close = differences(
    learned, tmp_path / "x.gguf", options, padded
  )
  assert heard.max() < 1e-5
  assert np.mean(alone < 1e-4) > 0.75
  assert alone.max() < 3e-2
  assert root_mean_square(close) < 3e-2


def root_mean_square(each):
  return np.sqrt(np.mean(np.square(each)))


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("width", [256, 96])
@pytest.mark.parametrize("embedding", ["q8_0", "f32"])
def test_mixed_precision_has_the_logits_of_jax(
  small_config, mixed_model, tmp_path, width, embedding, padded
):
  model = mixed_model(small_config(width=width, hidden=2 * width))
  options = {"embedding": embedding}
  alone, heard, close = differences(model, tmp_path / "x.gguf", options, padded)
  assert heard.max() < 1e-5
  assert np.mean(alone < 1e-4) > 0.5
  assert root_mean_square(close) < 3e-2


def test_a_row_that_has_no_room_is_refused(small_config, mixed_model, tmp_path):
  model = mixed_model(small_config())
  gguf.write(model, gguf.place(model), tmp_path / "x.gguf", context=COLUMNS)
  with (
    llama.Engine(tmp_path / "x.gguf", COLUMNS) as opened,
    pytest.raises(
      ValueError, match="row of 9 columns is longer than columns=8"
    ),
  ):
    opened.read([5] * 9)


def test_a_graph_with_other_inputs_is_told(small_config, mixed_model, tmp_path):
  model = mixed_model(small_config())
  gguf.write(model, gguf.place(model), tmp_path / "x.gguf", context=COLUMNS)
  with Listener(tmp_path / "x.gguf", COLUMNS) as opened:
    assert opened.hear([0, 0])[1] == {}
    assert set(opened.hear([5, 6])[1]) == opened._names
    opened._names.add("attn_norm-2")
    with pytest.raises(
      RuntimeError, match="other inputs than ours: attn_norm-2"
    ):
      opened.hear([5, 6])


@pytest.mark.parametrize(("width", "layers"), [(256, 6), (512, 4)])
def test_a_deep_model_has_the_logits_of_jax(
  small_config, mixed_model, tmp_path, width, layers
):
  """Most of its rows have a tie; per token, see `engine_test`."""
  config = small_config(width=width, hidden=768, model__layers=layers)
  model = mixed_model(config)
  alone, heard, _ = differences(model, tmp_path / "x.gguf", {}, False)
  assert heard.max() < 1e-5
  assert alone.max() < 5e-2


def test_what_was_heard_excuses_no_wrong_weight(
  small_config, mixed_model, tmp_path
):
  model = mixed_model(small_config(width=256, hidden=512))
  placed, path = gguf.place(model), tmp_path / "x.gguf"
  gguf.write(model, placed, path, context=COLUMNS)
  tokens = rows(False)
  got, heard = in_llama_cpp(path, tokens)
  name = "layers_1/mlp/up_proj/kernel"
  codes = model.matrices[name].codes.copy()
  codes[:, 3] = -codes[:, 3]  # one of 512 outputs
  matrices = model.matrices | {name: model.matrices[name]._replace(codes=codes)}
  forward = engine.forward(
    model._replace(matrices=matrices), gguf.place(model), COLUMNS
  )
  off = forward(tokens, heard)
  each = [relative(g, w) for g, w in zip(got, off, strict=True)]
  assert np.median(each) > 1e-3


def test_text_is_read_as_the_tokens_and_nothing_else(
  small_config, shipped_model, tmp_path
):
  import llama_cpp

  model = shipped_model(small_config())
  path = tmp_path / "x.gguf"
  gguf.write(model, gguf.place(model), path, context=COLUMNS)
  opened = llama_cpp.Llama(str(path), n_ctx=256, verbose=False)
  every = list(range(len(vocabulary.words())))
  np.random.default_rng(0).shuffle(every)
  text = vocabulary.text(every).encode()
  assert opened.tokenize(text, add_bos=False, special=True) == every
  said = [t for t in every if not vocabulary.is_control(t)]
  assert opened.detokenize(said) == vocabulary.text(said).encode()
  strange = opened.tokenize(b"what is this?", add_bos=False)
  assert set(strange) == {vocabulary.END}
  opened.close()


@pytest.mark.parametrize("name", ["small", "full"])
def test_answers_are_whole_and_of_the_language(
  small_config, shipped_model, tmp_path, name
):
  level = levels.LEVELS[name]
  model = shipped_model(small_config())
  path = tmp_path / "x.gguf"
  gguf.write(model, gguf.place(model), path, context=COLUMNS)
  tables = levels.build(level)
  plan = layout.argument_plan(jax.tree.map(jnp.asarray, tables), 1)
  given = prior.sample(tables, plan, jax.random.key(1), 12, 12)
  prompt = [*np.asarray(given)[0].tolist(), 4]
  with llama.Engine(path, 512) as opened:
    for start in ("value", "argument", "program"):
      text = vocabulary.gbnf(level, start)
      found = opened.answers(prompt, text, 200, range(20))
      again = opened.answers(prompt, text, 200, range(20))
      assert found == again
      assert len({tuple(tokens) for tokens in found}) > 5
      for tokens in found:
        if start == "program":
          # The grammar alone bounds no length, and an untrained model has none.
          assert len(tokens) == 200 or render.source(tuple(tokens))
        else:
          value = render.value_text(tuple(tokens))
          assert value.count(",") < level.items
      (greedy,) = opened.answers(prompt, text, 200)
      assert [greedy] == opened.answers(prompt, text, 200)


def test_accuracies_are_those_of_jax(run, learned, tmp_path):
  path = tmp_path / "x.gguf"
  gguf.write(learned, gguf.place(learned), path, context=COLUMNS)
  with in_llama.opened(path) as model:
    found = in_llama.evaluate(model, "heldout").scores
  with trained.opened(run, "last") as model:
    wanted = trained.evaluate(model, "heldout", None, None).scores
  assert found["tasks"] == wanted["tasks"]
  rate, rate_in_jax = (
    np.mean([scores[kind] for kind in KINDS]) for scores in (found, wanted)
  )
  assert rate_in_jax > 0.1  # it has learned something
  assert abs(rate - rate_in_jax) <= 0.01


def test_a_file_that_llama_does_not_open_is_refused(tmp_path):
  (tmp_path / "x.gguf").write_bytes(b"GGUF and then nothing")
  with pytest.raises(ValueError, match=r"llama\.cpp does not open it"):
    llama.Engine(tmp_path / "x.gguf", 8)
  with pytest.raises(FileNotFoundError):
    llama.Engine(tmp_path / "nowhere.gguf", 8)
