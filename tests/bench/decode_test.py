"""Decoding speed: what is refused, and that a CPU's table is right."""

import jax.numpy as jnp
import pytest

from bitzero_jax import main
from bitzero_jax.bench import decode
from bitzero_jax.models import fused_parts


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (((0,), 64, 4), "--batch=0 must be at least 1"),
    (((1,), 64, 64), "--tokens=64 must be 1 to 63"),
    (((1,), 40, 4), "--slots=40 must be a multiple of 16"),
  ],
)
def test_bad_numbers_are_refused_before_anything_is_drawn(given, message):
  with pytest.raises(ValueError, match=message):
    decode.measure(*given)


@pytest.mark.slow
def test_a_cpu_decodes_something_tiny(capsys):
  words = ["bench", "decode", "--batch=2", "--slots=32", "--tokens=4"]
  assert main.main(words) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("| rows | weights | head | tokens/s")
  rows = [line.split(" | ") for line in lines[2:]]
  assert [(row[1], row[2]) for row in rows] == [
    ("bfloat16", "bfloat16"),
    ("bfloat16", "int8"),
    ("packed", "bfloat16"),
    ("packed", "int8"),
  ]
  assert all(row[5] == "-" for row in rows)  # no device, so no kernel times


def test_a_list_that_is_no_list_of_numbers_ends_in_one_line(capsys):
  with pytest.raises(SystemExit) as stopped:
    main.main(["bench", "decode", "--batch=one"])
  assert stopped.value.code == 2
  assert "--batch=one must be whole numbers" in capsys.readouterr().err


@pytest.mark.slow
def test_a_wrong_variant_is_not_timed():
  right = fused_parts.packed(
    jnp.bfloat16, eps=1e-5, kernels=False, implementation="base"
  )

  def spoiled(qkv, *rest):
    read, keys, values = right.attend(qkv, *rest)
    return -read, keys, values

  shape = decode.TINY
  arguments = (
    decode.draw(shape, True, 2),
    jnp.ones((4, 2), jnp.int32),
    decode._state(shape, 2, 32, 4),
  )
  decode._gate(right, right, *arguments)
  with pytest.raises(RuntimeError, match="2 rows: logits after one layer are"):
    decode._gate(right._replace(attend=spoiled), right, *arguments)
