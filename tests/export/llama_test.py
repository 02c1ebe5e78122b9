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


def differences(model, path, options, padded):
  """Of each row, from the JAX forward in engine mode, and per token."""
  placed = gguf.place(model, **options)
  gguf.write(model, placed, path, context=COLUMNS)
  tokens = rows(padded)
  forward = engine.forward(model, placed)
  in_engine_mode = np.asarray(forward(jnp.asarray(tokens)))
  network = build.build_shipped_network(model.config)
  # Of the same model: with the embedding that the file holds.
  table = engine.embedding(placed[gguf.EMBEDDING])
  held = model._replace(others=model.others | {gguf.EMBEDDING: table})
  weights = model_lib.weights(held)
  per_token = np.asarray(
    jax.jit(lambda w, t: network.logits(w, t, COLUMNS))(
      weights, jnp.asarray(tokens)
    )
  )
  with llama.Engine(path, COLUMNS) as opened:
    got = np.stack([opened.read(row) for row in tokens.tolist()])
  real = tokens != 0
  return [
    np.array(
      [relative(got[i][real[i]], wanted[i][real[i]]) for i in range(ROWS)]
    )
    for wanted in (in_engine_mode, per_token)
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


# A rounding of float32 that tips one activation code over moves the rest of its
# row by a percent, so that a row is exact or it is not; most rows have no tie.
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("wanted", ["auto", "tq1_0", "q4_0", "q5_0", "q8_0"])
def test_a_trained_model_has_the_logits_of_jax(
  learned, tmp_path, wanted, padded
):
  options = {"wanted": wanted}
  exact, close = differences(learned, tmp_path / "x.gguf", options, padded)
  assert np.median(exact) < 1e-4
  assert exact.max() < 3e-2
  assert relative_mean(close) < 3e-2


def relative_mean(each):
  return np.sqrt(np.mean(np.square(each)))


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("width", [256, 96])
@pytest.mark.parametrize("embedding", ["q8_0", "f32"])
def test_mixed_precision_has_the_logits_of_jax(
  small_config, mixed_model, tmp_path, width, embedding, padded
):
  model = mixed_model(small_config(width=width, hidden=2 * width))
  options = {"embedding": embedding}
  exact, close = differences(model, tmp_path / "x.gguf", options, padded)
  assert np.median(exact) < 1e-4
  assert relative_mean(close) < 3e-2


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
