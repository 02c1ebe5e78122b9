"""`bitzero VERB ...`: reads the command line, then hands over.

Bad input of any kind is one line on standard error and exit status 2, before
anything is written. A run that had to stop exits with 1.
"""

import argparse
import contextlib
import difflib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn


class _Parser(argparse.ArgumentParser):
  """Says what is wrong in one line."""

  def error(self, message: str) -> NoReturn:
    _fail(message)


def _fail(message: str) -> NoReturn:
  sys.stderr.write(f"bitzero: {' '.join(message.split())}\n")
  raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
  parser = _Parser(
    prog="bitzero",
    description="Trains small reasoners from nothing on 1.58-bit weights.",
    allow_abbrev=False,
  )
  verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

  def verb(name: str, text: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
      name, help=text, description=text, allow_abbrev=False
    )

  train = verb("train", "run self-play, or resume what lies in --workdir")
  train.add_argument(
    "--config", required=True, help="an experiment file; --config.KEY=VALUE too"
  )
  train.add_argument("--workdir", required=True, help="folder of the run")

  evaluate = verb("evaluate", "examine a trained model")
  _add_model(evaluate)
  evaluate.add_argument(
    "--suite",
    default="heldout",
    choices=("heldout", "human", "list_functions", "cruxeval"),
  )
  evaluate.add_argument("--data", help="file of list_functions or cruxeval")
  evaluate.add_argument(
    "--samples",
    type=int,
    help="answers sampled a task, for agreement; list functions take 16",
  )
  evaluate.add_argument(
    "--json", action="store_true", help="one JSON object on the last line"
  )
  evaluate.add_argument(
    "--save",
    action="store_true",
    help="write evaluations/SUITE.json into the workdir, task by task",
  )
  evaluate.add_argument(
    "--dynamic",
    action="store_true",
    help="at each of precision.depths, and at planes by the task",
  )
  _add_practice(evaluate)

  report = verb("report", "write report.html from what a run left")
  report.add_argument("--workdir", required=True, help="folder of the run")

  solve = verb("solve", "find programs for examples, verified by the executor")
  solve.add_argument("examples", help="as in '[3,1,2]->[1,2,3]; [5,4]->[4,5]'")
  _add_model(solve)
  solve.add_argument("--samples", type=int, help="programs sampled, else 256")
  _add_practice(solve)
  solve.add_argument(
    "--keep", metavar="FOLDER", help="with --practice: keep the weights there"
  )

  export = verb("export", "write a trained model to one file, to run elsewhere")
  _add_model(export)
  export.add_argument(
    "--format", required=True, choices=("packed", "gguf", "gbnf", "huggingface")
  )
  export.add_argument(
    "--out", required=True, help="the file to write; of huggingface a folder"
  )
  export.add_argument(
    "--type",
    help="gguf: block type of the kernels, such as tq1_0; else the smallest",
  )
  export.add_argument(
    "--embedding", help="gguf: its type, q8_0, f16 or f32; else q8_0"
  )

  verify = verb("verify", "run programs in JSON lines, write verdicts")
  verify.add_argument("file", help="JSON lines, or - for standard input")

  bench = verb("bench", "measure a part of the house")
  parts = bench.add_subparsers(dest="part", required=True, metavar="PART")
  text = "verdicts per core-second, beside other executors"
  part = parts.add_parser(
    "executor", help=text, description=text, allow_abbrev=False
  )
  part.add_argument(
    "--programs", type=int, default=2048, help="programs in a batch"
  )
  part.add_argument("--cruxeval", help="CRUXEval's JSON lines, to be run too")
  text = "seconds of a self-play round by phase, and rows per second"
  part = parts.add_parser(
    "loop", help=text, description=text, allow_abbrev=False
  )
  part.add_argument(
    "--config", required=True, help="an experiment file; --config.KEY=VALUE too"
  )
  part.add_argument("--rounds", type=int, default=10, help="rounds measured")
  part.add_argument("--warm", type=int, default=5, help="rounds before them")
  text = "microseconds of ternary products, checked first, beside XLA's own"
  part = parts.add_parser(
    "kernels", help=text, description=text, allow_abbrev=False
  )
  part.add_argument("--shapes", help="names of matrices, with commas")
  part.add_argument("--rows", help="rows of x, with commas")
  part.add_argument("--planes", help="digit planes, with commas")
  part.add_argument("--x", help="dtypes of x, with commas: int8, bfloat16")
  part.add_argument(
    "--tune", action="store_true", help="try every candidate's tiles"
  )
  part.add_argument("--json", metavar="FILE", help="write the results there")
  part.add_argument(
    "--table", metavar="FILE", help="write rows of the dispatch table there"
  )
  text = "bytes and decoding speed of a model in each file it can leave as"
  part = parts.add_parser(
    "export", help=text, description=text, allow_abbrev=False
  )
  part.add_argument("--workdir", help="folder of the run")
  part.add_argument(
    "--config", help="or an experiment file, for random weights of its size"
  )
  part.add_argument("--tokens", type=int, default=256, help="decoded each time")
  return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("--workdir", help="folder of the run")
  parser.add_argument("--model", metavar="FILE", help="or an exported model")
  parser.add_argument(
    "--checkpoint", choices=("last", "best"), help="of the run, else last"
  )


def _add_practice(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--practice",
    type=float,
    metavar="SECONDS",
    help="learn from own misses first; --config.practice.KEY=VALUE too",
  )


def _read_config(path: str, overrides: Sequence[str]) -> Any:
  """A validated config from an experiment file and --config.key=value flags."""
  from absl import flags
  from ml_collections import config_flags

  from bitzero_jax import config as config_lib

  if not Path(path).is_file():
    _fail(f"--config={path}: no such file")
  _check_keys(config_lib.default().to_dict(), overrides)
  command = ["bitzero", f"--config={path}", *overrides]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file(
    "config", flag_values=values, sys_argv=command
  )
  try:
    values(command)
    return config_lib.from_dict(values.config.to_dict())
  except Exception as error:  # an experiment file may raise anything
    _fail(f"--config={path}: {error}")


def _practice_config(config: Any, overrides: Sequence[str]) -> Any:
  """A run's config with --config.practice.key=value flags."""
  from absl import flags
  from ml_collections import config_flags

  from bitzero_jax import config as config_lib

  for text in overrides:
    if not text.startswith("--config.practice."):
      _fail(f"{text.partition('=')[0]}: only --config.practice.KEY may change")
  _check_keys(config.to_dict(), overrides)
  values = flags.FlagValues()
  config_flags.DEFINE_config_dict("config", config, flag_values=values)
  try:
    values(["bitzero", *overrides])
    return config_lib.from_dict(values.config.to_dict())
  except Exception as error:  # absl has no one class for what it refuses
    _fail(str(error))


def _check_keys(defaults: dict[str, Any], overrides: Sequence[str]) -> None:
  """Refuses a --config.KEY=VALUE whose key the defaults do not have."""
  known = set(_keys(defaults))
  for text in overrides:
    key = text.removeprefix("--config.").split("=")[0].split("[")[0]
    if key not in known:
      near = difflib.get_close_matches(key, known, 1)
      hint = f"; did you mean --config.{near[0]}?" if near else ""
      _fail(f"--config.{key}: there is no such key{hint}")


def _keys(room: dict[str, Any], path: str = "") -> Iterator[str]:
  for name, value in room.items():
    if isinstance(value, dict):
      yield from _keys(value, f"{path}{name}.")
    else:
      yield path + name


@contextlib.contextmanager
def _bad_input() -> Iterator[None]:
  """Turns what a room says of its input into one line and exit status 2."""
  try:
    yield
  except OSError as error:
    _fail(
      f"{error.filename}: {error.strerror}" if error.filename else str(error)
    )
  except ValueError as error:
    _fail(str(error))
  except RuntimeError as error:
    if type(error) is not RuntimeError:
      raise
    _fail(str(error))  # the executor will not start without its wall


def _train(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  config = _read_config(options.config, overrides)
  from bitzero_jax import loop

  try:
    with _bad_input():
      loop.train(config, Path(options.workdir))
  except loop.RunError as error:
    sys.stderr.write(f"bitzero: {error}\n")
    return 1
  return 0


def _check_model(options: argparse.Namespace) -> None:
  """A model comes from a run or from a file, which holds less than a run."""
  if (options.workdir is None) == (options.model is None):
    _fail("needs --workdir=RUN or --model=FILE, one of them")
  if options.model is None:
    return
  for name in ("checkpoint", "practice", "dynamic", "save"):
    value = getattr(options, name, None)
    if value is not None and value is not False:
      _fail(f"--{name} needs --workdir=RUN: --model={options.model} is no run")


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
  with trained.opened(Path(options.workdir), which) as model:
    updates = model.round * model.config.learn.updates
    if not config_lib.settled(model.config, updates):
      _say(
        f"round {model.round}: precision still moves, so these weights are not "
        "yet of the bits that the run will end with"
      )
    yield model


def _evaluate(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  with _bad_input():
    from bitzero_jax import trained

    others = (options.practice, options.samples, options.data)
    if options.dynamic and any(other is not None for other in others):
      _fail("--dynamic goes with no --practice, --samples or --data")
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
      trained.save(Path(options.workdir), evaluation)
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
      _fail(f"--{name}={value}: a model in llama.cpp is asked greedily")
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
  with _bad_input():
    from bitzero_jax import config as config_lib
    from bitzero_jax.evaluate import report

    defaults = config_lib.default().to_dict()
    print(report.write_report(Path(options.workdir), defaults=defaults))
  return 0


def _practise_suite(
  model: Any, options: argparse.Namespace, overrides: Sequence[str]
) -> Any:
  from bitzero_jax import practised

  model = model._replace(config=_practice_config(model.config, overrides))
  return practised.evaluate(
    model, options.suite, options.data, options.practice, _say
  )


def _say(text: str) -> None:
  print(text, file=sys.stderr, flush=True)


def _solve(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  if options.practice is not None:
    return _solve_by_practice(options, overrides)
  if options.keep is not None:
    _fail(f"--keep={options.keep} needs --practice=SECONDS")
  with _bad_input():
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
        _say(f"with {planes} planes of the model's weights")
  for line in puzzle.table(answers, len(examples)):
    print(line)
  return 0 if any(a.right == len(examples) for a in answers) else 3


def _solve_by_practice(
  options: argparse.Namespace, overrides: Sequence[str]
) -> int:
  with _bad_input():
    from bitzero_jax import practised
    from bitzero_jax.evaluate import puzzle
    from bitzero_jax.practice import lines

    examples = puzzle.read_examples(options.examples)
    folder = Path(options.workdir)
    if options.keep is not None:
      practised.check_keep(Path(options.keep))
    with _trained(options) as model:
      model = model._replace(config=_practice_config(model.config, overrides))
      done = practised.run(model, [examples], options.practice, _say)
    (archive,) = done.archives.values()
    for line in lines.answer(archive, done.last):
      print(line, flush=True)
    if options.keep is not None:
      practised.keep(folder, model, done.last.params, Path(options.keep))
  return 0 if archive.answer is not None else 3


def _export(options: argparse.Namespace) -> int:
  with _bad_input():
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
  with _bad_input():
    from bitzero_jax.verify import lines

    total = lines.check(options.file)
    try:
      lines.write(lines.read(options.file), sys.stdout, total)
    except BrokenPipeError:
      # The reader has left, as `head` does. Python would complain at exit too.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return 0


def _bench(options: argparse.Namespace, overrides: Sequence[str]) -> int:
  if options.part == "kernels":
    return _bench_kernels(options)
  measure = {
    "executor": _bench_executor,
    "export": _bench_export,
    "loop": _bench_loop,
  }[options.part]
  with _bad_input():
    measure(options, overrides)
  return 0


def _bench_kernels(options: argparse.Namespace) -> int:
  with _bad_input():
    for path in filter(None, (options.json, options.table)):
      if not Path(path).resolve().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")
    from bitzero_jax.bench import kernels

    chosen = kernels.choose(
      options.shapes, options.rows, options.planes, options.x
    )
  right = kernels.measure(
    chosen, options.tune, options.json, options.table, print, _say
  )
  return 0 if right else 1


def _bench_executor(options: argparse.Namespace, _: Sequence[str]) -> None:
  try:
    from bitzero_jax.bench import executor
  except ModuleNotFoundError as error:
    _fail(f"needs {error.name}: pip install 'bitzero-jax[bench]'")
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
  config = _read_config(options.config, overrides)
  if options.rounds < 1 or options.warm < 0:
    raise ValueError(
      f"--rounds={options.rounds} must be at least 1 and "
      f"--warm={options.warm} at least 0"
    )
  from bitzero_jax.bench import loop

  print(loop.table(loop.measure(config, options.rounds, options.warm, _say)))


def _bench_export(
  options: argparse.Namespace, overrides: Sequence[str]
) -> None:
  if (options.workdir is None) == (options.config is None):
    _fail("needs --workdir=RUN or --config=FILE, one of them")
  if options.tokens < 1:
    raise ValueError(f"--tokens={options.tokens} must be at least 1")
  from bitzero_jax import shipped
  from bitzero_jax.bench import export

  if options.config is None:
    model = shipped.open_model(options.workdir, "last", None)
  else:
    model = export.random_model(_read_config(options.config, overrides))
  rows = export.measure(model, options.tokens)
  row = next(rows)  # bad input shows before anything is written
  print(export.HEADER)
  while row:
    print(export.line(row), flush=True)
    row = next(rows, None)


def main(arguments: Sequence[str] | None = None) -> int:
  """Entry point of the `bitzero` command; returns the exit status."""
  # orbax warns of what is meant to be so; what goes wrong is raised.
  logging.getLogger("absl").setLevel(logging.ERROR)
  # Read when JAX is imported: the second start of a config compiles nothing.
  os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.expanduser("~/.cache/bitzero/xla")
  )
  parser = _parser()
  options, rest = parser.parse_known_args(arguments)
  practises = getattr(options, "practice", None) is not None
  if practises and options.samples is not None:
    parser.error("--practice takes no --samples: time is its measure")
  overrides = rest if practises or "config" in options else []
  for text in rest:
    if text not in overrides and text.startswith("--config.practice."):
      parser.error(f"{text.partition('=')[0]} needs --practice=SECONDS")
    if text not in overrides or not text.startswith("--config."):
      parser.error(f"unknown argument {text!r}; see bitzero {options.verb} -h")
  if "model" in options:
    _check_model(options)
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
    "solve": _solve,
  }
  if options.verb in takes_overrides:
    return takes_overrides[options.verb](options, overrides)
  verbs = {"export": _export, "report": _report, "verify": _verify}
  return verbs[options.verb](options)


if __name__ == "__main__":
  raise SystemExit(main())
