"""Precompute: a plan becomes artifacts, once."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs.grids import precompute as precompute_module
from mtl_core.runs.grids.engines import Engine, EngineLost
from mtl_core.runs.grids.precompute import artifact_name, precompute, read_plan
from mtl_core.runs.grids.replica import train_replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.library import artifacts

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
    assert {(c.epochs, c.auxiliaries_label, c.lr) for c in swept} == {
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


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[3].glob("plans/*.toml")), ids=str)
def test_the_plans_that_ship_can_be_read(path: Path) -> None:
    assert read_plan(path)


BAD = {
    "": r"plan .* has neither \[\[grid\]\] nor \[\[front\]\]; see plans/",
    "grid = []": r"plan .* has neither \[\[grid\]\] nor \[\[front\]\]; see plans/",
    "grid = 3": r"plan .* has no \[\[grid\]\], but grid = 3",
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
    for counts in ("1 configs trained, 0 already there", "0 configs trained, 1 already there"):
        assert precompute([bad, good], tmp_path, jobs=1) == 1
        found, problems = artifacts.scan(tmp_path)
        assert (list(found), problems) == ([good.id], [])
        *_, failure, summary = capsys.readouterr().err.splitlines()
        assert failure.startswith(f"failed: {artifact_name(bad)}: training diverged: loss of ")
        assert summary.startswith(f"{counts}, 1 failed; 1 process busy for ")


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
    assert capsys.readouterr().err.splitlines()[-2].endswith(": RuntimeError: out of memory")


# what was finished stays finished

KILLED = """
import sys
from pathlib import Path
from mtl_core.config import RunConfig
from mtl_core.runs.grids.precompute import precompute
import json
configs = [RunConfig.from_dict(one) for one in json.loads(sys.argv[2])]
sys.exit(precompute(configs, Path(sys.argv[1]), jobs=2))
"""


@pytest.fixture
def rich(make_config: Make) -> list[RunConfig]:
    """Configs with every table that an artifact can have, the second with notes too."""
    words = {"epochs": 3, "factors": ("fisher_trace", "gradient_similarity")}
    return [
        make_config(auxiliaries=(), seeds=(0, 1), **words),
        make_config(optimizer="mgda", seeds=tuple(range(8)), samples=128, **words),
    ]


def test_killed_half_way_and_called_again_it_ends_like_an_undisturbed_one(
    tmp_path: Path, rich: list[RunConfig], python: Make, until: Make, numbers: Make
) -> None:
    scratch = tmp_path / "killed" / ".unfinished"
    arguments = (tmp_path / "killed", json.dumps([config.to_dict() for config in rich]))
    first = python(KILLED, *arguments)
    until(lambda: len(list(scratch.glob("*.json"))) >= 2 or first.poll() is not None, "replicas")
    processes = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in scratch.glob("*.json")}
    assert 2 <= len(kept) < 8, "half-way"
    assert len(processes) >= 2
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == [], "nobody trains on behind our back"

    second = python(KILLED, *arguments)
    _, said = second.communicate()
    assert second.returncode == 0, said
    assert said.startswith(f"{len(kept)}/10 replicas"), "those that were kept are not trained again"
    assert "2 configs trained, 0 already there, 0 failed; 2 processes busy for " in said
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
            yield train_replica(config.to_dict(), seed)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Make:
    def use(**words: Any) -> FakeEngine:
        fake = FakeEngine(**words)
        monkeypatch.setattr(precompute_module, "open_engine", fake)
        return fake

    return use


def test_an_artifact_does_not_depend_on_who_finishes_first(
    tmp_path: Path, rich: list[RunConfig], engine: Make, numbers: Make
) -> None:
    engine()
    assert precompute(rich, tmp_path / "a") == 0
    engine(shuffled=lambda tasks: reversed(list(tasks)))
    assert precompute(rich, tmp_path / "b") == 0
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


def test_the_longest_go_first_and_nothing_is_trained_twice(
    tmp_path: Path, make_config: Make, engine: Make
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


def test_replicas_that_were_finished_are_taken_up(
    tmp_path: Path, make_config: Make, engine: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config, other = make_config(seeds=(0, 1, 2, 3)), make_config(epochs=1)
    engine(shuffled=lambda tasks: reversed(list(tasks)), most=3)
    assert precompute([config, other], tmp_path) == 1
    assert clockless(capsys) == [
        "0/5 replicas, 0 %",
        "1/5 replicas, 11 %, T left",
        "2/5 replicas, 33 %, T left",
        "3/5 replicas, 55 %, T left",
        "error: the cat has pulled the plug",
        "1 configs trained, 0 already there, 0 failed, 1 unfinished; 2 processes busy for P of T",
    ]
    scratch = tmp_path / ".unfinished"
    assert sorted(path.name for path in scratch.iterdir()) == [
        f"{config.id}-{seed}.json" for seed in (2, 3)
    ]
    assert list(artifacts.scan(tmp_path)[0]) == [other.id], "scratch is no artifact"

    # One is damaged meanwhile, and a writer that was killed has left its folder.
    path = scratch / f"{config.id}-3.json"
    path.write_bytes(path.read_bytes()[:-9])
    junk = tmp_path / artifact_name(config) / ".part-x" / "manifest.json"
    junk.parent.mkdir(parents=True)
    junk.write_text("{}")
    fake = engine()
    assert precompute([config, other], tmp_path) == 0
    assert fake.tasks == [(config.id, 0), (config.id, 1), (config.id, 3)]
    assert clockless(capsys) == [
        f"trained again: {path.name}: is damaged, or of another version",
        "1/4 replicas, 25 %, T left",
        "2/4 replicas, 50 %, T left",
        "3/4 replicas, 75 %, T left",
        "4/4 replicas, 100 %, T left",
        "1 configs trained, 1 already there, 0 failed; 2 processes busy for P of T",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["digits"]
    assert not junk.parent.exists()


def clockless(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on standard error, without what a clock has said."""
    text = re.sub(r"\d+ s\b", "T", capsys.readouterr().err)
    return re.sub(r"busy for \d+%", "busy for P", text).splitlines()


def test_a_config_whose_replicas_are_all_there_needs_no_engine(
    tmp_path: Path, make_config: Make, engine: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(seeds=(0, 1))
    scratch = Scratch(tmp_path)
    with scratch.locked():
        for seed in config.seeds:
            scratch.keep(config, train_replica(config.to_dict(), seed))
    fake = engine()
    assert precompute([config], tmp_path) == 0
    assert fake.tasks == []
    assert capsys.readouterr().err == "1 configs trained, 0 already there, 0 failed\n"
    assert list(artifacts.scan(tmp_path)[0]) == [config.id]


def test_progress_counts_what_is_left_of_the_grid(
    tmp_path: Path, make_config: Make, engine: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, missing = make_config(seeds=(0, 1)), make_config(epochs=1)
    scratch = Scratch(tmp_path)
    with scratch.locked():
        for seed in kept.seeds:
            scratch.keep(kept, train_replica(kept.to_dict(), seed))
    engine()
    assert precompute([kept, missing], tmp_path) == 0
    assert clockless(capsys) == [
        "0/1 replicas, 0 %",
        "1/1 replicas, 100 %, T left",
        "2 configs trained, 0 already there, 0 failed; 2 processes busy for P of T",
    ]


def test_a_config_that_has_failed_costs_no_more_and_keeps_what_it_had(
    tmp_path: Path, make_config: Make, engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtl_core.training import replicas

    advance = replicas.advance

    def unlucky(config: RunConfig, seeds: tuple[int, ...], *rest: Any, **words: Any) -> Any:
        if seeds == (1,):
            raise MemoryError
        return advance(config, seeds, *rest, **words)

    config = make_config(seeds=(0, 1, 2))
    monkeypatch.setattr(replicas, "advance", unlucky)
    fake = engine()
    assert precompute([config], tmp_path) == 1
    assert fake.tasks == [(config.id, 0), (config.id, 1)]
    monkeypatch.setattr(replicas, "advance", advance)
    fake = engine()
    assert precompute([config], tmp_path) == 0
    assert fake.tasks == [(config.id, 1), (config.id, 2)]


def test_seeds_of_unlike_machines_make_no_artifact(
    tmp_path: Path, make_config: Make, monkeypatch: pytest.MonkeyPatch, engine: Make, capsys: Any
) -> None:
    config = make_config(seeds=(0, 1))
    fingerprints = iter(["one", "another"])
    monkeypatch.setattr(artifacts, "data_fingerprint", lambda config: next(fingerprints))
    engine()
    assert precompute([config], tmp_path) == 1
    assert "its seeds were trained on machines with other data or" in capsys.readouterr().err
    assert not (tmp_path / ".unfinished").exists(), "none of it can be trusted"


def test_two_at_a_time_are_one_too_many(tmp_path: Path, make_config: Make) -> None:
    config = make_config()
    reason = f"another precompute is writing to {re.escape(str(tmp_path))}; wait for it, or"
    with Scratch(tmp_path).locked(), pytest.raises(InputError, match=reason):
        precompute([config], tmp_path, jobs=1)
    assert precompute([config], tmp_path, jobs=1) == 0, "the lock goes with its holder"


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
