"""`bitzero VERB ...`: hands over to whoever does it.

Bad input of any kind is one line on standard error and exit status 2, before
anything is written. A run that had to stop exits with 1.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bitzero_jax import arguments
from bitzero_jax.runtime import bucket


def _train(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  config = arguments.read_config(options.config, overrides)
  _keep_compiled(config.cache)
  if options.distributed:
    return _train_together(config, options)
  return _train_here(config, options)


def _train_here(config: Any, options: argparse.Namespace) -> int:
  from bitzero_jax import loop

  try:
    with arguments.bad_input():
      loop.train(config, options.workdir)
  except loop.RunError as error:
    sys.stderr.write(f"bitzero: {error}\n")
    return 1
  return 0


def _train_together(config: Any, options: argparse.Namespace) -> int:
  """As one of several processes: none outlives a failure of another."""
  from bitzero_jax.runtime import processes

  with arguments.bad_input():
    processes.start(options.coordinator, options.processes, options.process)
  try:
    status = _train_here(config, options)
  except BaseException as error:
    if not isinstance(error, SystemExit):
      traceback.print_exc()
    status = 2 if isinstance(error, SystemExit) else 1
  if status:
    processes.part()
    processes.leave(status)
  return status


@contextlib.contextmanager
def _trained(options: argparse.Namespace) -> Iterator[Any]:
  """The model that --model, or --workdir and --checkpoint, name."""
  from bitzero_jax import config as config_lib
  from bitzero_jax import trained

  if options.model is not None:
    with trained.unpacked(Path(options.model)) as model:
      yield model
    return
  which = options.checkpoint or "last"
  with trained.opened(options.workdir, which) as model:
    updates = model.round * model.config.learn.updates
    if not config_lib.settled(model.config, updates):
      arguments.say(
        f"round {model.round}: precision still moves, so these weights are not "
        "yet of the bits that the run will end with"
      )
    yield model


def _evaluate(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  with arguments.bad_input():
    from bitzero_jax import trained

    others = (options.practice, options.samples, options.data)
    if options.dynamic and any(other is not None for other in others):
      arguments.fail("--dynamic goes with no --practice, --samples or --data")
    if _is_gguf(options):
      evaluation = _evaluate_in_llama(options)
      return _print_scores(options, evaluation.scores)
    with _trained(options) as model:
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


def _is_gguf(options: argparse.Namespace) -> bool:
  """Whether --model is a file for llama.cpp, which says so in its first bytes.

  Raises:
    OSError: it cannot be read.
  """
  if options.model is None:
    return False
  with open(options.model, "rb") as file:
    return file.read(4) == b"GGUF"


def _evaluate_in_llama(options: argparse.Namespace) -> Any:
  from bitzero_jax import in_llama

  for name in ("data", "samples"):
    value = getattr(options, name)
    if value is not None:
      arguments.fail(
        f"--{name}={value}: a model in llama.cpp is asked greedily"
      )
  with in_llama.opened(Path(options.model)) as model:
    return in_llama.evaluate(model, options.suite)


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


def _report(options: argparse.Namespace) -> int:
  with arguments.bad_input():
    from bitzero_jax import config as config_lib
    from bitzero_jax.evaluate import report

    defaults = config_lib.default().to_dict()
    print(report.write_report(options.workdir, defaults=defaults))
  return 0


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


def _solve(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  if options.practice is not None:
    return _solve_by_practice(options, overrides)
  if options.keep is not None:
    arguments.fail(f"--keep={options.keep} needs --practice=SECONDS")
  with arguments.bad_input():
    from bitzero_jax import trained
    from bitzero_jax.evaluate import puzzle

    examples = puzzle.read_examples(options.examples)
    samples = 256 if options.samples is None else options.samples
    if _is_gguf(options):
      from bitzero_jax import in_llama

      with in_llama.opened(Path(options.model)) as in_engine:
        answers = in_llama.solve(in_engine, examples, samples)
    else:
      with _trained(options) as model:
        answers, planes = trained.solve(model, examples, samples)
      if planes is not None:
        arguments.say(f"with {planes} planes of the model's weights")
  for line in puzzle.table(answers, len(examples)):
    print(line)
  return 0 if any(a.right == len(examples) for a in answers) else 3


def _solve_by_practice(
  options: argparse.Namespace, overrides: Sequence[str]
) -> int:
  with arguments.bad_input():
    from bitzero_jax import practised
    from bitzero_jax.evaluate import puzzle
    from bitzero_jax.practice import lines

    examples = puzzle.read_examples(options.examples)
    folder = options.workdir
    if options.keep is not None:
      practised.check_keep(Path(options.keep))
    with _trained(options) as model:
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


def _export(options: argparse.Namespace) -> int:
  with arguments.bad_input():
    from bitzero_jax import shipped

    out, kinds = Path(options.out), (options.type, options.embedding)
    shipped.check(options.format, out, *kinds)
    model = shipped.open_model(
      options.workdir, options.checkpoint or "last", options.model
    )
    write = {
      "gbnf": shipped.write_gbnf,
      "gguf": shipped.write_gguf,
      "huggingface": shipped.write_huggingface,
      "packed": shipped.write_packed,
    }[options.format]
    for line in write(model, out, *kinds):
      print(line)
  return 0


def _verify(options: argparse.Namespace) -> int:
  with arguments.bad_input():
    from bitzero_jax.verify import lines

    total = lines.check(options.file)
    try:
      lines.write(lines.read(options.file), sys.stdout, total)
    except BrokenPipeError:
      # The reader has left, as `head` does. Python would complain at exit too.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return 0


def _plan(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  config = arguments.read_config(options.config, overrides)
  with arguments.bad_input():
    from bitzero_jax.plan import search, table, topology

    if options.tries < 1 or options.timeout < 1:
      raise ValueError(
        f"--tries={options.tries} and --timeout={options.timeout} must be at "
        "least 1"
      )
    where = topology.parse(options.topology)
    search.need_libtpu()
    fits = False
    for trial in search.search(
      config, where, options.tries, options.timeout, arguments.say
    ):
      fits = trial.fits
      if options.json:
        print(json.dumps(table.record(config.name, trial)), flush=True)
      else:
        print("\n".join([*table.lines(config.name, trial), ""]), flush=True)
  return 0 if fits else 1


def _bench(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  if options.part == "kernels":
    return _bench_kernels(options)
  measure = {
    "decode": _bench_decode,
    "executor": _bench_executor,
    "export": _bench_export,
    "loop": _bench_loop,
  }[options.part]
  with arguments.bad_input():
    measure(options, overrides)
  return 0


def _bench_kernels(options: argparse.Namespace) -> int:
  with arguments.bad_input():
    for path in filter(None, (options.json, options.table)):
      if not Path(path).resolve().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")
    from bitzero_jax.bench import kernels

    chosen = kernels.choose(
      options.shapes, options.rows, options.planes, options.x
    )
  right = kernels.measure(
    chosen, options.tune, options.json, options.table, print, arguments.say
  )
  return 0 if right else 1


def _bench_decode(options: argparse.Namespace, _: Sequence[str]) -> None:
  from bitzero_jax.bench import decode, kernels

  batches = kernels.numbers("--batch", options.batch)
  rows = decode.measure(batches, options.slots, options.tokens, arguments.say)
  print(decode.HEADER)
  for row in rows:
    print(decode.line(row), flush=True)


def _bench_executor(options: argparse.Namespace, _: Sequence[str]) -> None:
  try:
    from bitzero_jax.bench import executor
  except ModuleNotFoundError as error:
    arguments.fail(f"needs {error.name}: pip install 'bitzero-jax[bench]'")
  if options.programs < 1:
    raise ValueError(f"--programs={options.programs} must be at least 1")
  crux = Path(options.cruxeval) if options.cruxeval else None
  rows = executor.measure(options.programs, crux)
  row = next(rows)  # bad input shows before anything is written
  print(executor.HEADER)
  while row:
    print(executor.line(row), flush=True)
    row = next(rows, None)


def _bench_loop(options: argparse.Namespace, overrides: Sequence[str]) -> None:
  config = arguments.read_config(options.config, overrides)
  _keep_compiled(config.cache)
  if options.rounds < 1 or options.warm < 0:
    raise ValueError(
      f"--rounds={options.rounds} must be at least 1 and "
      f"--warm={options.warm} at least 0"
    )
  from bitzero_jax.bench import loop, scaling

  if options.devices is not None:
    counts = arguments.numbers("devices", options.devices)
    for line in scaling.measure(
      config, counts, options.rounds, options.warm, arguments.say
    ):
      print(line, flush=True)
    return
  print(
    loop.table(
      loop.measure(config, options.rounds, options.warm, arguments.say)
    )
  )


def _bench_export(
  options: argparse.Namespace, overrides: Sequence[str]
) -> None:
  if (options.workdir is None) == (options.config is None):
    arguments.fail("needs --workdir=RUN or --config=FILE, one of them")
  if options.tokens < 1:
    raise ValueError(f"--tokens={options.tokens} must be at least 1")
  if options.config is not None:
    config = arguments.read_config(options.config, overrides)
    _keep_compiled(config.cache)
  from bitzero_jax import shipped
  from bitzero_jax.bench import export

  if options.config is None:
    model = shipped.open_model(options.workdir, "last", None)
  else:
    model = export.random_model(config)
  rows = export.measure(model, options.tokens)
  row = next(rows)  # bad input shows before anything is written
  print(export.HEADER)
  while row:
    print(export.line(row), flush=True)
    row = next(rows, None)


def _keep_compiled(folder: str) -> None:
  """The second start of a config compiles nothing; JAX reads this on import."""
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.expanduser(folder))


def main(words: Sequence[str] | None = None) -> int:
  """Entry point of the `bitzero` command; returns the exit status."""
  # orbax warns of what is meant to be so; what goes wrong is raised.
  logging.getLogger("absl").setLevel(logging.ERROR)
  parser = arguments.make_parser()
  options, rest = parser.parse_known_args(words)
  practises = getattr(options, "practice", None) is not None
  if practises and options.samples is not None:
    parser.error("--practice takes no --samples: time is its measure")
  overrides = rest if practises or "config" in options else []
  for text in rest:
    if text not in overrides and text.startswith("--config.practice."):
      parser.error(f"{text.partition('=')[0]} needs --practice=SECONDS")
    if text not in overrides or not text.startswith("--config."):
      parser.error(f"unknown argument {text!r}; see bitzero {options.verb} -h")
  if getattr(options, "workdir", None) is not None:
    with arguments.bad_input():
      options.workdir = bucket.locate(options.workdir)
  if "distributed" in options:
    arguments.check_distributed(options)
  if "model" in options:
    arguments.check_model(options)
  if options.verb != "verify" and getattr(options, "config", None) is None:
    from bitzero_jax import config as config_lib  # verify runs without JAX

    _keep_compiled(config_lib.default().cache)
  try:
    return _dispatch(options, overrides)
  except KeyboardInterrupt:  # training saves first, and does not come here
    sys.stderr.write("bitzero: interrupted\n")
    return 130


def _dispatch(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  if options.verb == "train":
    return _train(options, overrides)
  takes_overrides = {
    "bench": _bench,
    "evaluate": _evaluate,
    "plan": _plan,
    "solve": _solve,
  }
  if options.verb in takes_overrides:
    return takes_overrides[options.verb](options, overrides)
  verbs = {"export": _export, "report": _report, "verify": _verify}
  return verbs[options.verb](options)


if __name__ == "__main__":
  raise SystemExit(main())
