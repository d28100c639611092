"""Fronts in plans: what they name, and that precompute solves for them as ``solve`` does."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.pareto import ParetoConfig, problems, solve
from mtl_core.runs import front_artifacts, fronts
from mtl_core.runs.grids import precompute as precompute_module
from mtl_core.runs.grids.engines import Engine, EngineLost
from mtl_core.runs.grids.precompute import artifact_name, precompute, read_plan
from mtl_core.runs.grids.progress import Progress, cost
from mtl_core.runs.grids.replica import Replica, train_replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.library import artifacts

Make = Callable[..., Any]
SMALL = {"iterations": 40, "frames": 4, "solutions": 5, "seeds": (0, 1)}


def front(problem: str = "toy", **changes: Any) -> ParetoConfig:
    return ParetoConfig.from_preset(problem, "quick", **(SMALL | changes))


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return path

    return write


def tables(config: ParetoConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What solving gives for all seeds together, but what a clock has said."""
    found = list(solve(config, device="cpu"))
    return (
        fronts.front_table(config, found).drop(columns="seconds"),
        fronts.transfer_table(found),
    )


def numbers(folder: Path) -> dict[str, Any]:
    """All that a folder's artifacts of fronts hold by id, but what a clock has said."""
    found, damaged = front_artifacts.scan(folder)
    assert damaged == []
    clocks = ("created", "duration_seconds", "table_blake2b")
    return {
        run: (
            one.folder.relative_to(folder),
            {name: value for name, value in one.manifest.items() if name not in clocks},
            one.front().drop(columns="seconds").map(repr).to_csv(),
            one.transfers().map(repr).to_csv(),
        )
        for run, one in found.items()
    }


# read_plan


def test_both_kinds_are_read_lists_are_swept_and_each_config_is_there_once(plan: Make) -> None:
    configs = read_plan(
        plan(
            """
            [[front]]
            problem = "toy"
            preset = ["quick", "standard"]
            method = ["independent", "mgda"]
            scalarization = ["weighted_sum", "tchebycheff"]
            seeds = [4, 2]

            [[front]]
            problem = "toy"
            scalarization = "tchebycheff"
            method = "independent"
            seeds = [2, 4]

            [[front]]
            problem = "three"
            preferences = [[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.2, 0.6, 0.2]]
            method = "decay"
            method_options = { halving = 7 }
            lr = [0.1, 0.2]

            [[front]]
            problem = "csv"
            problem_options = { file = "x.csv", targets = "a,b" }

            [[grid]]
            setting = "digits"
            """
        )
    )
    run, *found = configs
    assert isinstance(run, RunConfig), "runs first"
    assert all(isinstance(one, ParetoConfig) for one in found)
    # MGDA asks nothing of a scalarization, so that sweeping over both gives one config of it.
    swept, rest = found[:6], found[6:]
    assert {(c.solutions, c.method, c.scalarization) for c in swept} == {
        (problems.get("toy").preset(preset).solutions, method, scalarization)
        for preset in ("quick", "standard")
        for method, scalarization in (
            ("independent", "weighted_sum"),
            ("independent", "tchebycheff"),
            ("mgda", "tchebycheff"),
        )
    }
    assert {c.seeds for c in swept} == {(2, 4)}
    assert [c.lr for c in rest[:2]] == [0.1, 0.2]
    assert {c.preferences for c in rest[:2]} == {
        ((0.2, 0.3, 0.5), (0.6, 0.2, 0.2), (0.2, 0.6, 0.2))
    }
    assert {c.method_options for c in rest[:2]} == {(("halving", 7),)}
    assert rest[2].problem_options == (("file", "x.csv"), ("targets", "a,b"))
    assert len(rest) == 3


BAD = {
    "fronts = 3": r"plan .*: unknown table 'fronts'; one of: grid, front",
    "front = 3": r"plan .* has no \[\[front\]\], but front = 3",
    "front = [1]": r"front 1 of plan .*: 1 is not a table; write \[\[front\]\]",
    "[[front]]\npreset = 'quick'": r"front 1 of plan .*: problem None is not a name; one problem",
    "[[front]]\nproblem = ['toy']": r"problem \['toy'\] is not a name; one problem to each front",
    "[[front]]\nproblem = 'mars'": r"unknown problem 'mars'; one of: toy, ",
    "[[front]]\nproblem = 'toy'\npreset = 'huge'": r"unknown preset of toy 'huge'",
    "[[front]]\nproblem = 'toy'\nsetting = 'digits'": r"unknown field 'setting'; one of: problem, ",
    "[[front]]\nproblem = 'toy'\nseeds = 3": r"seeds 3 are not a list, such as \[0, 1, 2\]",
    "[[front]]\nproblem = 'toy'\nmethod = []": r"field 'method' is an empty list",
    "[[front]]\nproblem = 'toy'\nmethod = 'magic'": r"unknown method 'magic'; one of: ",
    "[[front]]\nproblem = 'toy'\nmethod = {a = 1}": r"unknown method \{'a': 1\}; one of: ",
    "[[front]]\nproblem = 'toy'\nscalarization = 2": r"unknown scalarization 2; one of: ",
    "[[front]]\nproblem = 'toy'\nlayout = 'ring'": r"unknown layout 'ring'; one of: ",
    "[[front]]\nproblem = 'toy'\nsolutions = 'few'": r"number of solutions 'few' is not a whole",
    "[[front]]\nproblem = 'toy'\nlr = 'fast'": r"learning rate 'fast' is not a number",
    "[[front]]\nproblem = 'toy'\npreferences = [0.5, 0.5]": r"are not a list of lists, such as",
    "[[front]]\nproblem = 'toy'\npreferences = [[0.5, 0.6]]": r"preference .* 1\.1",
    "[[front]]\nproblem = 'toy'\nmethod_options = ['x']": r"method_options \['x'\] are not a table",
    "[[front]]\nproblem = 'toy'\nmethod_options = {x = 1}": r"unknown option of transfer .* 'x'",
    "[[front]]\nproblem = 'toy'\nproblem_options = {x = [1]}": r"problem option 'x'=\[1\] is not a",
    "[[front]]\nproblem = 'toy'\nproblem_options = {x = 1}": r"toy has no options; leave 'x' out",
    "[[front]]\nproblem = 'csv'": r"csv needs the option targets, two columns or more",
}


@pytest.mark.parametrize("text", BAD)
def test_a_front_that_cannot_be_solved_says_why_in_one_line(plan: Make, text: str) -> None:
    with pytest.raises(InputError, match=BAD[text]) as caught:
        read_plan(plan(text))
    assert len(str(caught.value).splitlines()) == 1


# precompute


def test_artifacts_hold_what_solve_gives_and_runs_are_trained_beside(
    tmp_path: Path, make_config: Make
) -> None:
    configs = [front(method="adaptive"), front("linnerud", method="mgda")]
    run = make_config(epochs=1)
    assert precompute([run, *configs], tmp_path, jobs=2) == 0, "in real processes"
    found, damaged = front_artifacts.scan(tmp_path)
    assert damaged == []
    assert set(found) == {config.id for config in configs}
    assert list(artifacts.scan(tmp_path)[0]) == [run.id]
    for config in configs:
        artifact = found[config.id]
        assert artifact.folder == tmp_path / artifact_name(config)
        assert artifact_name(config) == f"pareto/{config.problem}/{config.method}--{config.id}"
        losses, transfers = tables(config)
        pd.testing.assert_frame_equal(
            artifact.front().drop(columns="seconds"), losses, check_exact=True
        )
        expected = transfers if config.method == "adaptive" else transfers[:0]
        pd.testing.assert_frame_equal(artifact.transfers(), expected, check_exact=True)
        manifest = artifact.manifest
        assert manifest["device"] == "cpu"
        assert manifest["data_fingerprint"] == front_artifacts.data_fingerprint(config)
        seconds = artifact.front().groupby("seed")["seconds"].max().sum()
        assert manifest["duration_seconds"] >= seconds > 0
    assert precompute([run, *configs], tmp_path, jobs=1) == 0


def test_what_is_there_is_not_solved_again_and_what_is_damaged_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [front(), front(method="mgda")]
    assert precompute(configs, tmp_path, jobs=1) == 0
    first = numbers(tmp_path)
    stamps = [(tmp_path / artifact_name(c) / "manifest.json").stat().st_mtime_ns for c in configs]
    (tmp_path / artifact_name(configs[0]) / "front.parquet").write_bytes(b"x")
    capsys.readouterr()
    assert precompute(configs, tmp_path, jobs=1) == 0
    said = capsys.readouterr().err
    assert f"not taken as done: artifact adaptive--{configs[0].id}: front.parquet is not" in said
    assert "1 configs trained, 1 already there, 0 failed" in said
    again = [(tmp_path / artifact_name(c) / "manifest.json").stat().st_mtime_ns for c in configs]
    assert again[0] > stamps[0]
    assert again[1] == stamps[1]
    assert numbers(tmp_path) == first


def test_a_seed_that_diverges_costs_its_config_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = front("linnerud", lr=1e30), front()
    assert precompute([bad, good], tmp_path, jobs=1) == 1
    assert list(front_artifacts.scan(tmp_path)[0]) == [good.id]
    failure = capsys.readouterr().err.splitlines()[-2]
    assert failure.startswith(f"failed: {artifact_name(bad)}: solving diverged: ")
    assert not (tmp_path / ".unfinished").exists()


def test_a_replica_starts_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from mtl_core.training import pool

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a pool inside a pool")

    # The package has a function of the module's name.
    for name in ("WORTH_IT", "STARTING"):
        monkeypatch.setattr(import_module("mtl_core.pareto.solve"), name, 0.0)
    monkeypatch.setattr(pool, "ReplicaPool", never)
    config = front("linnerud")
    replica = train_replica(config.to_dict(), 1)
    assert replica.error is None
    assert [one.step for one in replica.fronts] == list(config.steps)
    with pytest.raises(AssertionError, match="a pool inside"):
        list(solve(config, device="cpu", processes=2))


KILLED = """
import json, sys
from pathlib import Path
from mtl_core.runs.queue.records import config_from_dict
from mtl_core.runs.grids.precompute import precompute
configs = [config_from_dict(one) for one in json.loads(sys.argv[2])]
sys.exit(precompute(configs, Path(sys.argv[1]), jobs=2))
"""


def test_killed_half_way_and_called_again_it_ends_like_an_undisturbed_one(
    tmp_path: Path, python: Make, until: Make
) -> None:
    config = front("linnerud", iterations=100, method="decay", seeds=tuple(range(8)))
    scratch = tmp_path / "killed" / ".unfinished"
    arguments = (tmp_path / "killed", json.dumps([config.to_dict()]))
    first = python(KILLED, *arguments)
    until(lambda: len(list(scratch.glob("*.json"))) >= 2 or first.poll() is not None, "replicas")
    processes = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kept = list(scratch.glob("*.json"))
    assert 2 <= len(kept) < 8, "half-way"
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []

    second = python(KILLED, *arguments)
    _, said = second.communicate()
    assert second.returncode == 0, said
    assert said.startswith(f"{len(kept)}/8 replicas"), "those that were kept are not solved again"
    assert not scratch.exists()
    assert precompute([config], tmp_path / "calm", jobs=1) == 0
    undisturbed = numbers(tmp_path / "calm")
    assert set(undisturbed) == {config.id}
    assert numbers(tmp_path / "killed") == undisturbed


def test_seeds_that_were_finished_are_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = front(seeds=(0, 1, 2))
    asked: list[int] = []

    @contextmanager
    def engine(most: int) -> Iterator[Engine]:
        def train(tasks: Any) -> Any:
            for number, (task, seed) in enumerate(tasks):
                if number == most:
                    raise EngineLost("the cat has pulled the plug")
                asked.append(seed)
                yield train_replica(task.to_dict(), seed)

        yield Engine(2, train)

    monkeypatch.setattr(precompute_module, "open_engine", lambda *_, **__: engine(2))
    assert precompute([config], tmp_path / "a") == 1
    assert front_artifacts.scan(tmp_path / "a") == ({}, [])
    monkeypatch.setattr(precompute_module, "open_engine", lambda *_, **__: engine(9))
    assert precompute([config], tmp_path / "a") == 0
    assert asked == [0, 1, 2]
    losses, _ = tables(config)
    (artifact,) = front_artifacts.scan(tmp_path / "a")[0].values()
    pd.testing.assert_frame_equal(
        artifact.front().drop(columns="seconds"), losses, check_exact=True
    )


# scratch, progress


@pytest.mark.parametrize("problem", ["toy", "linnerud"])
def test_a_front_comes_back_from_scratch_to_the_last_bit(tmp_path: Path, problem: str) -> None:
    config = front(problem)
    replica = train_replica(config.to_dict(), 1)
    odd = replace(replica.fronts[0], metrics=np.array([[np.nan, 5e-324], [0.1 + 0.2, -0.0]]))
    replica = replace(replica, fronts=(*replica.fronts, odd))
    scratch = Scratch(tmp_path)
    with scratch.locked():
        scratch.keep(config, replica)
        found, damaged = scratch.find(config)
        assert damaged == []
        same(found[1], replica)
        path = next((tmp_path / ".unfinished").glob("*.json"))
        path.write_text(path.read_text()[:-9])
        reason = f"{config.id}-1.json: is damaged, or of another version"
        assert scratch.find(config) == ({}, [reason])
        scratch.forget(config.id)


def same(one: Replica, other: Replica) -> None:
    assert replace(one, fronts=()) == replace(other, fronts=())
    assert len(one.fronts) == len(other.fronts) > 0
    for mine, theirs in zip(one.fronts, other.fronts, strict=True):
        assert (mine.seed, mine.step) == (theirs.seed, theirs.step)
        arrays, expected = fronts.packed(mine), fronts.packed(theirs)
        assert set(arrays) == set(expected)
        for name, array in expected.items():
            assert arrays[name].tobytes() == array.tobytes(), name
            assert arrays[name].shape == array.shape


def test_what_was_solved_on_other_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = front("linnerud")
    scratch = Scratch(tmp_path)
    with scratch.locked():
        scratch.keep(config, train_replica(config.to_dict(), 0))
        here = front_artifacts.data_fingerprint(config)
        monkeypatch.setattr(front_artifacts, "data_fingerprint", lambda config: "0123")
        reason = f"{config.id}-0.json: was trained on other data, {here!r}"
        assert scratch.find(config) == ({}, [reason])
        scratch.forget(config.id)


def test_a_front_costs_what_it_differentiates(make_config: Make) -> None:
    config = front("multimnist", iterations=10, solutions=3, batch_size=32)
    assert cost(config) == 10 * 3 * 32
    assert cost(replace(config, method="mgda")) == 10 * 3 * 32 * 2
    assert cost(replace(config, batch_size=None, samples=100)) == 10 * 3 * 100
    assert cost(front("three", method="mgda")) == 3 * cost(front("three"))
    run = make_config()
    progress = Progress([(run, 0), (config, 0), (config, 1)], processes=1)
    progress.done(config, 0, 1.0)
    share = 100 * cost(config) / (cost(run) + 2 * cost(config))
    assert progress.text().startswith(f"1/3 replicas, {int(share)} %, ")


def test_the_plan_of_fronts_names_every_problem_that_has_data() -> None:
    configs = read_plan(Path(__file__).parents[3] / "plans" / "fronts.toml")
    assert {c.problem for c in configs} == {
        *problems.names(),
    } - {"csv", "nyuv2"}
    toy = [c for c in configs if c.problem == "toy"]
    assert {(c.method, c.scalarization) for c in toy} == {
        *((m, "tchebycheff") for m in ("independent", "constant", "decay", "adaptive")),
        *((m, "tchebycheff") for m in ("mgda", "pareto_mtl")),
        *(("independent", s) for s in ("weighted_sum", "smooth_tchebycheff")),
    }
    assert {c.seeds for c in toy} == {tuple(range(10))}
    assert {c.seeds for c in configs if c.problem != "toy"} == {(0, 1, 2)}
    assert len(configs) == 8 + 3 * 6 + 3 * 5
