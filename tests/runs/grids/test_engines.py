"""Engines: the same replicas whoever trains them, and one line when nobody can."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mtl_core import watch
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.grids import engines
from mtl_core.runs.grids import replica as replica_module
from mtl_core.runs.grids.engines import open_engine
from mtl_core.runs.grids.precompute import precompute
from mtl_core.runs.grids.replica import Replica, in_one_line, train_replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.library import artifacts
from mtl_core.watch import SEES

Make = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def configs(make_config: Make, make_front: Make) -> list[Any]:
    return [
        make_config(seeds=(0, 1, 2), factors=("gradient_similarity",)),
        make_config(auxiliaries=(), seeds=(0, 1)),
        make_front("linnerud", method="decay"),
    ]


@pytest.fixture(scope="module")
def expected(configs: list[Any], numbers: Make, tmp_path_factory: Make) -> Any:
    """What loky gives, here without processes of its own."""
    folder = tmp_path_factory.mktemp("loky")
    assert precompute(configs, folder, jobs=1) == 0
    return numbers(folder)


@contextmanager
def dask_cluster(folder: Path, workers: int, path: str) -> Iterator[str]:
    """The address of a real scheduler with worker processes, with their PYTHONPATH."""
    distributed = pytest.importorskip("distributed", reason="pip install 'dask[distributed]'")
    file = folder / "scheduler.json"
    place = ["--host", "127.0.0.1", "--port", "0"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--scheduler-file", file, "--no-dashboard"],
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )
        for words in [["scheduler", *place], *[["worker", "--nthreads", "1"]] * workers]
    ]
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(workers, timeout=60)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: Make) -> Iterator[str]:
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2, str(ROOT)) as address:
        yield address


def test_dask_gives_the_artifacts_of_loky(
    tmp_path: Path,
    configs: list[Any],
    expected: Any,
    numbers: Make,
    cluster: str,
    capsys: Any,
) -> None:
    assert precompute(configs, tmp_path, backend="dask", scheduler=cluster) == 0
    assert numbers(tmp_path) == expected
    said = capsys.readouterr().err
    assert "6/6 runs, 100 %, 0 s left" in said
    assert "3 experiments trained, 0 already there, 0 failed; 2 processes busy for " in said
    left = {path.name for path in tmp_path.iterdir()} - {"sound.txt"}  # that they were found sound
    assert left == {"digits", "pareto"}


def test_dask_reports_an_experiment_that_fails_and_keeps_the_others(
    tmp_path: Path, make_config: Make, cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = make_config(lr=1e30, base_optimizer="sgd"), make_config()
    assert precompute([bad, good], tmp_path, backend="dask", scheduler=cluster) == 1
    said = capsys.readouterr().err
    assert re.search(rf"failed: digits/.*{bad.id}: training diverged: loss of ", said)
    assert "1 experiments trained, 0 already there, 1 failed" in said


def test_jobs_limit_what_a_cluster_is_given(
    configs: list[Any], cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [(config, seed) for config in configs for seed in config.seeds]
    taken: list[int] = []
    with open_engine("dask", jobs=1, scheduler=cluster, most=6) as engine:
        assert engine.processes == 1
        source = (taken.append(1) or task for task in tasks)
        for count, _ in enumerate(engine.train(source), start=1):
            assert len(taken) <= count + 1
    assert len(taken) == 6


def test_ray_gives_the_artifacts_of_loky(
    tmp_path: Path, configs: list[Any], expected: Any, numbers: Make
) -> None:
    pytest.importorskip("ray", reason="needs Ray, which is large: pip install ray")
    assert precompute(configs, tmp_path, backend="ray", jobs=2) == 0
    assert numbers(tmp_path) == expected


# what cannot be


@pytest.mark.parametrize(
    ("backend", "package", "module"),
    [("dask", "dask[distributed]", "distributed"), ("ray", "ray", "ray")],
)
def test_an_engine_that_is_not_installed_says_what_to_install(
    tmp_path: Path,
    make_config: Make,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    package: str,
    module: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    reason = re.escape(f'backend {backend} is not installed; pip install "{package}"')
    with pytest.raises(InputError, match=f"^{reason}$"):
        precompute([make_config()], tmp_path, backend=backend)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_backend_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown backend 'pigeon'; one of: loky, dask, ray"):
        precompute([], tmp_path, backend="pigeon")


def test_loky_has_no_scheduler(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scheduler 'tcp://h:1' is for the backends dask and ray"):
        precompute([], tmp_path, scheduler="tcp://h:1")


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_cluster_that_is_not_there_costs_one_line(closed: str, backend: str) -> None:
    pytest.importorskip({"dask": "distributed"}.get(backend, backend), reason="is an extra")
    for address in (closed, f"tcp://{closed}"):
        with pytest.raises(InputError, match="Connection refused") as caught:
            open_engine(backend, jobs=None, scheduler=address, most=1).__enter__()
        name = backend.capitalize()
        assert str(caught.value).startswith(
            f"no {name} cluster at {address!r} (Connection refused)"
        )
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("address", ["", "nonsense", "host:port", "tcp://:8786", "http://[x"])
def test_what_is_no_address_is_said(address: str) -> None:
    pytest.importorskip("distributed", reason="is an extra")
    with pytest.raises(InputError, match=re.escape(f"no Dask cluster at {address!r} (")):
        open_engine("dask", jobs=None, scheduler=address, most=1).__enter__()


def test_whatever_listens_there_must_answer_like_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="is an extra")
    monkeypatch.setattr(engines, "PATIENCE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=r"no scheduler with a worker answers within 0\.3 s"):
            open_engine("dask", jobs=None, scheduler=address, most=1).__enter__()


def test_a_scheduler_without_workers_is_no_cluster_and_threads_are_no_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    distributed = pytest.importorskip("distributed", reason="is an extra")
    monkeypatch.setattr(engines, "PATIENCE_SECONDS", 0.3)
    words = {"processes": False, "protocol": "tcp://", "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=0, threads_per_worker=2, **words) as local:
        address = local.scheduler_address
        with pytest.raises(InputError, match=r"no scheduler with a worker answers within 0\.3 s"):
            open_engine("dask", jobs=None, scheduler=address, most=1).__enter__()
        local.scale(1)
        monkeypatch.setattr(engines, "PATIENCE_SECONDS", 60.0)
        with pytest.raises(InputError, match=r"has 2 threads, .* `--nthreads 1 --nworkers N`"):
            open_engine("dask", jobs=None, scheduler=address, most=1).__enter__()


def test_workers_must_have_this_code_and_these_versions(
    tmp_path: Path,
) -> None:
    with dask_cluster(tmp_path, 1, "") as strangers:
        reason = (
            rf"the workers at {strangers} cannot run mtl_core \(ModuleNotFoundError: "
            "No module named 'mtl_core'"
        )
        with pytest.raises(InputError, match=reason):
            open_engine("dask", jobs=None, scheduler=strangers, most=1).__enter__()
    here = artifacts.versions()
    engines._check_versions("tcp://h:1", lambda: here)
    reason = rf"the workers at tcp://h:1 have torch 9\.9, and here is {re.escape(here['torch'])};"
    with pytest.raises(InputError, match=reason):
        engines._check_versions("tcp://h:1", lambda: {**here, "torch": "9.9"})


# what is lost


def test_a_replica_whose_process_died_comes_back_with_an_error(make_config: Make) -> None:
    config = make_config(seeds=(0, 1, 2))
    tasks = [(config, seed) for seed in config.seeds]

    def result(seed: int) -> Replica:
        if seed == 1:
            raise MemoryError("worker killed\nthree times")
        return Replica(config.id, seed)

    def submit(config: RunConfig, seed: int) -> int:
        return seed

    def last(futures: list[int]) -> list[int]:
        return [max(futures)]

    given = engines._as_finished(tasks, lambda: 2, submit, last, result)
    assert [(one.seed, one.error) for one in given] == [
        (1, "MemoryError: worker killed"),
        (2, None),
        (0, None),
    ]


def test_more_processes_are_used_as_a_cluster_grows_and_none_are_missed_as_it_shrinks(
    make_config: Make,
) -> None:
    config = make_config(seeds=tuple(range(6)))
    sizes = iter([1, 3, 0, 0, 2, 2, 2, 2])
    running: list[int] = []

    def submit(config: RunConfig, seed: int) -> int:
        running.append(seed)
        return seed

    def first(futures: list[int]) -> list[int]:
        assert futures == running
        most.append(len(futures))
        return [running.pop(0)]

    most: list[int] = []
    given = engines._as_finished(
        [(config, seed) for seed in config.seeds],
        lambda: next(sizes),
        submit,
        first,
        lambda seed: Replica(config.id, seed),
    )
    assert [one.seed for one in given] == list(range(6))
    assert most == [1, 3, 2, 1, 2, 1]


def test_a_replica_that_costs_two_processes_comes_back_with_an_error_and_the_others_are_done(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engines, "train_replica", dies_of_seed_0)
    config = make_config()
    with open_engine("loky", jobs=2, scheduler=None, most=3) as engine:
        assert engine.processes == 2
        found = {one.seed: one for one in engine.train([(config, seed) for seed in range(4)])}
    assert sorted(found) == [0, 1, 2, 3]
    assert found[0].error == (
        "two processes in a row did not carry out its seed 0 (the first died, the second died); "
        "call it again to go on, with fewer jobs"
    )
    assert [found[seed].error for seed in (1, 2, 3)] == [None] * 3
    said = f"tried again: {config.id}-0: its process died\n"
    assert capsys.readouterr().err == said


def dies_of_seed_0(_kind: str, _experiment: Any, seed: int, _out: str | None) -> Replica:
    if seed == 0:
        os._exit(9)
    return Replica("it", seed)


@pytest.mark.skipif(not SEES, reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_replica_whose_process_was_killed_or_stopped_goes_on_from_what_it_has_kept(
    tmp_path: Path,
    make_config: Make,
    expected_rows: Make,
    metric_rows: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    monkeypatch.setattr(engines, "train_replica", is_interrupted)
    monkeypatch.setattr(watch, "STOPPED_SECONDS", 0.5)
    monkeypatch.setenv("SIGNAL", str(int(number)))
    config = make_config(seeds=(0, 1))
    tasks = [(config, seed) for seed in config.seeds]
    with open_engine("loky", jobs=2, scheduler=None, most=2, out=tmp_path) as engine:
        found = list(engine.train(tasks))
    assert {one.seed: one.error for one in found} == {0: None, 1: None}
    rows = {}
    for one in found:
        for piece in one.pieces:
            columns = piece.tables.get("trajectory")
            rows |= metric_rows(kinds.of(config).tables["trajectory"].frame([columns]))
    assert rows == expected_rows(config)
    said = capsys.readouterr().err
    words = "died" if number == signal.SIGKILL else "was stopped"
    assert f"tried again: {config.id}-0: its process {words}\n" in said
    assert (tmp_path / "again").read_text() == "from step 0"


def is_interrupted(kind: str, experiment: Any, seed: int, out: str) -> Replica:
    """Seed 0 sends itself a signal when it has kept its first step, the first time."""
    scratch, keep, again = Scratch(Path(out)), Scratch.keep, Path(out) / "again"

    def keep_and_fall(self: Scratch, replica: Replica) -> None:
        keep(self, replica)
        if not again.exists():
            again.touch()
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))

    if seed == 0:
        config = kinds.experiment(kind, experiment, seeds=(seed,))
        begun = scratch.begun(config, seed)
        if again.exists() and begun is not None and begun.state is not None:
            again.write_text(f"from step {int(begun.state['step'])}")
        replica_module.SLICE_SECONDS = 0.0
        Scratch.keep = keep_and_fall  # type: ignore[method-assign]
    return train_replica(kind, experiment, seed, out)


def test_no_more_processes_are_started_than_are_of_use() -> None:
    with open_engine("loky", jobs=8, scheduler=None, most=3) as engine:
        assert engine.processes == 3


def test_errors_are_one_line_and_say_their_kind_unless_written_for_people() -> None:
    assert in_one_line(MemoryError()) == "MemoryError"
    assert in_one_line(RuntimeError("a\nb")) == "RuntimeError: a"
    assert in_one_line(InputError("a\nb")) == "a"


def test_what_an_experiment_cannot_do_comes_back_as_text(
    make_config: Make, make_front: Make
) -> None:
    for config, reason in (
        (make_config(lr=1e30, base_optimizer="sgd"), "training diverged: loss of "),
        (make_front("linnerud", lr=1e30), "solving diverged: "),
    ):
        replica = train_replica(config.kind, config.to_dict(), 7)
        assert replica.error is not None
        assert replica.error.startswith(reason)
        assert (replica.experiment, replica.seed) == (config.id, 7)
        assert (replica.pieces, dict(replica.provenance)) == ((), {})
        assert replica.seconds > 0
