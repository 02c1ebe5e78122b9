"""Candidates: how many of which kind, by whom, from what."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import build
from bitzero_jax import config as config_lib
from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.language import grammar as g
from bitzero_jax.language import levels, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.propose import Proposer, nothing, propose
from bitzero_jax.state import EDIT, MODEL, PRIOR

SIZES = Sizes(program=8, value=7, shown=4, hidden=2, references=2)
PROPOSER = Proposer(
  sizes=SIZES,
  candidates=48,
  measured=0,
  model_share=0.5,
  edit_share=0.0,
  reinforced=True,
  imitated=True,
  inputs=5,
  temperature=1.0,
  uniform_budget=True,
)


@pytest.fixture(scope="module")
def run():
  config = config_lib.default()
  config.model.width, config.model.layers, config.model.hidden = 32, 1, 32
  net = build.build_network(config)
  weights = net.weights(net.init(jax.random.key(0)))
  tables = jax.tree.map(jnp.asarray, levels.build(levels.LEVELS["small"]))

  def go(pool, seed=0, **changes):
    proposer = PROPOSER._replace(**changes)
    return jax.jit(
      lambda pool, key: propose(proposer, net, weights, tables, pool, key)
    )(pool, jax.random.key(seed))

  return go


def pool(*programs):
  empty = pool_lib.empty(4, 6, 8, 7)
  rows = [render.pad(render.parse(p), 8) for p in programs]
  rows += [[0] * 8] * (4 - len(rows))
  held = empty.tasks.replace(program=jnp.array(rows, jnp.int32))
  return empty.replace(tasks=held, size=jnp.int32(len(programs)))


def test_half_are_the_models_and_types_are_equal(run):
  found, rollout, _ = run(pool())
  np.testing.assert_array_equal(found.kind, np.arange(48) % 3)
  np.testing.assert_array_equal(found.source, [MODEL] * 24 + [PRIOR] * 24)
  assert found.program.shape == (48, 8)
  assert found.inputs.shape == (48, 5, 7)
  assert rollout.answer.shape == (24, 15)
  joined = [
    render.strip(p) + render.strip(v)
    for p, v in zip(
      np.asarray(found.program), np.asarray(found.inputs[:, 0]), strict=True
    )
  ]
  for row, tokens in zip(np.asarray(rollout.answer), joined[:24], strict=True):
    assert render.strip(row) == tokens


def test_every_candidate_is_a_program_with_lists(run):
  found, _, _ = run(pool("sorted(x)"), seed=1)
  texts = set()
  for program, inputs in zip(
    np.asarray(found.program), np.asarray(found.inputs), strict=True
  ):
    tokens = render.strip(program)
    assert render.parse(render.source(tokens)) == tokens
    row = [render.value_text(render.strip(v)) for v in inputs]
    assert all(text[0] == "[" for text in row)
    texts |= set(row)
  assert len(texts) > 150


def test_edits_are_close_to_programs_of_the_pool(run):
  share = {"model_share": 0.0, "edit_share": 0.5}
  found, rollout, _ = run(pool("sorted(x)[1:]"), **share)
  assert rollout is None
  source = np.asarray(found.source)
  np.testing.assert_array_equal(source, [PRIOR] * 24 + [EDIT] * 24)
  texts = [render.source(render.strip(p)) for p in found.program[24:].tolist()]
  assert sum("sorted" in text for text in texts) > 12
  assert len(set(texts)) > 8
  nothing_held, _, _ = run(pool(), **share)
  assert (np.asarray(nothing_held.source) == PRIOR).all()
  assert (np.asarray(nothing_held.program)[:, 0] != g.PAD).all()


@pytest.mark.parametrize(("share", "rows"), [(0.0, 0), (1.0, 48), (0.3, 15)])
def test_the_share_decides_how_many_the_model_writes(run, share, rows):
  found, rollout, drafts = run(pool("sorted(x)"), model_share=share)
  assert PROPOSER._replace(model_share=share).model_rows == rows
  assert int((found.source == MODEL).sum()) == rows
  if rows:
    assert [leaf.shape[0] for leaf in jax.tree.leaves(rollout)] == [rows] * 4
    assert rollout.bias.shape[1:] == (15, g.VOCABULARY)
  padding = nothing(PROPOSER._replace(model_share=share))
  chex.assert_trees_all_equal_shapes_and_dtypes(
    (padding.candidates, padding.rollout, padding.drafts),
    (found, rollout, drafts),
  )
  assert (np.asarray(found.program)[:, 0] != g.PAD).all()


def test_prompts_show_programs_of_the_pool_alone(run):
  held = ("sorted(x)", "len(x[1:])", "[v + 1 for v in x]")
  _, rollout, _ = run(pool(*held))
  seen = set()
  for i, row in enumerate(np.asarray(rollout.prompt)):
    assert row[-1] == g.PROPOSE_DEDUCE + i % 3
    seen |= {render.strip(part) for part in row[:-1].reshape(2, 8)}
  assert seen == {render.parse(p) for p in held}
  _, rollout, _ = run(pool())
  assert (np.asarray(rollout.prompt)[:, :-2] == g.PAD).all()


def test_every_row_has_a_draft_that_asks_for_it(run):
  found, rollout, drafts = run(pool("sorted(x)", "len(x[1:])"))
  np.testing.assert_array_equal(drafts.prompt[:24], rollout.prompt)
  np.testing.assert_array_equal(drafts.answer[:24], rollout.answer)
  marker = g.PROPOSE_DEDUCE + np.arange(48) % 3
  np.testing.assert_array_equal(drafts.prompt[:, -1], marker)
  assert (np.asarray(drafts.prompt[:, :-1]) != g.PAD).any(1).all()
  length = (np.asarray(found.program) != g.PAD).sum(1)
  assert (length <= np.asarray(drafts.budget)).all()
  for answer, program in zip(drafts.answer, found.program, strict=True):
    written = render.strip(program.tolist())
    assert render.strip(answer.tolist())[: len(written)] == written


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0)])
def test_tasks_to_measure_come_last_and_from_the_prior(run, shares):
  model, edits = shares
  more = {"model_share": model, "edit_share": edits, "measured": 6}
  found, rollout, drafts = run(pool("sorted(x)"), **more)
  writer = MODEL if model else EDIT
  np.testing.assert_array_equal(found.source, [writer] * 48 + [PRIOR] * 6)
  assert (np.asarray(found.program)[:, 0] != g.PAD).all()
  padding = nothing(PROPOSER._replace(**more))
  chex.assert_trees_all_equal_shapes_and_dtypes(
    (padding.candidates, padding.rollout, padding.drafts),
    (found, rollout, drafts),
  )


def test_what_nobody_learns_from_is_not_kept(run):
  found, rollout, drafts = run(pool(), reinforced=False, imitated=False)
  assert rollout is None and drafts is None
  assert int((found.source == MODEL).sum()) == 24
  padding = nothing(PROPOSER._replace(reinforced=False, imitated=False))
  assert padding.rollout is None and padding.drafts is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_uniform_budgets_bound_lengths_and_longest_budgets_do_not(run, share):
  lengths = {}
  for uniform in (True, False):
    found, _, _ = run(
      pool(), candidates=600, model_share=share, uniform_budget=uniform
    )
    length = (np.asarray(found.program) != g.PAD).sum(1)
    assert length.min() == 2 and length.max() == 8
    lengths[uniform] = (length == 8).mean()
  assert lengths[True] < lengths[False]


def test_a_key_decides_everything(run):
  one, same, other = (run(pool("sorted(x)"), seed=s)[0] for s in (3, 3, 4))
  jax.tree.map(np.testing.assert_array_equal, one, same)
  for half in (slice(24), slice(24, None)):
    assert (np.asarray(one.program)[half] != other.program[half]).any()
  assert (np.asarray(one.inputs)[:, 1:] != other.inputs[:, 1:]).any()
