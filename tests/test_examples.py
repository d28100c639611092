"""The notebooks run as they are, with the installed package, from a folder of their own."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from mtl_core.runs import Store
from tests.installed import Environment, install

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install(tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def store(tmp_path: Path, lend: Callable[[Path], None]) -> Iterator[Store]:
    """Where the notebook's runs go; its worker is ended with the test."""
    path = tmp_path / "runs.db"
    lend(tmp_path)
    yield (found := Store(path))
    if (worker := found.worker()) is not None:
        with suppress(ProcessLookupError):
            os.kill(int(worker["pid"]), signal.SIGTERM)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_a_notebook_runs(
    name: str,
    installed: Environment,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, data = tmp_path / name, tmp_path / "data"
    monkeypatch.setenv("MTL_DATA_DIR", str(data))  # where a setting of the notebook's is known
    installed.run(
        "python",
        "-c",
        RUN,
        str(EXAMPLES / name),
        str(done),
        MTL_STORE=str(store.path),
        MTL_DATA_DIR=str(data),
    )
    cells = nbformat.read(done, as_version=4).cells
    told = ["".join(_texts(cell)) for cell in cells if cell.cell_type == "code"]
    assert {run.state for run in store.runs()} == {"done"}, "it trained something"
    for text in EXPECTED[name]:
        assert any(text in each for each in told), text


def _texts(cell: nbformat.NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        yield output.get("text", "")
        yield from map(str, output.get("data", {}).values())


EXPECTED = {
    # What is decided from what ships, a chart, and what was trained here.
    "own_data.ipynb": ["own-", "Own data", "+ stay", "vega", "done"],
    "which_auxiliary.ipynb": ["better", "worse", "vega", "done", "too few seeds"],
}


def test_notebooks_are_kept_without_what_they_print() -> None:
    for path in EXAMPLES.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None
