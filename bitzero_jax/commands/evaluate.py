"""`bitzero evaluate`: a suite is sat by a run, a file, or llama.cpp."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitzero_jax import arguments
from bitzero_jax.commands import model as model_lib


def run(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints what the model scores; returns the exit status."""
  with arguments.bad_input():
    from bitzero_jax import trained

    others = (options.practice, options.samples, options.data)
    if options.dynamic and any(other is not None for other in others):
      arguments.fail("--dynamic goes with no --practice, --samples or --data")
    if model_lib.is_gguf(options):
      evaluation = _in_llama(options)
      return _print_scores(options, evaluation.scores)
    with model_lib.opened(options) as model:
      if options.dynamic:
        evaluation = trained.evaluate_dynamic(model, options.suite)
      elif options.practice is None:
        evaluation = trained.evaluate(
          model, options.suite, options.data, options.samples
        )
      else:
        evaluation = _practise_suite(model, options, overrides)
    if options.save:
      trained.save(options.workdir, evaluation)
  return _print_scores(options, evaluation.scores)


def _in_llama(options: argparse.Namespace) -> Any:
  from bitzero_jax import in_llama

  for name in ("data", "samples"):
    value = getattr(options, name)
    if value is not None:
      arguments.fail(
        f"--{name}={value}: a model in llama.cpp is asked greedily"
      )
  with in_llama.opened(Path(options.model)) as model:
    return in_llama.evaluate(model, options.suite)


def _practise_suite(
  model: Any, options: argparse.Namespace, overrides: Sequence[str]
) -> Any:
  from bitzero_jax import practised

  model = model._replace(
    config=arguments.practice_config(model.config, overrides)
  )
  return practised.evaluate(
    model, options.suite, options.data, options.practice, arguments.say
  )


def _print_scores(options: argparse.Namespace, result: dict[str, Any]) -> int:
  if options.json:
    print(json.dumps(result))
    return 0
  if options.practice is not None:
    from bitzero_jax.practice import lines

    print(lines.suite(result))
    return 0
  if options.dynamic:
    from bitzero_jax.evaluate import dynamic

    print("\n".join(dynamic.lines(result["points"])))
    return 0
  if options.suite == "list_functions":
    from bitzero_jax.evaluate import list_functions

    print(list_functions.lines(result))
    return 0
  from bitzero_jax.evaluate import calibration

  for name, value in result.items():
    if calibration.is_measure(name):
      continue
    shown = f"{value:.3f}" if isinstance(value, float) else value
    print(f"{name:32} {shown}")
  for line in calibration.table(result):
    print(line)
  return 0
