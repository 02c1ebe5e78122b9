"""The notebooks run from the first cell to the last, and are kept stripped."""

import ast
import os
import pathlib

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
FIRST = ROOT / "colab" / "1_self_play_in_five_minutes.ipynb"
REPOSITORY = "https://github.com/bitzero/bitzero"
COLAB = "https://colab.research.google.com/github/bitzero/bitzero/blob/main"

SHORT = {
  "ROUNDS": 2,
  "SECOND_ROUNDS": 2,
  "SAMPLES": 64,
  "FOLDER": "runs",
  "OVERRIDES": {
    # Compiled stages without callbacks are kept for the next test run.
    "wiring": "host",
    "model.width": 32,
    "model.layers": 1,
    "model.hidden": 64,
    "propose.candidates": 48,
    "solve.fresh_rows": 16,
    "learn.updates": 2,
    "learn.rows": (8, 8, 8),
    "pool.capacity": 256,
    "optimizer.warmup": 1,
    "heldout.candidates": 1024,
    "heldout.tasks": 8,
  },
}


def read(path):
  return nbformat.read(path, as_version=4)


def code_cells(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def replace_parameters(notebook, values):
  """Assigns `values` in place of what the cell tagged "parameters" says."""
  (cell,) = [
    cell
    for cell in notebook.cells
    if "parameters" in cell.metadata.get("tags", ())
  ]
  lines = []
  for statement in ast.parse(cell.source).body:
    assert isinstance(statement, ast.Assign)
    (name,) = [target.id for target in statement.targets]
    value = values.pop(name, ast.literal_eval(statement.value))
    lines.append(f"{name} = {value!r}")
  assert not values, f"the notebook has no parameter {', '.join(values)}"
  cell.source = "\n".join(lines)


def printed(cell):
  return "".join(
    output.text
    for output in cell.outputs
    if output.output_type == "stream" and output.name == "stdout"
  )


def figures(cell):
  return [
    output
    for output in cell.outputs
    if output.output_type == "display_data" and "image/png" in output.data
  ]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
  """Cells by id, after a run of everything in a folder of its own."""
  folder = tmp_path_factory.mktemp("notebook")
  notebook = read(FIRST)
  replace_parameters(notebook, dict(SHORT))
  paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
  environment = os.environ | {
    "PYTHONPATH": os.pathsep.join(paths),
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "IPYTHONDIR": str(folder / "ipython"),
  }
  client = nbclient.NotebookClient(
    notebook,
    timeout=300,
    kernel_name="python3",
    resources={"metadata": {"path": str(folder)}},
  )
  client.execute(env=environment)
  return {cell.id: cell for cell in notebook.cells}


def test_every_cell_runs(executed):
  codes = [cell for cell in executed.values() if cell.cell_type == "code"]
  assert [cell.execution_count for cell in codes] == [
    number + 1 for number in range(len(codes))
  ]
  kinds = {output.output_type for cell in codes for output in cell.outputs}
  assert "error" not in kinds


@pytest.mark.parametrize("name", ["curves", "bits", "swap", "own-use"])
def test_a_figure_is_drawn(executed, name):
  assert len(figures(executed[name])) == 1


def test_tasks_of_the_first_and_the_last_round_are_shown(executed):
  text = printed(executed["tasks"])
  assert "round 1\n" in text
  assert f"round {SHORT['ROUNDS']}\n" in text
  assert " random " in text
  assert " -> " in text


def test_both_quantizers_are_compared(executed):
  text = printed(executed["own-use"])
  assert [line.split()[0] for line in text.splitlines()] == ["mean", "median"]


def test_each_puzzle_gets_a_table(executed):
  text = printed(executed["pose"])
  headings = [line for line in text.splitlines() if "examples" in line]
  assert len(headings) == 3
  assert text.count("/3 right, sampled") >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
  for cell in code_cells(read(path)):
    assert cell.outputs == []
    assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_badge_opens_this_very_file(path):
  notebook = read(path)
  assert f"({COLAB}/colab/{path.name})" in notebook.cells[0].source
  sources = [cell.source for cell in code_cells(notebook)]
  assert sum(source.count(REPOSITORY) for source in sources) == 1


def test_the_reading_order_names_every_notebook():
  text = (ROOT / "colab" / "README.md").read_text()
  places = [text.index(f"({path.name})") for path in NOTEBOOKS]
  assert places == sorted(places)
