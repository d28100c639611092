"""A third kind, declared in this file and nowhere else: all that runs can be, its runs are.

It counts up by a stride. A real worker in another process is told of it by importing this module.
"""

import argparse
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
import pytest

from mtl_core import checks, cli
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.grids.plans import read_plan
from mtl_core.runs.grids.precompute import precompute
from mtl_core.runs.kinds import Command, Kind, Piece, Plan, States, Table
from mtl_core.runs.kinds.base import columns_of
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers, other_data
from mtl_core.runs.queue import records
from mtl_core.runs.queue.lockstep import Lockstep
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.slices import Stacks
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
EVERY = 5
"""Steps from one measured one to the next."""


@dataclass(frozen=True)
class CountConfig:
    """Counts from the seed up."""

    kind: ClassVar[str] = "count"

    stride: int
    steps: int = 20
    wait: float = 0.0
    seeds: tuple[int, ...] = field(default=(0,), compare=False)

    def __post_init__(self) -> None:
        checks.whole("stride", self.stride, 1)
        object.__setattr__(self, "seeds", checks.seeds(self.seeds))

    @property
    def id(self) -> str:
        return checks.content_id(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        del values["seeds"]
        return {"of": "count", **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, seeds: Any = (0,)) -> Self:
        values = dict(values)
        if values.pop("of", None) != "count" or "stride" not in values:
            raise InputError("it does not count")
        return cls(**values, seeds=seeds)

    @classmethod
    def from_preset(cls, stride: str, preset: str, **changes: Any) -> Self:
        return cls(**({"stride": int(stride)} | changes))


COUNTED = Table(("seed", "step", "value"), whole=("seed", "step", "value"))
HALVES = Table(("seed", "step", "half", "parity"), words=("parity",))


def measured(config: CountConfig, seed: int, step: int) -> Piece:
    value = seed + config.stride * step
    place = {"seed": seed, "step": step}
    half = {"half": value / 2, "parity": "even" if value % 2 == 0 else "odd"}
    tables = {
        "counted": columns_of([place | {"value": value}], COUNTED.columns),
        "halves": columns_of([place | half], HALVES.columns),
    }
    return Piece(seed, step, tables, notes=("it only counts",))


def advance(
    config: CountConfig, seeds: tuple[int, ...], states: States, seconds: float, device: str
) -> list[Piece]:
    import numpy as np

    begun = time.monotonic()
    step = int(states[seeds[0]]["step"]) if states else 0
    pieces = [] if states else [measured(config, seed, 0) for seed in seeds]
    moved = False
    while step < config.steps:
        over = time.monotonic() - begun >= seconds
        if (pieces or (moved and seconds)) and over:
            break
        time.sleep(config.wait)
        step, moved = step + 1, True
        if step % EVERY == 0:
            pieces += [measured(config, seed, step) for seed in seeds]
    return [*pieces, *(Piece(seed, step, {}, {"step": np.array(step)}) for seed in seeds)]


def carry_out(config: CountConfig, device: str, pool: Any, states: Any) -> Iterator[Piece]:
    for seed in config.seeds:
        own = {seed: states[seed]} if seed in states else {}
        yield from advance(config, (seed,), own, float("inf"), device)


def fingerprint(config: CountConfig) -> str:
    return "numbers"


def protocol(config: CountConfig) -> Mapping[str, str]:
    return {"value": "counted, one by one"}


def check(config: CountConfig, tables: Mapping[str, pd.DataFrame], finished: bool) -> None:
    table = tables["counted"]
    if set(table["seed"]) != set(config.seeds):
        raise InputError("its seeds are not those of its config")
    if (table["value"] != table["seed"] + config.stride * table["step"]).any():
        raise InputError("it cannot count")
    if finished and (table.groupby("seed")["step"].max() != config.steps).any():
        raise InputError("it ends early")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stride", type=int, required=True)


COUNT = Kind(
    name="count",
    noun="count",
    verb="counted",
    config=CountConfig,
    tables={"counted": COUNTED, "halves": HALVES},
    steps=lambda config: int(config.steps),
    advance=advance,
    carry_out=carry_out,
    device=lambda config, best: "cpu",
    cost=lambda config: float(config.steps),
    pace=lambda config: "counting",
    fingerprint=fingerprint,
    protocol=protocol,
    check=check,
    folder=lambda config: f"counts/{config.stride}--{config.id}",
    command=Command(
        "count",
        "count up",
        _add,
        lambda options: CountConfig(options.stride, seeds=tuple(options.seeds)),
        lambda config, preset: f"python -m mtl_core count --stride {config.stride}",
        lambda config: f"by {config.stride}",
    ),
    plan=Plan("count", "stride", {}),
)


def expected(config: CountConfig) -> dict[str, pd.DataFrame]:
    steps = range(0, config.steps + 1, EVERY)
    return COUNT.frames([measured(config, seed, step) for seed in config.seeds for step in steps])


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line that a third kind takes."""
    monkeypatch.setitem(kinds.KINDS, "count", COUNT)


def carried_out(store: Store) -> None:
    """All that is queued, here."""
    made = Lockstep(store, "1-alice", "cpu", Stacks())
    made.add(store.claim("1-alice"))
    while made.going:
        made.turn({}, 0.0)


def assert_there(store: Store, config: CountConfig) -> None:
    for name, table in expected(config).items():
        pd.testing.assert_frame_equal(store.table(config, name), table, check_exact=True)


def test_it_is_queued_carried_out_and_stored(store: Store, make_config: Make) -> None:
    """Beside an experiment of a kind that is known, in one question."""
    config, other = CountConfig(3, seeds=(0, 1)), make_config(epochs=1)
    records = store.submit(config, other)
    assert [record.kind.name for record in records] == ["count", "count", "training"]
    carried_out(store)
    assert {record.state for record in store.runs()} == {"done"}
    assert store.get(config.id, 1).info["data_fingerprint"] == "numbers"
    assert store.get(config.id, 1).info["factors"] == {"value": "counted, one by one"}
    assert store.notes(config) == ["it only counts"]
    assert_there(store, config)


WORKER = """
import sys
import tests.runs.kinds.test_third_kind as third
from mtl_core.runs import kinds
from mtl_core.runs.queue import worker

kinds.KINDS["count"] = third.COUNT
words = ["--store", sys.argv[1], "--device", "cpu", "--idle-minutes", "0.02"]
sys.exit(worker.main(words))
"""


def test_a_real_worker_carries_it_out_in_its_processes(store: Store, until: Make) -> None:
    quick, slow = CountConfig(2, seeds=(0, 1)), CountConfig(5, steps=40, wait=0.05, seeds=(0, 1, 2))
    store.submit(quick, slow)
    log = store.path.with_name("log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(store.path)],
            stdout=output,
            stderr=output,
            cwd=Path(__file__).resolve().parents[3],
        )
    try:
        until(lambda: store.state(Key(slow.id, 2)) is not None, "a state of it")
        assert store.get(slow.id, 0).state == "running"
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert {record.state for record in store.runs()} == {"done"}, log.read_text()
    assert all(record.seconds > 0 for record in store.runs(slow.id))
    for config in (quick, slow):
        assert_there(store, config)


def test_a_worker_that_does_not_know_it_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that a later version wrote into."""
    config = CountConfig(3)
    store.submit(config)
    monkeypatch.delitem(kinds.KINDS, "count")
    records._parsed.cache_clear()  # of another process
    assert store.claim("1-alice") == []
    assert "unknown kind of experiment 'count'" in store.unreadable()[config.id]


def test_it_is_answered_written_and_read(store: Store, tmp_path: Path) -> None:
    config = CountConfig(3, seeds=(0, 1))
    store.submit(config)
    carried_out(store)
    answers = Answers(store, {})
    answer = answers.find(config)
    assert (answer.state, answer.done, answer.share) == ("done", (0, 1), 1)
    pd.testing.assert_frame_equal(answers.main(answer), expected(config)["counted"])
    assert [one.config for one in answers.finished("count")] == [config]
    assert answers.finished("training") == []
    assert answers.find_id(config.id).config == config
    assert answers.estimate_seconds(CountConfig(4, steps=40)) > 0
    assert other_data(answer) is None

    folder = artifacts.write(tmp_path / COUNT.folder(config), answers.content(answer))
    artifact = artifacts.read(folder)
    assert (artifact.config, artifact.config.seeds) == (config, (0, 1))
    for name, table in expected(config).items():
        pd.testing.assert_frame_equal(artifact.table(name), table)
    shipped, problems = artifacts.scan(tmp_path)
    assert (list(shipped), problems) == ([config.id], [])
    both = Answers(None, shipped).find(CountConfig(3, seeds=(0, 2)))
    assert both.states() == {0: "done", 2: "new"}


def test_it_is_exported_and_imported_elsewhere(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CountConfig(3, seeds=(0, 1))
    store.submit(config)
    carried_out(store)
    here = Answers(store, {})
    data = exchange.pack([here.find(config)], here)

    monkeypatch.setenv("MTL_STORE", str(tmp_path / "elsewhere" / "runs.db"))
    there = Store()
    (received,) = exchange.receive_zip(io.BytesIO(data), "counts.zip", Answers(there, {}))
    assert (received.run, tuple(received.seeds)) == (config.id, (0, 1))
    found, problems = exchange.imported()
    assert (list(found), problems) == ([config.id], [])
    answers = Answers(there, {}, found)
    answer = answers.find(config)
    assert (answer.state, answer.origins) == ("done", ("imported",))
    for name, table in expected(config).items():
        pd.testing.assert_frame_equal(answers.table(answer, name), table)
    assert answers.notes(answer) == ["it only counts"]
    assert answer.factors == {"value": "counted, one by one"}

    bad = artifacts.content(found[config.id])
    bad.tables["counted"].loc[3, "value"] += 1
    artifacts.write(tmp_path / "bad", bad)
    with pytest.raises(InputError, match="it cannot count"):
        artifacts.read(tmp_path / "bad")


def test_it_has_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    line = ["count", "--stride", "3", "--seeds", "0", "1", "--device", "cpu", "--out", str(out)]
    assert cli.main(line) == 0
    config = CountConfig(3, seeds=(0, 1))
    artifact = artifacts.read(out)
    assert artifact.config == config
    pd.testing.assert_frame_equal(artifact.table("counted"), expected(config)["counted"])


def test_plans_name_it_and_are_precomputed(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[count]]\nstride = "3"\nsteps = [10, 20]\nseeds = [0, 1]\n')
    configs = read_plan(plan)
    assert configs == [CountConfig(3, steps=10), CountConfig(3, steps=20)]
    assert precompute(configs, tmp_path / "out", jobs=1) == 0
    found, problems = artifacts.scan(tmp_path / "out")
    assert problems == []
    for config in configs:
        table = found[config.id].table("counted")
        pd.testing.assert_frame_equal(table, expected(config)["counted"])
