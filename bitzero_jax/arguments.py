"""What `bitzero` takes on its command line, and what it says of bad input."""

import argparse
import contextlib
import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn


class _Parser(argparse.ArgumentParser):
  """Says what is wrong in one line."""

  def error(self, message: str) -> NoReturn:
    fail(message)


def fail(message: str) -> NoReturn:
  """Says what is wrong in one line, and ends with status 2."""
  sys.stderr.write(f"bitzero: {' '.join(message.split())}\n")
  raise SystemExit(2)


def make_parser() -> argparse.ArgumentParser:
  """The verbs and their options."""
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
  _add_distributed(train)

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

  plan = verb("plan", "compile a round for a TPU slice that is not here")
  plan.add_argument(
    "--config", required=True, help="an experiment file; --config.KEY=VALUE too"
  )
  plan.add_argument(
    "--topology", required=True, help="the slice, as v5e:16x16 or v5p:4x4x4"
  )
  plan.add_argument(
    "--tries", type=int, default=4, help="configs compiled until one fits"
  )
  plan.add_argument(
    "--timeout", type=int, default=3600, help="seconds for one of them"
  )
  plan.add_argument(
    "--json", action="store_true", help="one JSON object a config, on a line"
  )

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
  part.add_argument(
    "--devices",
    help="as 1,2: so many devices, each with the config's rows, and no phases",
  )
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
  text = "tokens a second of a 2B4T-shaped model, packed beside bfloat16"
  part = parts.add_parser(
    "decode", help=text, description=text, allow_abbrev=False
  )
  part.add_argument("--batch", default="1,64", help="rows, with commas")
  part.add_argument("--slots", type=int, default=512, help="of the cache")
  part.add_argument("--tokens", type=int, default=32, help="in one program")
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


def _add_distributed(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--distributed",
    action="store_true",
    help="one of several processes; start the same command on each worker",
  )
  parser.add_argument(
    "--coordinator",
    metavar="HOST:PORT",
    help="of process 0, where the cluster (TPU VMs, GKE, Slurm) does not tell",
  )
  parser.add_argument("--processes", type=int, help="in all; likewise")
  parser.add_argument("--process", type=int, help="number of this; likewise")


def check_distributed(options: argparse.Namespace) -> None:
  """The three go together, and with --distributed."""
  given = {
    name: getattr(options, name)
    for name in ("coordinator", "processes", "process")
  }
  missing = [f"--{name}" for name, value in given.items() if value is None]
  if len(missing) == len(given):
    return
  if not options.distributed:
    fail("--coordinator, --processes and --process go with --distributed")
  if missing:
    fail(f"--distributed needs {' and '.join(missing)} too, or none of them")
  if not 0 <= options.process < options.processes:
    fail(
      f"--process={options.process} must be in 0 ... --processes - 1 = "
      f"{options.processes - 1}"
    )


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


def read_config(path: str, overrides: Sequence[str]) -> Any:
  """A validated config from an experiment file and --config.key=value flags."""
  from absl import flags
  from ml_collections import config_flags

  from bitzero_jax import config as config_lib

  if not Path(path).is_file():
    fail(f"--config={path}: no such file")
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
    fail(f"--config={path}: {error}")


def practice_config(config: Any, overrides: Sequence[str]) -> Any:
  """A run's config with --config.practice.key=value flags."""
  from absl import flags
  from ml_collections import config_flags

  from bitzero_jax import config as config_lib

  for text in overrides:
    if not text.startswith("--config.practice."):
      fail(f"{text.partition('=')[0]}: only --config.practice.KEY may change")
  _check_keys(config.to_dict(), overrides)
  values = flags.FlagValues()
  config_flags.DEFINE_config_dict("config", config, flag_values=values)
  try:
    values(["bitzero", *overrides])
    return config_lib.from_dict(values.config.to_dict())
  except Exception as error:  # absl has no one class for what it refuses
    fail(str(error))


def _check_keys(defaults: dict[str, Any], overrides: Sequence[str]) -> None:
  """Refuses a --config.KEY=VALUE whose key the defaults do not have."""
  known = set(_keys(defaults))
  for text in overrides:
    key = text.removeprefix("--config.").split("=")[0].split("[")[0]
    if key not in known:
      near = difflib.get_close_matches(key, known, 1)
      hint = f"; did you mean --config.{near[0]}?" if near else ""
      fail(f"--config.{key}: there is no such key{hint}")


def _keys(room: dict[str, Any], path: str = "") -> Iterator[str]:
  for name, value in room.items():
    if isinstance(value, dict):
      yield from _keys(value, f"{path}{name}.")
    else:
      yield path + name


def numbers(name: str, text: str) -> list[int]:
  """Whole numbers with commas between.

  Raises:
    ValueError: it is something else.
  """
  try:
    return [int(part) for part in text.split(",")]
  except ValueError:
    raise ValueError(
      f"--{name}={text} must be whole numbers, as in 1,2"
    ) from None


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
  """Turns what a room says of its input into one line and exit status 2."""
  try:
    yield
  except OSError as error:
    fail(
      f"{error.filename}: {error.strerror}" if error.filename else str(error)
    )
  except ValueError as error:
    fail(str(error))
  except RuntimeError as error:
    if type(error) is not RuntimeError:
      raise
    fail(str(error))  # the executor will not start without its wall


def check_model(options: argparse.Namespace) -> None:
  """A model comes from a run or from a file, which holds less than a run."""
  if (options.workdir is None) == (options.model is None):
    fail("needs --workdir=RUN or --model=FILE, one of them")
  if options.model is None:
    return
  for name in ("checkpoint", "practice", "dynamic", "save"):
    value = getattr(options, name, None)
    if value is not None and value is not False:
      fail(f"--{name} needs --workdir=RUN: --model={options.model} is no run")


def say(text: str) -> None:
  """What is not the answer goes to standard error."""
  print(text, file=sys.stderr, flush=True)
