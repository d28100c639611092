"""Finer artifacts take the place of coarser ones: old ids lead on, and nothing else goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, superseded
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import Content, former_id
from tests.runs.library.tampering import change_manifest

Make = Callable[..., Any]


SMALL: dict[str, Any] = {
    "auxiliaries": ("trees",),
    "epochs": 2,
    "batch_size": 16,
    "samples": 64,
    "factors": ("sharpness",),
}


def fish(steps: int, seeds: tuple[int, ...] = (0, 1), **changes: Any) -> RunConfig:
    """A small training on a network with BatchNorm."""
    small = {**SMALL, "apgd_steps": steps, "seeds": seeds, **changes}
    return RunConfig("cifar100", "fish", **small)


@pytest.fixture
def ship(tmp_path: Path, content_of: Callable[..., Content]) -> Callable[..., Path]:
    """Writes an artifact of a config and its former ids into the folder of all."""

    def write(config: Any, **former: tuple[int, ...]) -> Path:
        content = replace(content_of(config), former=former)
        return artifacts.write(tmp_path / config.id, content)

    return write


def test_old_ids_lead_to_the_finer_one_with_the_seeds_that_they_meant(
    tmp_path: Path, ship: Make
) -> None:
    coarse, fine = fish(3, (0, 1)), fish(17, (0, 1, 2))
    eldest = former_id(coarse, (0,))
    old, new = ship(coarse, **{eldest: (0,)}), ship(fine)
    rows = artifacts.read(new).table("trajectory")
    ids = superseded.supersede(tmp_path)
    assert ids == {coarse.id: fine.id, eldest: fine.id}
    assert not old.exists()
    artifact = artifacts.read(new)
    assert artifact.former == {eldest: (0,), coarse.id: (0, 1)}
    assert artifact.table("trajectory").equals(rows)
    answers = Answers(None, artifacts.scan(tmp_path)[0])
    for run, seeds in ((coarse.id, (0, 1)), (eldest, (0,)), (fine.id, (0, 1, 2))):
        answer = answers.find_id(run)
        assert answer is not None
        assert (answer.config, answer.config.seeds) == (fine, seeds)
        assert answers.current(run) == fine.id
    assert superseded.supersede(tmp_path) == {}, "once is enough"


def test_one_with_seeds_of_its_own_stays(tmp_path: Path, ship: Make) -> None:
    old, new = ship(fish(3, (0, 1))), ship(fish(17, (1, 2)))
    assert superseded.supersede(tmp_path) == {}
    assert old.exists()
    assert artifacts.read(new).former == {}


def test_one_that_differs_in_more_stays(tmp_path: Path, ship: Make) -> None:
    kept = [ship(fish(3, lr=0.05)), ship(fish(3, sharpness_rho=0.1)), ship(fish(4)), ship(fish(17))]
    assert superseded.supersede(tmp_path) == {}
    assert all(folder.exists() for folder in kept)


def test_a_former_id_is_one_of_a_coarser_experiment_or_none(ship: Make) -> None:
    fine = fish(17)
    folder = ship(fine)
    change_manifest(folder, former={fish(3).id: [0], former_id(fish(3), (0, 1)): [0, 1]})
    assert len(artifacts.read(folder).former) == 2
    for foreign in (fish(4), fish(3, lr=0.05)):
        for run in (foreign.id, former_id(foreign, (0, 1))):
            change_manifest(folder, former={run: [0, 1]})
            with pytest.raises(InputError, match=f"former '{run}' was no id of its config"):
                artifacts.read(folder)


def test_only_sharpness_of_networks_with_batch_norm_was_coarser(make_config: Make) -> None:
    coarser = kinds.get("training").coarser
    assert coarser(fish(17)) == (fish(3),)
    assert coarser(fish(20, sharpness_rho=0.1)) == (fish(3, sharpness_rho=0.1),)
    for none in (fish(3), fish(2), fish(17, factors=()), fish(17, factors=("fisher_trace",))):
        assert coarser(none) == ()
    assert coarser(make_config(factors=("sharpness",), apgd_steps=17)) == ()
    assert kinds.get("front").coarser(None) == ()


def test_the_command_counts(tmp_path: Path, ship: Make, capsys: pytest.CaptureFixture[str]) -> None:
    ship(fish(3))
    ship(fish(17))
    assert superseded.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 ids lead to 1 finer artifacts now\n"
