"""Sweeps carried out: runs, table and winner, resumed; nothing of it is trained twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.grids import precompute as precompute_module
from mtl_core.runs.grids.engines import Engine
from mtl_core.runs.grids.replica import train_replica
from mtl_core.runs.grids.sweep import runs_dir, sweep
from mtl_core.runs.grids.sweep_plans import read_sweeps
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.sweeps import read
from mtl_core.training import train
from tests.runs.library.tampering import change_made

Make = Callable[..., Any]

REAL = """\
# The real runs.

[[grid]]
setting = "digits"
epochs = 3  # more than the sweep's

[[grid]]
setting = "fashion"
lr = 1e-3
"""
PLAN = """
[[sweep]]
setting = "digits"
auxiliaries = [[], ["digits2"]]
epochs = 2
samples = 64
held_out = 50
width = 4
lr = [1e-2, 1e-3]
batch_size = [16, 32]
into = "real.toml"
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "real.toml").write_text(REAL)
    path = tmp_path / "try.toml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs are trained in this process; their ids, in order of training."""
    done: list[str] = []

    @contextmanager
    def engine(*_: Any, **__: Any) -> Iterator[Engine]:
        def each(tasks: Any) -> Iterator[Any]:
            for config, seed in tasks:
                done.append(config.id)
                yield train_replica(config.kind, config.to_dict(), seed)

        yield Engine(1, each)

    monkeypatch.setattr(precompute_module, "open_engine", engine)
    return done


def carried_out(plan: Path) -> int:
    return sweep(plan, plan.parent / "runs", plan.parent / "tables")


def table_of(plan: Path) -> Any:
    return read(plan.parent / "tables" / "try" / "digits.json")


def test_the_winner_is_what_train_gives_and_goes_into_the_plan(
    plan: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried_out(plan) == 0
    (asked,) = read_sweeps(plan)
    assert sorted(trained) == sorted(one.id for one in asked.experiments)
    table = table_of(plan)

    # A second time, by hand.
    found = {}
    for config in asked.experiments:
        rows = [row for one in train(config, device="cpu") for row in one.rows]
        whole = [r for r in rows if r["task"] == "digits1" and r["whole_epoch"]]
        best = max(whole, key=lambda row: (row["val_metric"], -row["step"]))
        found[config.id] = (best["val_metric"], best["epoch"], False)
    assert {r.config.id: (r.best, r.epoch, r.diverged) for r in table.runs} == found
    means: dict[Any, float] = {}
    for config in asked.experiments:
        pair = (config.lr, config.batch_size)
        means[pair] = means.get(pair, 0) + found[config.id][0] / 2
    won = (table.choice.lr, table.choice.batch_size)
    assert means[won] == pytest.approx(max(means.values()))

    assert {group["data_fingerprint"]: group["runs"] for group in table.made} == {
        kinds.of(config).fingerprint(config): 4 for config in asked.experiments
    }
    assert all(group["versions"] == artifacts.versions() for group in table.made)
    lr, size = won
    assert (plan.parent / "real.toml").read_text() == REAL.replace(
        'setting = "digits"\n', f'setting = "digits"\nlr = {lr * 1e3:g}e-3\nbatch_size = {size}\n'
    ).replace("10e-3", "1e-2")
    said = capsys.readouterr().out
    assert f"digits: learning rate {lr:g} and batch size {size}, best of 4 pairs with " in said
    assert "at the edge of the grid in learning rate and batch size: a wider one may" in said
    assert "real.toml: grid 1\n" in said


def test_what_is_there_is_not_trained_again_and_comes_to_the_same_bytes(
    plan: Path, trained: list[str]
) -> None:
    (asked,) = read_sweeps(plan)
    out = plan.parent / "runs"
    part = [checks.with_seeds(config, [100]) for config in asked.experiments[:3]]
    assert precompute_module.precompute(part, out) == 0
    assert carried_out(plan) == 0
    assert len(trained) == len({*trained}) == 8
    files = [plan.parent / "tables" / "try" / "digits.json", plan.parent / "real.toml"]
    before = [file.read_bytes() for file in files]
    assert carried_out(plan) == 0
    assert len(trained) == 8
    assert [file.read_bytes() for file in files] == before


def test_a_run_that_diverged_loses_and_is_not_tried_again(
    plan: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = 'lr = [1e30, 1e-2]\nbase_optimizer = "sgd"'
    plan.write_text(PLAN.replace("lr = [1e-2, 1e-3]", wild))
    assert carried_out(plan) == 0, "it is a result"
    table = table_of(plan)
    assert {one.config.lr for one in table.runs if one.diverged} == {1e30}
    assert {one.config.lr for one in table.runs if not one.diverged} == {1e-2}
    assert table.choice.lr == 1e-2
    assert len(trained) == 8
    assert carried_out(plan) == 0
    assert table_of(plan) == table
    assert len(trained) == 8

    newer = {**artifacts.versions(), "torch": "9.9"}
    monkeypatch.setattr(artifacts, "versions", lambda: newer)
    assert carried_out(plan) == 0
    assert len(trained) == 12, "another version may not diverge"
    (plan.parent / "runs" / "diverged.json").write_text("{")
    assert carried_out(plan) == 0
    assert len(trained) == 16


def test_where_all_diverge_there_is_no_winner(
    plan: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan.write_text(PLAN.replace("[1e-2, 1e-3]", '[1e30]\nbase_optimizer = "sgd"'))
    assert carried_out(plan) == 1
    assert "no winner: every pair of the sweep of digits has a run" in capsys.readouterr().err
    assert (plan.parent / "real.toml").read_text() == REAL
    assert not [*(plan.parent / "tables").iterdir()]


def test_a_sweep_that_lacks_runs_has_no_winner_and_others_have(
    plan: Path,
    trained: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "empty"))
    more = PLAN.replace('"digits"', '"fashion"').replace('"digits2"', '"fashion2"')
    plan.write_text(more + PLAN)
    assert carried_out(plan) == 1
    said = capsys.readouterr()
    assert "no winner: 8 of 8 runs of fashion are missing; call again" in said.err.splitlines()
    assert table_of(plan).setting == "digits"
    assert [file.name for file in (tmp_path / "tables" / "try").iterdir()] == ["digits.json"]
    changed = (tmp_path / "real.toml").read_text()
    assert changed.endswith('[[grid]]\nsetting = "fashion"\nlr = 1e-3\n')
    assert "batch_size = " in changed


def test_runs_on_other_data_do_not_count(
    plan: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried_out(plan) == 0
    (plan.parent / "real.toml").write_text(REAL)
    manifest = next((plan.parent / "runs").glob("**/manifest.json"))
    change_made(manifest.parent, data_fingerprint="0123")
    assert carried_out(plan) == 1
    assert "made on other data (fingerprint 0123)" in capsys.readouterr().err
    assert (plan.parent / "real.toml").read_text() == REAL


def test_a_plan_that_was_broken_meanwhile_loses_nothing(
    plan: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = plan.parent / "real.toml"
    before = precompute_module.carry_out

    def edited_meanwhile(*args: Any, **words: Any) -> Any:
        outcome = before(*args, **words)
        real.write_text("[[grid]\n")
        return outcome

    monkeypatch.setattr("mtl_core.runs.grids.sweep.carry_out", edited_meanwhile)
    with pytest.raises(InputError, match=r"^cannot write .*real\.toml \(.*; it is as it was$"):
        carried_out(plan)
    assert real.read_text() == "[[grid]\n"
    monkeypatch.undo()
    real.write_text(REAL)
    assert carried_out(plan) == 0
    assert len({*trained}) == len(trained) == 8


def test_runs_are_kept_beside_the_cache_by_the_name_of_their_plan() -> None:
    root = Path(__file__).parents[3]
    assert runs_dir(Path("anywhere/try.toml")) == root / ".sweeps" / "try"
    assert "/.sweeps/" in (root / ".gitignore").read_text().splitlines()
