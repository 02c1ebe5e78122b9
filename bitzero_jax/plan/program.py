"""A compiled program: its memory on one chip, what it sends to the others."""

import math
import re
from typing import Any, NamedTuple

STAGES = ("learn", "solve", "propose")  # the largest first
COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "all-to-all",
  "collective-permute",
  "reduce-scatter",
)
_CALL = re.compile(rf"= [^=]*?\b({'|'.join(COLLECTIVES)})(?:-start)?\(")
_GATHERED = re.compile(r"= [^=]*?\ball-gather(?:-start)?\(")
_ARRAY = re.compile(r"\b[a-z]+(\d+)[a-z0-9]*\[([\d,]*)\]")
_COMMENT = re.compile(r"/\*.*?\*/")  # of an output of many arrays: /*index=5*/


class Program(NamedTuple):
  """A compiled stage, on one chip.

  Attributes:
    stage: "learn", "solve" or "propose".
    arguments, outputs, temporaries, code: bytes.
    aliased: bytes of outputs that lie where arguments lay.
    collectives: calls in the text by name; those in a loop count once.
    gathered: bytes of the largest array that an all-gather makes whole.
    lowering, compiling: seconds.
  """

  stage: str
  arguments: int
  outputs: int
  temporaries: int
  code: int
  aliased: int
  collectives: dict[str, int]
  gathered: int
  lowering: float
  compiling: float

  @property
  def peak(self) -> int:
    """Bytes while it runs, of what it was given and what it makes."""
    made = self.outputs - self.aliased + self.temporaries
    return self.arguments + made + self.code


def read(
  stage: str, compiled: Any, lowering: float, compiling: float
) -> Program:
  """From what `lowered.compile()` gives."""
  memory = compiled.memory_analysis()
  text = _COMMENT.sub("", compiled.as_text() or "")
  return Program(
    stage=stage,
    arguments=memory.argument_size_in_bytes,
    outputs=memory.output_size_in_bytes,
    temporaries=memory.temp_size_in_bytes,
    code=memory.generated_code_size_in_bytes,
    aliased=memory.alias_size_in_bytes,
    collectives=collectives(text),
    gathered=gathered(text),
    lowering=lowering,
    compiling=compiling,
  )


def collectives(text: str) -> dict[str, int]:
  """Calls by name in the text of a compiled program, the same in all chips."""
  found = [match.group(1) for match in _CALL.finditer(text)]
  return {name: found.count(name) for name in COLLECTIVES if name in found}


def gathered(text: str) -> int:
  """Bytes of the largest array that any all-gather makes; 0 for none."""
  sizes = [0]
  for match in _GATHERED.finditer(text):
    for bits, shape in _ARRAY.findall(match.group()):
      sizes.append(
        math.prod(map(int, filter(None, shape.split(",")))) * int(bits) // 8
      )
  return max(sizes)
