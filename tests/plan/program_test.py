"""What is read out of a compiled program's text."""

import types

from bitzero_jax.plan.program import Program, collectives, gathered, read

# As XLA writes for a TPU, with names shortened.
TEXT = """
%a.1 = bf16[4,1024,1024]{2,1,0:T(8,128)(2,1)} all-gather(%x), dimensions={1}
%b = (f32[8]{0}, f32[32]{0}) all-gather-start(%y), dimensions={0}
%c = f32[32]{0} all-gather-done(%b)
%d = (u32[2]{0}, u32[2]{0}, u32[], u32[]) collective-permute-start(%z)
%e = u32[2]{0} collective-permute-done(%d)
%f = f32[] all-reduce(%w), to_apply=%add
%g = f32[4]{0} fusion(%all-gather.7, %f), kind=kLoop, calls=%all-reduce.2
"""


def test_a_started_collective_counts_once():
  assert collectives(TEXT) == {
    "all-gather": 2,
    "all-reduce": 1,
    "collective-permute": 1,
  }
  assert collectives("%a = f32[4]{0} add(%b, %c)") == {}


def test_one_with_many_outputs_counts_as_well():
  memory = types.SimpleNamespace(
    argument_size_in_bytes=0,
    output_size_in_bytes=0,
    temp_size_in_bytes=0,
    generated_code_size_in_bytes=0,
    alias_size_in_bytes=0,
  )
  text = "%a = (f32[8]{0}, /*index=1*/f32[4]{0}) all-to-all(%x, %y)"
  compiled = types.SimpleNamespace(
    memory_analysis=lambda: memory, as_text=lambda: text
  )
  assert read("learn", compiled, 0.0, 0.0).collectives == {"all-to-all": 1}


def test_the_largest_gathered_array_is_measured_in_bytes():
  assert gathered(TEXT) == 4 * 1024 * 1024 * 2
  assert gathered("") == 0


def test_what_is_aliased_is_held_once():
  program = Program("learn", 100, 60, 7, 1, 50, {}, 0, 0.0, 0.0)
  assert program.peak == 100 + (60 - 50) + 7 + 1
