"""Where each token of a row stands."""

import jax.numpy as jnp
import numpy as np

from bitzero_jax.language import grammar as g
from bitzero_jax.language import layout, levels, render

SIZES = layout.Sizes(program=8, value=7, shown=2, hidden=2, references=2)


def row(tokens, width):
  return jnp.array([render.pad(tokens, width)], jnp.int32)


PROGRAM = render.parse("sorted(x)[1:]")
SHORT, LONG = map(render.value_tokens, ("[3]", "[1, 2, 3]"))


def right(tokens, width):
  return [*[g.PAD] * (width - len(tokens)), *tokens]


def test_a_deduction_prompt_keeps_each_part_in_its_slot():
  prompt = layout.deduction(row(PROGRAM, 8), row(SHORT, 7))
  expected = [*right(PROGRAM, 8), g.DEDUCE, *render.pad(SHORT, 7)]
  np.testing.assert_array_equal(prompt, [[*expected, g.ANSWER]])
  assert (prompt.shape[1], 7) == SIZES.answer_value
  other = layout.abduction(row(PROGRAM, 8), row(SHORT, 7))
  expected[8] = g.ABDUCE
  np.testing.assert_array_equal(other, [[*expected, g.ANSWER]])


def test_a_wider_program_slot_changes_no_distance_to_the_answer():
  for pose in (layout.deduction, layout.abduction):
    narrow = pose(row(PROGRAM, 8), row(LONG, 7))
    wide = pose(row(PROGRAM, 14), row(LONG, 7))
    np.testing.assert_array_equal(wide[:, 6:], narrow)
    assert (np.asarray(wide[:, :6]) == g.PAD).all()


def test_an_induction_prompt_shows_input_and_output_in_turn():
  inputs = jnp.concatenate([row(SHORT, 7), row(LONG, 7)])[None]
  outputs = jnp.concatenate([row(LONG, 7), row(SHORT, 7)])[None]
  prompt = layout.induction(inputs, outputs)
  short, long = render.pad(SHORT, 7), render.pad(LONG, 7)
  expected = [*short, *long, *long, *short, g.INDUCE]
  np.testing.assert_array_equal(prompt, [expected])
  assert (prompt.shape[1], 8) == SIZES.answer_program


def test_a_proposal_prompt_names_its_task_type():
  references = jnp.stack([row(PROGRAM, 8)[0], row(PROGRAM[:1], 8)[0]])
  many = jnp.broadcast_to(references, (3, 2, 8))
  prompt = layout.proposal(jnp.arange(3, dtype=jnp.int32), many)
  markers = [g.PROPOSE_DEDUCE, g.PROPOSE_ABDUCE, g.PROPOSE_INDUCE]
  np.testing.assert_array_equal(prompt[:, -1], markers)
  expected = [*right(PROGRAM, 8), *right(PROGRAM[:1], 8)]
  np.testing.assert_array_equal(prompt[:, :-1], [expected] * 3)
  assert (prompt.shape[1], 15) == SIZES.proposal


def test_a_proposal_with_one_reference_is_as_long_as_a_deduction():
  one = SIZES._replace(references=1)
  assert sum(one.proposal) == sum(one.answer_value)


def test_padding_moves_to_the_left_and_the_order_stays():
  mixed = jnp.array([[5, 0, 3, 0], [0, 0, 0, 0], [1, 2, 3, 4]], jnp.int32)
  np.testing.assert_array_equal(
    layout.align_right(mixed), [[0, 0, 5, 3], [0, 0, 0, 0], [1, 2, 3, 4]]
  )


def test_no_prompt_ends_in_padding():
  nothing = jnp.zeros((2, 8), jnp.int32)
  for prompt in (
    layout.deduction(nothing, nothing),
    layout.abduction(nothing, nothing),
    layout.induction(nothing[:, None], nothing[:, None]),
    layout.proposal(jnp.zeros(2, jnp.int32), nothing[:, None]),
  ):
    assert (np.asarray(prompt[:, -1]) != g.PAD).all()


def test_plans_ask_for_what_they_are_named_after():
  tables = levels.build(levels.LEVELS["small"])
  for plan, start, budget in (
    (layout.value_plan(tables, 3), ["value"], [7]),
    (layout.argument_plan(tables, 3), ["argument"], [7]),
    (layout.program_plan(tables, 3), ["program"], [8]),
    (layout.proposal_plan(tables, 3), ["program", "argument"], [8, 7]),
  ):
    named = [g.NONTERMINAL_OF[name] for name in start]
    np.testing.assert_array_equal(plan.start, [named] * 3)
    np.testing.assert_array_equal(plan.budget, [budget] * 3)
  assert SIZES.slots == 8


def test_a_proposal_is_cut_where_its_input_begins():
  for program in ("len(x)", "sorted(x)[1:]", "[v + v for v in x[:len(x)]]"):
    tokens = render.parse(program)
    for value in ("[]", "[1, 2, 3, 4, 5]"):
      both = row(tokens + render.value_tokens(value), 15)
      cut, rest = layout.split_proposal(both, SIZES)
      assert (cut.shape, rest.shape) == ((1, 8), (1, 7))
      assert render.strip(cut[0].tolist()) == tokens
      assert render.value_text(render.strip(rest[0].tolist())) == value
