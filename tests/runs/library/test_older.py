"""Artifacts of older schemas become today's: same numbers, and old ids lead to the same curves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, older
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import Content
from tests.runs.library.tampering import change_manifest, side_of, write_older

Make = Callable[..., Any]


@pytest.fixture
def content(config: Any, content_of: Callable[..., Content]) -> Content:
    return content_of(config)


def former_id(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_text())["id"])


def test_nothing_of_it_is_lost(tmp_path: Path, config: Any, content: Content) -> None:
    folder = write_older(tmp_path / "old", content)
    assert older.is_older(folder)
    found = older.read(folder)
    assert (found.config, found.config.seeds) == (config, config.seeds)
    assert found.former == {former_id(folder): [0, 1]}
    assert (found.made, found.notes) == (content.made, content.notes)
    for name, rows in content.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], rows, check_exact=True)
    new = artifacts.write(tmp_path / "new", found)
    assert not older.is_older(new)
    assert artifacts.read(new).former == {former_id(folder): (0, 1)}


def test_artifacts_of_one_experiment_become_one(
    tmp_path: Path, config: Any, content_of: Make, make: Make
) -> None:
    few = content_of(checks.with_seeds(config, (0, 1)), device="few")
    many = content_of(checks.with_seeds(config, (1, 2, 4)), device="many")
    other = content_of(make(lr=0.05))
    olds = {
        name: write_older(tmp_path / "cache" / name, one)
        for name, one in {"a": few, "b": many, "c": other}.items()
    }
    ids = {name: former_id(folder) for name, folder in olds.items()}
    said = older.convert(tmp_path / "cache")
    assert said == {
        ids["a"]: config.id,
        ids["b"]: config.id,
        ids["c"]: other.config.id,
    }
    assert not any(folder.exists() for folder in olds.values())
    found, problems = artifacts.scan(tmp_path / "cache")
    assert (set(found), problems) == ({config.id, other.config.id}, [])
    one = found[config.id]
    assert one.folder == tmp_path / "cache" / kinds.of(config).folder(config)
    assert [(made["seeds"], made["device"]) for made in one.made] == [
        ([0], "few"),
        ([1, 2, 4], "many"),
    ], "of the seed that both have, that of the artifact with most"
    answers = Answers(None, found)
    for name, old in (("a", few), ("b", many)):
        answer = answers.find_id(ids[name])
        assert answer is not None
        assert (answer.config, answer.config.seeds) == (config, old.config.seeds)
        for table, rows in old.tables.items():
            pd.testing.assert_frame_equal(answers.table(answer, table), rows, check_exact=True)
    whole = answers.find_id(config.id)
    assert whole is not None
    assert whole.config.seeds == (0, 1, 2, 4)
    assert older.convert(tmp_path / "cache") == {}, "once"


def test_what_is_of_today_already_is_joined(tmp_path: Path, config: Any, content_of: Make) -> None:
    place = tmp_path / kinds.of(config).folder(config)
    artifacts.write(place, content_of(checks.with_seeds(config, (7,))))
    write_older(tmp_path / "old", content_of(config))
    older.convert(tmp_path)
    assert artifacts.read(place).config.seeds == (0, 1, 7)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another's id": (
        lambda f: change_manifest(f, id="1e2f303c0118b861"),
        "id '1e2f303c0118b861' is not that of its config",
    ),
    "schema of another kind": (
        lambda f: change_manifest(f, schema_version=1 + (f / "front.parquet").exists()),
        r"schema \d is not known",
    ),
    "no config": (lambda f: change_manifest(f, config=...), "lacks 'config'"),
    "no seeds": (lambda f: change_config(f, seeds=[]), "no seeds; give at least one"),
    "strange seeds": (lambda f: change_config(f, seeds=[-1]), "seed -1 must be between 0"),
    "notes": (lambda f: change_manifest(f, notes="x"), "notes 'x' is not a JSON list"),
    "hash": (
        lambda f: change_manifest(f, table_blake2b="0" * 32),
        r"(trajectory|front)\.parquet is not the file that the manifest describes",
    ),
    "no hash": (
        lambda f: change_manifest(f, table_blake2b=None),
        r"(trajectory|front)\.parquet is not in the manifest",
    ),
    "no hash of a side table": (
        lambda f: change_manifest(f, cosines_blake2b=..., transfers_blake2b=...),
        r"(cosines|transfers)\.parquet is not in the manifest",
    ),
    "no side table": (
        lambda f: side_of(f).unlink(),
        r"it lacks (cosines|transfers)\.parquet",
    ),
}


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "manifest.json").read_text())["config"]
    change_manifest(folder, config=config | changes)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_named_and_stays(tmp_path: Path, content: Content, damage: str) -> None:
    folder = write_older(tmp_path / "old", content)
    spoil, reason = DAMAGES[damage]
    spoil(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=f"^artifact old: .*{reason}"):
        older.read(folder)
    with pytest.raises(InputError, match=reason):
        older.convert(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# What ships was converted so.


@pytest.mark.parametrize(
    ("former", "setting", "seeds"),
    [
        ("1e2f303c0118b861", "digits", (0, 1, 2)),
        ("8880875fcf126567", "cifar100", (0, 1, 2)),
        ("da72ee864db9ca80", "cifar100", (0, 1)),
    ],
)
def test_old_links_lead_to_what_ships(former: str, setting: str, seeds: tuple[int, ...]) -> None:
    answers = Answers(None, artifacts.scan()[0])
    answer = answers.find_id(former)
    assert answer is not None
    assert (answer.config.setting, answer.config.seeds) == (setting, seeds)
    assert (answer.state, answer.origins) == ("done", ("shipped",))
    assert set(answers.main(answer)["seed"]) == {*seeds}


def test_two_that_shipped_of_one_experiment_are_one_now() -> None:
    answers = Answers(None, artifacts.scan()[0])
    found = [answers.find_id(run) for run in ("8880875fcf126567", "da72ee864db9ca80")]
    ids = {answer.config.id for answer in found if answer is not None}
    assert len(ids) == 1
    assert {*ids} & {"8880875fcf126567", "da72ee864db9ca80"} == set()


def test_former_ids_that_ship_are_each_of_one_experiment() -> None:
    every = [run for artifact in artifacts.scan()[0].values() for run in artifact.former]
    assert len(every) == len(set(every)) > 150
    assert not {*every} & {*artifacts.scan()[0]}
