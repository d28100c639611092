"""Precompute: a plan becomes artifacts, once."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs import artifacts
from mtl_core.runs.precompute import artifact_name, precompute, read_plan

Make = Callable[..., Any]


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return path

    return write


def test_lists_are_swept_and_each_config_is_there_once(plan: Make) -> None:
    configs = read_plan(
        plan(
            """
            [[grid]]
            setting = "digits"
            preset = ["quick", "standard"]
            auxiliaries = [[], ["digits2"], ["noisy_digits", "digits2"]]
            lr = [0.1, 0.01]
            seeds = [4, 2]

            [[grid]]
            setting = "digits"
            lr = 0.1
            seeds = [2, 4]

            [[grid]]
            setting = "digits"
            target = ["digits1", "digits2"]
            epochs = 1
            """
        )
    )
    preset = settings.get("digits").preset
    assert len(configs) == len(set(configs)) == 2 * 3 * 2 + 2
    swept = configs[:12]
    assert {(c.epochs, c.run, c.lr) for c in swept} == {
        (epochs, run, lr)
        for epochs in (preset("quick").epochs, preset("standard").epochs)
        for run in ("stl", "digits2", "digits2+noisy_digits")
        for lr in (0.1, 0.01)
    }
    assert {c.seeds for c in swept} == {(2, 4)}
    assert [(c.target, c.epochs, c.lr, c.seeds) for c in configs[12:]] == [
        ("digits1", 1, preset("quick").lr, (0, 1, 2)),
        ("digits2", 1, preset("quick").lr, (0, 1, 2)),
    ]


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("plans/*.toml")), ids=str)
def test_the_plans_that_ship_can_be_read(path: Path) -> None:
    assert read_plan(path)


BAD = {
    "": r"plan .* has no \[\[grid\]\]; see plans/",
    "grid = 3": r"plan .* has no \[\[grid\]\]",
    "grid = [1]": r"grid 1 of plan .*: 1 is not a table; write \[\[grid\]\]",
    "[[grid]\n": r"plan .* is not TOML \(",
    "[[grid]]\npreset = 'quick'": r"grid 1 of plan .*: setting None is not a name",
    "[[grid]]\nsetting = ['digits']": r"setting \['digits'\] is not a name",
    "[[grid]]\nsetting = 'marsian'": r"unknown setting 'marsian'; one of: ",
    "[[grid]]\nsetting = 'digits'\npreset = 'huge'": r"unknown preset of digits 'huge'",
    "[[grid]]\nsetting = 'digits'\nepoch = 3": r"unknown field 'epoch'; one of: setting, ",
    "[[grid]]\nsetting = 'digits'\nseeds = 3": r"seeds 3 are not a list, such as \[0, 1, 2\]",
    "[[grid]]\nsetting = 'digits'\nseeds = '012'": r"seeds '012' are not a list",
    "[[grid]]\nsetting = 'digits'\nseeds = ['a']": r"seed 'a' is not a whole number",
    "[[grid]]\nsetting = 'digits'\nauxiliaries = 'digits2'": r"'digits2' are not a list of lists",
    "[[grid]]\nsetting = 'digits'\nauxiliaries = ['digits2']": r"are not a list of lists",
    "[[grid]]\nsetting = 'digits'\nauxiliaries = [['digits1']]": r"'digits1' is among its own aux",
    "[[grid]]\nsetting = 'digits'\nlr = []": r"field 'lr' is an empty list",
    "[[grid]]\nsetting = 'digits'\nlr = 'fast'": r"learning rate 'fast' is not a number",
    "[[grid]]\nsetting = 'digits'\nepochs = [1, 0]": r"epochs 0 must be between",
    "[[grid]]\nsetting = 'digits'\noptimizer = 'pcgard'": r"unknown optimizer 'pcgard'",
    "[[grid]]\nsetting = 'digits'\n[[grid]]\nsetting = 'x'": r"grid 2 of plan .*: unknown setting",
}


@pytest.mark.parametrize("text", BAD)
def test_a_plan_that_cannot_be_carried_out_says_why_in_one_line(plan: Make, text: str) -> None:
    with pytest.raises(InputError, match=BAD[text]) as caught:
        read_plan(plan(text))
    assert len(str(caught.value).splitlines()) == 1


def test_a_plan_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read plan .*nowhere.toml \(No such file"):
        read_plan(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match=r"cannot read plan .* \(Is a directory"):
        read_plan(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"x.toml is not TOML"):
        read_plan(tmp_path / "x.toml")


def test_artifacts_hold_what_train_gives(
    tmp_path: Path, make_config: Make, expected_rows: Make, metric_rows: Make
) -> None:
    configs = [make_config(seeds=(0, 1)), make_config(auxiliaries=())]
    assert precompute(configs, tmp_path, jobs=2) == 0, "in real processes"
    found, problems = artifacts.scan(tmp_path)
    assert problems == []
    assert set(found) == {config.id for config in configs}
    for config in configs:
        artifact = found[config.id]
        assert artifact.folder == tmp_path / artifact_name(config)
        table = artifact.trajectory()
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        assert metric_rows(rows) == expected_rows(config), "to the last bit"
        assert artifact.manifest["duration_seconds"] > 0
        assert artifact.manifest["device"] == "cpu"
        assert artifact.manifest["data_fingerprint"] == artifacts.data_fingerprint(config)


def test_what_is_there_is_not_trained_again_and_what_is_damaged_is(
    tmp_path: Path, make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [make_config(epochs=1), make_config(epochs=2), make_config(epochs=3)]

    def times() -> list[int]:
        files = [tmp_path / artifact_name(config) / "manifest.json" for config in configs]
        return [file.stat().st_mtime_ns if file.exists() else 0 for file in files]

    assert precompute(configs[:2], tmp_path, jobs=1) == 0
    first = times()
    assert precompute(configs, tmp_path, jobs=1) == 0
    second = times()
    assert second[:2] == first[:2]
    assert "1/1 replicas" in capsys.readouterr().err

    (tmp_path / artifact_name(configs[0]) / "trajectory.parquet").write_bytes(b"x")
    assert precompute(configs, tmp_path, jobs=1) == 0
    third = times()
    assert third[0] > second[0]
    assert third[1:] == second[1:]
    assert "not taken as done: artifact digits1--" in capsys.readouterr().err
    assert len(artifacts.scan(tmp_path)[0]) == 3


def test_a_config_that_fails_is_reported_costs_no_other_and_is_tried_again(
    tmp_path: Path, make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = make_config(lr=1e30, base_optimizer="sgd", seeds=(0, 1))
    good = make_config()
    for _ in range(2):
        assert precompute([bad, good], tmp_path, jobs=1) == 1
        found, problems = artifacts.scan(tmp_path)
        assert (list(found), problems) == ([good.id], [])
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"failed: {artifact_name(bad)}: training diverged: loss of ")


def test_an_error_that_nobody_foresaw_costs_one_config(
    tmp_path: Path,
    make_config: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mtl_core.training import replicas

    advance = replicas.advance

    def boom(config: RunConfig, *arguments: Any, **words: Any) -> Any:
        if config.epochs == 1:
            raise RuntimeError("out of memory\nand more")
        return advance(config, *arguments, **words)

    monkeypatch.setattr(replicas, "advance", boom)
    assert precompute([make_config(epochs=1), make_config()], tmp_path, jobs=1) == 1
    assert list(artifacts.scan(tmp_path)[0]) == [make_config().id]
    assert capsys.readouterr().err.splitlines()[-1].endswith(": RuntimeError: out of memory")


def test_a_folder_that_cannot_be_written_is_said_before_training(
    tmp_path: Path, make_config: Make
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=re.escape(f"cannot write {tmp_path / 'file'} (")):
        precompute([make_config()], tmp_path / "file", jobs=1)


def test_names_of_many_auxiliaries_fit_a_file_system(make_config: Make) -> None:
    config = make_config(auxiliaries=("digits2", "noisy_digits"))
    assert artifact_name(config) == f"digits/digits1--digits2+noisy_digits--{config.id}"
    object.__setattr__(config, "auxiliaries", tuple(f"attribute_{n}" for n in range(39)))
    assert artifact_name(config) == f"digits/digits1--39-auxiliaries--{config.id}"
