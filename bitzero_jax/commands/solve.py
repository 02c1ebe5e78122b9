"""`bitzero solve`: programs for examples, sampled or found by practice."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bitzero_jax import arguments
from bitzero_jax.commands import model as model_lib


def run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints programs; returns the exit status, 3 where none is right."""
  if options.practice is not None:
    return _by_practice(options, overrides)
  if options.keep is not None:
    arguments.fail(f"--keep={options.keep} needs --practice=SECONDS")
  with arguments.bad_input():
    from bitzero_jax import trained
    from bitzero_jax.evaluate import puzzle

    examples = puzzle.read_examples(options.examples)
    samples = 256 if options.samples is None else options.samples
    if model_lib.is_gguf(options):
      from bitzero_jax import in_llama

      with in_llama.opened(Path(options.model)) as in_engine:
        answers = in_llama.solve(in_engine, examples, samples)
    else:
      with model_lib.opened(options) as model:
        answers, planes = trained.solve(model, examples, samples)
      if planes is not None:
        arguments.say(f"with {planes} planes of the model's weights")
  for line in puzzle.table(answers, len(examples)):
    print(line)
  return 0 if any(a.right == len(examples) for a in answers) else 3


def _by_practice(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  with arguments.bad_input():
    from bitzero_jax import practised
    from bitzero_jax.evaluate import puzzle
    from bitzero_jax.practice import lines

    examples = puzzle.read_examples(options.examples)
    folder = options.workdir
    if options.keep is not None:
      practised.check_keep(Path(options.keep))
    with model_lib.opened(options) as model:
      model = model._replace(
        config=arguments.practice_config(model.config, overrides)
      )
      done = practised.run(model, [examples], options.practice, arguments.say)
    (archive,) = done.archives.values()
    for line in lines.answer(archive, done.last):
      print(line, flush=True)
    if options.keep is not None:
      practised.keep(folder, model, done.last.params, Path(options.keep))
  return 0 if archive.answer is not None else 3
