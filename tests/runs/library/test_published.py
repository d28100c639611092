"""The paper's own Table 1, as it ships."""

import json
import shutil
from pathlib import Path

import pytest

from mtl_core import settings
from mtl_core.errors import InputError
from mtl_core.runs.library.artifacts import cache_dir, scan
from mtl_core.runs.library.published import published_table


def test_tasks_have_our_names() -> None:
    table = published_table()
    assert table.settings == ("cifar100", "celeba", "cityscapes", "glue")
    assert [row.task for row in table.of("cifar100")] == [
        "fruit_and_vegetables",
        "large_carnivores",
        "large_natural_outdoor_scenes",
        "medium_mammals",
        "fish",
        "large_omnivores_and_herbivores",
        "non-insect_invertebrates",
    ]
    assert [row.task for row in table.of("celeba")][2:] == ["double_chin", "gray_hair"]
    assert [row.task for row in table.of("cityscapes")] == ["segmentation", "depth"]
    assert [row.task for row in table.of("glue")] == ["stsb", "mrpc", "rte", "sst2"]
    assert table.of("digits") == ()
    for row in table.rows:
        task = settings.get(row.setting).task(row.task)
        assert task.direction == row.direction


def test_numbers_and_directions_are_those_of_the_paper() -> None:
    rows = {row.task: row for row in published_table().rows}
    assert rows["large_carnivores"].deltas == {
        "transfer": -3.39,
        "sharpness": 0.04,
        "fisher_trace": -212.92,
        "gradient_covariance": -0.26,
    }
    assert rows["fish"].transfer == "better"
    assert rows["stsb"].transfer == "worse"
    assert rows["depth"].direction == "lower"
    assert rows["depth"].transfer == "better", "of an error, a fall"


def test_it_says_that_it_is_published_and_is_no_run() -> None:
    manifest = published_table().manifest
    assert manifest["kind"] == "published"
    assert "2408.14677" in manifest["source"]
    assert manifest["notes"]
    found, problems = scan(cache_dir() / "published")
    assert (found, problems) == ({}, [])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(cache_dir() / "published", tmp_path / "published"))


def test_a_changed_table_is_refused(copy: Path) -> None:
    table = copy / "table1.csv"
    table.write_text(table.read_text().replace("-8.81", "8.81"))
    with pytest.raises(InputError, match=r"table1\.csv is not the file"):
        published_table(copy)


@pytest.mark.parametrize("damage", ["gone", "no json", "no digest"])
def test_a_damaged_table_is_an_error_in_words(copy: Path, damage: str) -> None:
    sidecar = copy / "table1.json"
    if damage == "gone":
        sidecar.unlink()
    elif damage == "no json":
        sidecar.write_text("{")
    else:
        manifest = json.loads(sidecar.read_text())
        del manifest["table_blake2b"]
        sidecar.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="the published Table 1 cannot be read"):
        published_table(copy)
