"""Tables of sweeps: written and read again, checked, and the shipped ones recomputed."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core.errors import InputError
from mtl_core.runs.grids.plans import read_plan
from mtl_core.runs.grids.sweep_plans import read_sweeps
from mtl_core.runs.library import sweeps
from mtl_core.runs.library.artifacts import cache_dir
from mtl_core.runs.library.sweeps import SweepTable, SweptRun, grouped, read, write

PLANS = Path(__file__).parents[3] / "plans"
SHIPPED = sorted((cache_dir() / "sweeps").glob("*/*.json"))
MADE = {
    "device": "cpu",
    "versions": {"torch": "2.0"},
    "data_fingerprint": "0123",
    "created": "2026-01-02T03:04:05Z",
    "duration_seconds": 1.25,
    "factors": {},
    "seeds": [100],
}


@pytest.fixture
def table(make_config: Callable[..., Any]) -> SweepTable:
    """Two experiments at three pairs, of which one has a run that diverged."""

    def run(lr: float, more: tuple[str, ...], *found: Any, **words: Any) -> SweptRun:
        return SweptRun(make_config(lr=lr, auxiliaries=more, seeds=(100,)), *found, **words)

    runs = (
        run(0.1, (), 0.5, 1.0),
        run(0.1, ("digits2",), 0.7, 2.0),
        run(0.2, (), 0.65, 2.0),
        run(0.2, ("digits2",), 0.65, 1.0),
        run(0.4, (), 0.9, 2.0),
        run(0.4, ("digits2",), diverged=True),
    )
    return SweepTable("try.toml", runs, grouped([MADE] * 5))


def test_a_table_is_read_as_it_was_written(tmp_path: Path, table: SweepTable) -> None:
    path = write(tmp_path, table)
    assert path == tmp_path / "try" / "digits.json"
    assert [*path.parent.iterdir()] == [path]
    assert read(path) == table
    said = json.loads(path.read_text())
    assert said["winner"] == {"lr": 0.2, "batch_size": 16, "score": 0.65, "edges": []}
    assert said["direction"] == "higher"
    assert said["size"]["seed"] == 100
    assert said["size"]["samples"] == 64
    assert said["size"].keys().isdisjoint({"lr", "batch_size", "target", "auxiliaries"})
    assert said["runs"][-1] == {
        "run": table.runs[-1].config.id,
        "target": "digits1",
        "auxiliaries": ["digits2"],
        "lr": 0.4,
        "batch_size": 16,
        "best_validation": None,
        "epoch": None,
        "diverged": True,
    }


def test_equal_runs_make_equal_bytes(tmp_path: Path, table: SweepTable) -> None:
    first = write(tmp_path, table).read_bytes()
    assert write(tmp_path, SweepTable(table.plan, table.runs, table.made)).read_bytes() == first


def test_runs_of_one_origin_are_a_group_and_add_up() -> None:
    later = {**MADE, "created": "2026-01-03T00:00:00Z", "duration_seconds": 0.5}
    other = {**MADE, "data_fingerprint": "4567"}
    base = {"device": "cpu", "versions": {"torch": "2.0"}}
    assert grouped([MADE, other, later]) == (
        {
            "runs": 2,
            **base,
            "data_fingerprint": "0123",
            "created": "2026-01-03T00:00:00Z",
            "duration_seconds": 1.75,
        },
        {
            "runs": 1,
            **base,
            "data_fingerprint": "4567",
            "created": MADE["created"],
            "duration_seconds": 1.25,
        },
    )


def test_where_all_pairs_have_lost_there_is_no_table(make_config: Callable[..., Any]) -> None:
    runs = tuple(SweptRun(make_config(lr=lr, seeds=(100,)), diverged=True) for lr in (1.0, 2.0))
    with pytest.raises(InputError, match=r"^every pair of the sweep of digits has a run that div"):
        SweepTable("try.toml", runs, ())


def changed(place: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(said: dict[str, Any]) -> None:
        *path, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
        inner: Any = said
        for part in path:
            inner = inner[part]
        inner[last] = value

    return change


DAMAGE = {
    "another winner": (changed("winner.lr", 0.1), "its fields do not follow from its runs"),
    "another score": (changed("winner.score", 0.7), "its fields do not follow"),
    "no edge": (changed("winner.edges", ["lr"]), "its fields do not follow"),
    "another metric": (changed("runs.0.best_validation", 0.99), "its fields do not follow"),
    "another rate": (changed("runs.0.lr", 0.3), "is not that of its fields, "),
    "another size": (changed("size.samples", 32), "is not that of its fields, "),
    "another id": (changed("runs.0.run", "x"), "run 'x' is not that of its fields"),
    "a strange field": (changed("runs.0.colour", "red"), "unknown config field 'colour'"),
    "a text": (changed("runs.0.best_validation", "0.5"), "has the best validation '0.5' at 1.0"),
    "half a result": (changed("runs.0.epoch", None), "has the best validation 0.5 at None"),
    "diverged and not": (changed("runs.0.diverged", True), "diverged: True, with 0.5"),
    "another setting": (changed("setting", "fashion"), "its fields do not follow"),
    "another version": (changed("version", 2), "version 2 is not 1"),
    "a path": (changed("plan", "../try.toml"), "plan '../try.toml' is not the name of a file"),
    "no seed": (changed("size", {}), "cannot be read ('seed')"),
    "no runs": (changed("runs", []), "its runs do not share a setting, a seed and a direction"),
    "a number": (changed("runs", 3), "cannot be read ('int' object is not iterable)"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(tmp_path: Path, table: SweepTable, what: str) -> None:
    change, reason = DAMAGE[what]
    path = write(tmp_path, table)
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"sweep table try/{path.name}")
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"version": 1}', "{}"])
def test_what_is_no_table_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"^sweep table .*x\.json cannot be read \("):
        read(path)


# what ships


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_winner_of_what_ships_follows_from_its_runs(path: Path) -> None:
    """Computed a second time, by hand, from the numbers in the file alone."""
    said = json.loads(path.read_text())
    means = {}
    for pair in {(run["lr"], run["batch_size"]) for run in said["runs"]}:
        own = [run for run in said["runs"] if (run["lr"], run["batch_size"]) == pair]
        if not any(run["diverged"] or run["best_validation"] is None for run in own):
            means[pair] = sum(run["best_validation"] for run in own) / len(own)
    best = (max if said["direction"] == "higher" else min)(means.values())
    even = [pair for pair, mean in means.items() if math.isclose(mean, best, abs_tol=1e-12)]
    largest = max(size for _, size in even)
    won = (min(lr for lr, size in even if size == largest), largest)
    assert (said["winner"]["lr"], said["winner"]["batch_size"]) == won
    assert said["winner"]["score"] == pytest.approx(best)
    for name, value in zip(("lr", "batch_size"), won, strict=True):
        tried = {run[name] for run in said["runs"]}
        at_edge = len(tried) > 1 and value in (min(tried), max(tried))
        assert (name in said["winner"]["edges"]) == at_edge


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_ships_is_of_a_plan_that_ships_and_its_winner_is_in_the_real_plans(
    path: Path,
) -> None:
    table = read(path)
    assert path.relative_to(cache_dir() / "sweeps") == Path(
        Path(table.plan).stem, f"{table.setting}.json"
    )
    (sweep,) = [one for one in read_sweeps(PLANS / table.plan) if one.setting == table.setting]
    assert [run.config.id for run in table.runs] == [one.id for one in sweep.experiments]
    assert {run.config.seeds for run in table.runs} == {(sweep.seed,)}
    assert sum(group["runs"] for group in table.made) == sum(not r.diverged for r in table.runs)
    pair = (table.choice.lr, table.choice.batch_size)
    for plan in sweep.into:
        own = [one for one in read_plan(plan) if getattr(one, "setting", None) == sweep.setting]
        assert {(one.lr, one.batch_size) for one in own} == {pair}


def test_a_damaged_table_is_passed_over_and_said(
    tmp_path: Path, table: SweepTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "sweeps", table)
    (tmp_path / "sweeps" / "try" / "x.json").write_text("{")
    monkeypatch.setattr(sweeps, "tables_dir", lambda: tmp_path / "sweeps")
    assert sweeps.shipped_tables() == (table,)
    (why,) = sweeps.damaged("x")
    assert why.startswith("sweep table try/x.json cannot be read (")
    assert sweeps.damaged(table.setting) == ()
    assert sweeps.scan(tmp_path / "sweeps") == ((table,), {tmp_path / "sweeps/try/x.json": why})
