"""Precompute: experiments of any kind become artifacts, each run once."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from mtl_core import checks
from mtl_core.errors import DataMissing, InputError
from mtl_core.runs import kinds
from mtl_core.runs.grids import precompute as precompute_module
from mtl_core.runs.grids.engines import Engine, EngineLost
from mtl_core.runs.grids.precompute import precompute
from mtl_core.runs.grids.replica import Replica, train_replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.library import artifacts

Make = Callable[..., Any]


def folder(config: Any) -> str:
    return kinds.of(config).folder(config)


def trained(config: Any, seed: int) -> Replica:
    return train_replica(config.kind, config.to_dict(), seed)


def clockless(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on standard error, without what a clock has said."""
    text = re.sub(r"\d+ s\b", "T", capsys.readouterr().err)
    return re.sub(r"busy for \d+%", "busy for P", text).splitlines()


class FakeEngine:
    """Trains in this process, in the order of ``shuffled``, and is lost after ``most`` replicas."""

    def __init__(self, shuffled: Make = iter, most: int = 99) -> None:
        self.shuffled = shuffled
        self.most = most
        self.tasks: list[tuple[str, int]] = []

    @contextmanager
    def __call__(self, backend: str, **words: Any) -> Iterator[Engine]:
        yield Engine(2, self.train)

    def train(self, tasks: Any) -> Any:
        for config, seed in self.shuffled(tasks):
            if len(self.tasks) == self.most:
                raise EngineLost("the cat has pulled the plug")
            self.tasks.append((config.id, seed))
            yield trained(config, seed)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Make:
    def use(**words: Any) -> FakeEngine:
        fake = FakeEngine(**words)
        monkeypatch.setattr(precompute_module, "open_engine", fake)
        return fake

    return use


# what is written


def test_artifacts_hold_what_train_and_solve_give(
    tmp_path: Path, make_config: Make, make_front: Make, measured: Make, held: Make, same: Make
) -> None:
    configs = [
        make_config(seeds=(0, 1), factors=("gradient_similarity",)),
        make_config(auxiliaries=()),
        make_front(method="adaptive", seeds=(0, 1)),
        make_front("linnerud", method="mgda"),
    ]
    assert precompute(configs, tmp_path, jobs=2) == 0, "in real processes"
    found, problems = artifacts.scan(tmp_path)
    assert problems == []
    assert set(found) == {config.id for config in configs}
    for config in configs:
        artifact = found[config.id]
        assert artifact.folder == tmp_path / folder(config)
        assert artifact.config.seeds == config.seeds
        same(held(artifact), measured(config))
        (made,) = artifact.made
        assert made["seeds"] == [*config.seeds]
        assert made["device"] == "cpu"
        assert made["versions"] == artifacts.versions()
        assert made["data_fingerprint"] == artifact.kind.fingerprint(config)
        main = artifact.table(artifact.kind.main)
        assert made["duration_seconds"] >= main.groupby("seed")["seconds"].max().sum() > 0
    assert precompute(configs, tmp_path, jobs=1) == 0


def test_an_artifact_has_a_folder_that_people_can_read(make_config: Make, make_front: Make) -> None:
    front = make_front("linnerud", method="mgda")
    assert folder(front) == f"pareto/linnerud/mgda--{front.id}"
    config = make_config(auxiliaries=("digits2", "noisy_digits"))
    assert folder(config) == f"digits/digits1--digits2+noisy_digits--{config.id}"
    object.__setattr__(config, "auxiliaries", tuple(f"attribute_{n}" for n in range(39)))
    assert folder(config) == f"digits/digits1--39-auxiliaries--{config.id}", "names have limits"


def test_what_is_there_is_not_trained_again_and_what_is_damaged_is(
    tmp_path: Path, make: Make, numbers: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [make(1), make(2), make(3)]
    name = kinds.of(configs[0]).main

    def times() -> list[int]:
        files = [tmp_path / folder(config) / "manifest.json" for config in configs]
        return [file.stat().st_mtime_ns if file.exists() else 0 for file in files]

    assert precompute(configs[:2], tmp_path, jobs=1) == 0
    first = times()
    assert precompute(configs, tmp_path, jobs=1) == 0
    second = times()
    assert second[:2] == first[:2]
    assert "1/1 runs" in capsys.readouterr().err

    before = numbers(tmp_path)
    damaged = tmp_path / folder(configs[0])
    (damaged / f"{name}.parquet").write_bytes(b"x")
    assert precompute(configs, tmp_path, jobs=1) == 0
    third = times()
    assert third[0] > second[0]
    assert third[1:] == second[1:]
    said = capsys.readouterr().err
    assert f"not taken as done: artifact {damaged.name}: {name}.parquet is not the file" in said
    assert "1 experiments trained, 2 already there, 0 failed" in said
    assert numbers(tmp_path) == before


def test_an_artifact_does_not_depend_on_who_finishes_first(
    tmp_path: Path, rich: list[Any], engine: Make, numbers: Make
) -> None:
    engine()
    assert precompute(rich, tmp_path / "a") == 0
    engine(shuffled=lambda tasks: reversed(list(tasks)))
    assert precompute(rich, tmp_path / "b") == 0
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


def test_the_longest_go_first_and_nothing_is_trained_twice(
    tmp_path: Path, make_config: Make, engine: Make, plain_cost: None
) -> None:
    short, stl, long = (
        make_config(epochs=1, seeds=(0, 1)),
        make_config(auxiliaries=(), seeds=(1, 0)),
        make_config(epochs=2, seeds=(1,)),
    )
    fake = engine()
    again = make_config(auxiliaries=(), optimizer="mean", seeds=(0, 1))
    assert precompute([short, stl, long, again, short], tmp_path) == 0
    assert fake.tasks == [
        (long.id, 1),  # 2 epochs, 2 tasks
        *((short.id, 0), (short.id, 1)),  # as many steps times tasks as the next, and before it
        *((stl.id, 0), (stl.id, 1)),
    ]


def test_a_replica_starts_no_processes(make_front: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtl_core.pareto import solve
    from mtl_core.training import pool

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a pool inside a pool")

    # The package has a function of the module's name.
    for name in ("WORTH_IT", "STARTING"):
        monkeypatch.setattr(import_module("mtl_core.pareto.solve"), name, 0.0)
    monkeypatch.setattr(pool, "ReplicaPool", never)
    config = make_front("linnerud", seeds=(0, 1))
    replica = trained(config, 1)
    assert replica.error is None
    assert [piece.step for piece in replica.pieces] == list(config.steps)
    with pytest.raises(AssertionError, match="a pool inside"):
        list(solve(config, device="cpu", processes=2))


# more seeds


def test_more_seeds_train_what_is_missing_and_leave_old_rows_bit_for_bit(
    tmp_path: Path, make: Make, engine: Make, measured: Make, held: Make, same: Make
) -> None:
    config = make(seeds=(0, 1, 2))
    engine()
    assert precompute([config], tmp_path) == 0
    (before,) = artifacts.scan(tmp_path)[0].values()
    old = {name: before.table(name) for name in before.kind.tables}

    # The artifact has another name than precompute gives, and ids from when seeds were in them.
    place = before.folder.rename(tmp_path / "by hand")
    former = {artifacts.former_id(config, (0, 1, 2)): (0, 1, 2)}
    artifacts.write(place, replace(artifacts.content(artifacts.read(place)), former=former))
    fake = engine()
    assert precompute([checks.with_seeds(config, range(5))], tmp_path) == 0
    assert fake.tasks == [(config.id, 3), (config.id, 4)]

    (after,) = artifacts.scan(tmp_path)[0].values()
    assert after.folder == place
    assert after.config.seeds == (0, 1, 2, 3, 4)
    assert after.former == former
    same({n: _of(after.table(n), range(3)) for n in old}, old)
    same(held(after), measured(checks.with_seeds(config, range(5))))
    (made,) = after.made
    assert made["seeds"] == [0, 1, 2, 3, 4]
    assert made["duration_seconds"] > before.made[0]["duration_seconds"]

    fake = engine()
    assert precompute([config, checks.with_seeds(config, [4])], tmp_path) == 0
    assert fake.tasks == []
    assert artifacts.read(place).config.seeds == (0, 1, 2, 3, 4), "fewer seeds take none away"


def _of(rows: pd.DataFrame, seeds: range) -> pd.DataFrame:
    return rows[rows["seed"].isin(seeds)].reset_index(drop=True)


def test_seeds_of_several_tables_are_one_experiment(
    tmp_path: Path, make: Make, engine: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make(seeds=(0, 2))
    fake = engine()
    assert precompute([config, checks.with_seeds(config, [1, 2])], tmp_path) == 0
    assert fake.tasks == [(config.id, 0), (config.id, 1), (config.id, 2)]
    assert capsys.readouterr().err.splitlines()[-1].startswith("1 experiments trained, 0 already")


def test_seeds_that_another_version_trained_stay_and_say_so(
    tmp_path: Path, make: Make, engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(seeds=(0, 1))
    engine()
    assert precompute([config], tmp_path) == 0
    here = artifacts.versions()
    newer = {**here, "torch": "9.9"}
    monkeypatch.setattr("mtl_core.runs.provenance.versions", lambda: newer)
    monkeypatch.setattr(artifacts, "versions", lambda: newer)
    assert precompute([checks.with_seeds(config, [0, 5])], tmp_path) == 0
    (artifact,) = artifacts.scan(tmp_path)[0].values()
    assert [(made["seeds"], made["versions"]) for made in artifact.made] == [
        ([0, 1], here),
        ([5], newer),
    ]


def missing(config: Any) -> str:
    raise DataMissing("put it there")


def test_seeds_of_other_data_are_not_added(
    tmp_path: Path,
    make: Make,
    engine: Make,
    change: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make(seeds=(0, 1))
    engine()
    assert precompute([config], tmp_path) == 0
    place = tmp_path / folder(config)
    before = {path: path.read_bytes() for path in place.iterdir()}
    (made,) = artifacts.read(place).made
    more = checks.with_seeds(config, [0, 1, 2])
    failed = (
        f"failed: {folder(config)}: its seeds 0 1 in {place} were made on other data (fingerprint "
        f"{made['data_fingerprint']}) than there is now (0123); remove that folder, or choose "
        "another with --out"
    )
    capsys.readouterr()
    change(config, fingerprint=lambda config: "0123")
    fake = engine()
    assert precompute([more], tmp_path) == 1
    assert fake.tasks == [], "it is said before training"
    summary = "0 experiments trained, 0 already there, 1 failed"
    assert capsys.readouterr().err.splitlines() == [failed, summary]

    @contextmanager
    def cluster(*_: Any, **__: Any) -> Iterator[Engine]:
        strange = {**made, "data_fingerprint": "0123"}
        yield Engine(1, lambda tasks: (Replica(c.id, s, (), 1.0, strange) for c, s in tasks))

    change(config, fingerprint=missing)
    monkeypatch.setattr(precompute_module, "open_engine", cluster)
    assert precompute([more], tmp_path) == 1, "nor when only those that train can know"
    assert failed in capsys.readouterr().err
    assert {path: path.read_bytes() for path in place.iterdir()} == before
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_artifact_that_was_stopped_is_made_anew(
    tmp_path: Path, make: Make, engine: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make(seeds=(0, 1))
    place = tmp_path / folder(config)
    first = [piece for piece in trained(config, 0).pieces if not piece.step]
    made = artifacts.provenance(config, "cpu")
    artifacts.write(place, artifacts.collected(config, first, made, 1.0, "the cat"))
    fake = engine()
    assert precompute([config], tmp_path) == 0
    assert fake.tasks == [(config.id, 0), (config.id, 1)]
    said = f"not taken as done: artifact {place.name} is unfinished: the cat"
    assert said in capsys.readouterr().err.splitlines()
    assert artifacts.read(place).unfinished is None


# what fails


def test_an_experiment_that_fails_is_reported_costs_no_other_and_is_tried_again(
    tmp_path: Path, make_config: Make, make_front: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = make_config(lr=1e30, base_optimizer="sgd", seeds=(0, 1))
    worse = make_front("linnerud", lr=1e30)
    good = [make_config(), make_front()]
    for counts in ("2 experiments trained, 0 already there", "0 experiments trained, 2 already"):
        assert precompute([bad, worse, *good], tmp_path, jobs=1) == 1
        found, problems = artifacts.scan(tmp_path)
        assert (set(found), problems) == ({config.id for config in good}, [])
        *_, first, second, summary = capsys.readouterr().err.splitlines()
        assert first.startswith(f"failed: {folder(bad)}: training diverged: loss of ")
        assert second.startswith(f"failed: {folder(worse)}: solving diverged: ")
        assert summary.startswith(counts)
        assert " there, 2 failed; 1 process busy for " in summary
    assert not (tmp_path / ".unfinished").exists()


def test_an_error_that_nobody_foresaw_costs_one_experiment(
    tmp_path: Path, make: Make, engine: Make, change: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = make(1), make(2)
    advance = kinds.of(bad).advance

    def boom(config: Any, *rest: Any) -> Any:
        if config == bad:
            raise RuntimeError("out of memory\nand more")
        return advance(config, *rest)

    change(bad, advance=boom)
    engine()
    assert precompute([bad, good], tmp_path) == 1
    assert list(artifacts.scan(tmp_path)[0]) == [good.id]
    assert capsys.readouterr().err.splitlines()[-2].endswith(": RuntimeError: out of memory")


def test_an_experiment_that_has_failed_costs_no_more_and_keeps_what_it_had(
    tmp_path: Path, make: Make, engine: Make, change: Make
) -> None:
    config = make(seeds=(0, 1, 2))
    advance = kinds.of(config).advance

    def unlucky(config: Any, seeds: tuple[int, ...], *rest: Any) -> Any:
        if seeds == (1,):
            raise MemoryError
        return advance(config, seeds, *rest)

    change(config, advance=unlucky)
    fake = engine()
    assert precompute([config], tmp_path) == 1
    assert fake.tasks == [(config.id, 0), (config.id, 1)]
    change(config, advance=advance)
    fake = engine()
    assert precompute([config], tmp_path) == 0
    assert fake.tasks == [(config.id, 1), (config.id, 2)]


def test_seeds_of_unlike_machines_make_no_artifact(
    tmp_path: Path, make: Make, engine: Make, change: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make(seeds=(0, 1))
    fingerprints = iter(["one", "another"])
    change(config, fingerprint=lambda config: next(fingerprints))
    engine()
    assert precompute([config], tmp_path) == 1
    assert "its seeds were trained on machines with other data each" in capsys.readouterr().err
    assert not (tmp_path / ".unfinished").exists(), "none of it can be trusted"


def test_two_at_a_time_are_one_too_many(tmp_path: Path, make: Make, engine: Make) -> None:
    config = make()
    engine()
    reason = f"another process is writing to {re.escape(str(tmp_path))}; wait for it, or"
    with Scratch(tmp_path).locked(), pytest.raises(InputError, match=reason):
        precompute([config], tmp_path)
    assert precompute([config], tmp_path) == 0, "the lock goes with its holder"


def test_a_folder_that_cannot_be_written_is_said_before_training(
    tmp_path: Path, make: Make
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=re.escape(f"cannot write {tmp_path / 'file'} (")):
        precompute([make()], tmp_path / "file", jobs=1)


# what was finished stays finished

KILLED = """
import json, sys
from pathlib import Path
from mtl_core.runs import kinds
from mtl_core.runs.grids.precompute import precompute
configs = [kinds.experiment(*one[:2], seeds=one[2]) for one in json.loads(sys.argv[2])]
sys.exit(precompute(configs, Path(sys.argv[1]), jobs=2))
"""


@pytest.fixture(params=list(kinds.KINDS))
def rich(request: pytest.FixtureRequest, make_config: Make, make_front: Make) -> list[Any]:
    """Experiments with every table that an artifact can have; of training, the second with notes
    too."""
    if request.param == "front":
        return [
            make_front(seeds=(0, 1)),
            make_front("linnerud", iterations=100, method="decay", seeds=tuple(range(8))),
        ]
    words = {"epochs": 3, "factors": ("fisher_trace", "gradient_similarity")}
    return [
        make_config(auxiliaries=(), seeds=(0, 1), **words),
        make_config(optimizer="mgda", seeds=tuple(range(8)), samples=128, **words),
    ]


def test_killed_half_way_and_called_again_it_ends_like_an_undisturbed_one(
    tmp_path: Path, rich: list[Any], python: Make, until: Make, numbers: Make
) -> None:
    scratch = tmp_path / "killed" / ".unfinished"
    said = [(config.kind, config.to_dict(), config.seeds) for config in rich]
    arguments = (tmp_path / "killed", json.dumps(said))
    first = python(KILLED, *arguments)
    until(lambda: len(list(scratch.glob("*.json"))) >= 2 or first.poll() is not None, "replicas")
    processes = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kept = list(scratch.glob("*.json"))
    assert 2 <= len(kept) < 8, "half-way"
    assert len(processes) >= 2
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == [], "nobody trains on behind our back"

    second = python(KILLED, *arguments)
    _, said = second.communicate()
    assert second.returncode == 0, said
    assert said.startswith(f"{len(kept)}/10 runs"), "those that were kept are not trained again"
    assert "2 experiments trained, 0 already there, 0 failed; 2 processes busy for " in said
    assert not scratch.exists()

    assert precompute(rich, tmp_path / "calm", jobs=1) == 0
    undisturbed = numbers(tmp_path / "calm")
    assert set(undisturbed) == {config.id for config in rich}
    assert numbers(tmp_path / "killed") == undisturbed
    files = [
        {path.relative_to(folder) for path in folder.rglob("*")}
        for folder in (tmp_path / "killed", tmp_path / "calm")
    ]
    assert files[0] == files[1], "nothing is left lying about"


LOST = [
    "0/5 runs, 0 %",
    "1/5 runs, 11 %, T left",
    "2/5 runs, 33 %, T left",
    "3/5 runs, 55 %, T left",
    "error: the cat has pulled the plug",
    "1 experiments trained, 0 already there, 0 failed, 1 unfinished; 2 processes busy for P of T",
]
TAKEN_UP = [
    "1/4 runs, 25 %, T left",
    "2/4 runs, 50 %, T left",
    "3/4 runs, 75 %, T left",
    "4/4 runs, 100 %, T left",
    "1 experiments trained, 1 already there, 0 failed; 2 processes busy for P of T",
]


def test_replicas_that_were_finished_are_taken_up(
    tmp_path: Path,
    make_config: Make,
    engine: Make,
    plain_cost: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, other = make_config(seeds=(0, 1, 2, 3)), make_config(epochs=1)
    engine(shuffled=lambda tasks: reversed(list(tasks)), most=3)
    assert precompute([config, other], tmp_path) == 1
    assert clockless(capsys) == LOST
    scratch = tmp_path / ".unfinished"
    assert sorted(path.name for path in scratch.iterdir()) == [
        f"{config.id}-{seed}.json" for seed in (2, 3)
    ]
    assert list(artifacts.scan(tmp_path)[0]) == [other.id], "scratch is no artifact"

    # One is damaged meanwhile, and a writer that was killed has left its folder.
    path = scratch / f"{config.id}-3.json"
    path.write_bytes(path.read_bytes()[:-9])
    junk = tmp_path / folder(config) / ".part-x" / "manifest.json"
    junk.parent.mkdir(parents=True)
    junk.write_text("{}")
    fake = engine()
    assert precompute([config, other], tmp_path) == 0
    assert fake.tasks == [(config.id, 0), (config.id, 1), (config.id, 3)]
    assert clockless(capsys) == [
        f"trained again: {path.name}: is damaged, or of another version",
        *TAKEN_UP,
    ]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"digits", "sound.txt"}, "the latter says that they were found sound"
    assert not junk.parent.exists()


def test_a_smaller_plan_leaves_what_a_larger_one_has_finished(
    tmp_path: Path, make: Make, engine: Make
) -> None:
    config = make(seeds=(0, 1, 2, 3))
    engine(shuffled=lambda tasks: reversed(list(tasks)), most=2)
    assert precompute([config], tmp_path) == 1
    fake = engine()
    assert precompute([checks.with_seeds(config, [0])], tmp_path) == 0
    assert fake.tasks == [(config.id, 0)]
    fake = engine()
    assert precompute([config], tmp_path) == 0
    assert fake.tasks == [(config.id, 1)]
    assert not (tmp_path / ".unfinished").exists()


def test_an_experiment_whose_replicas_are_all_there_needs_no_engine(
    tmp_path: Path,
    make: Make,
    engine: Make,
    measured: Make,
    held: Make,
    same: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make(seeds=(0, 1))
    scratch = Scratch(tmp_path)
    with scratch.locked():
        for seed in config.seeds:
            scratch.keep(trained(config, seed))
    fake = engine()
    assert precompute([config], tmp_path) == 0
    assert fake.tasks == []
    assert capsys.readouterr().err == "1 experiments trained, 0 already there, 0 failed\n"
    (artifact,) = artifacts.scan(tmp_path)[0].values()
    same(held(artifact), measured(config))


def test_progress_counts_what_is_left_of_the_grid(
    tmp_path: Path, make: Make, engine: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, missing = make(seeds=(0, 1)), make(1)
    scratch = Scratch(tmp_path)
    with scratch.locked():
        for seed in kept.seeds:
            scratch.keep(trained(kept, seed))
    engine()
    assert precompute([kept, missing], tmp_path) == 0
    assert clockless(capsys) == [
        "0/1 runs, 0 %",
        "1/1 runs, 100 %, T left",
        "2 experiments trained, 0 already there, 0 failed; 2 processes busy for P of T",
    ]
