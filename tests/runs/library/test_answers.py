"""Answers: what is known of a curve, from where, run by run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds
from mtl_core.runs.kinds.base import columns_of
from mtl_core.runs.library import answers as module
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answers, other_data
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import COSINES

Make = Callable[..., Any]
ALICE = "1-alice"


def seeds_of(config: Any, *seeds: int) -> Any:
    return checks.with_seeds(config, seeds)


def test_nobody_asked_before(store: Store, config: Any) -> None:
    answers = Answers(store, {})
    answer = answers.find(config)
    assert (answer.state, answer.active, answer.share) == ("new", False, 0.0)
    assert (answer.origins, answer.artifacts, answer.records) == ((), (), ())
    assert (answer.done, answer.missing) == ((), (0, 1))
    assert (answer.made, answer.said("device"), answer.errors) == ((), "–", ())
    for name, form in answer.kind.tables.items():
        rows = answers.table(answer, name)
        assert (list(rows.columns), len(rows)) == (list(form.columns), 0)
    assert answers.notes(answer) == []
    assert answers.find_id(config.id) is None
    with pytest.raises(InputError, match=f"run {config.id} is new; only finished runs"):
        answers.content(answer)


def test_the_store_answers_while_it_trains(store: Store, config: Any, put_runs: Make) -> None:
    put_runs(store, config, end=None)
    answers = Answers(store, {})
    answer = answers.find(config)
    assert (answer.origins, answer.state, answer.active) == (("own",), "running", True)
    assert answers.find_id(config.id) == answer
    assert set(answers.main(answer)["step"]) == {0, kinds.of(config).steps(config)}
    before = answer.version
    store.finish(Key(config.id, 0), ALICE, "done")
    half = answers.find(config)
    assert half.states() == {0: "done", 1: "running"}
    assert (half.state, half.done, half.missing) == ("running", (0,), ())
    store.finish(Key(config.id, 1), ALICE, "done")
    whole = answers.find(config)
    assert (whole.state, whole.active, whole.share) == ("done", False, 1.0)
    assert len({before, half.version, whole.version}) == 3


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("done", "running", "failed"), "running"),
        (("done", "queued", "failed"), "queued"),
        (("done", "failed", "cancelled"), "failed"),
        (("done", "cancelled", "new"), "cancelled"),
        (("done", "done", "new"), "new"),
        (("done", "done", "done"), "done"),
    ],
)
def test_of_several_runs_what_matters_most_is_said(
    store: Store, make: Make, put_runs: Make, states: tuple[str, ...], state: str
) -> None:
    config = make(seeds=(0, 1, 2))
    order = sorted(enumerate(states), key=lambda one: one[1] == "queued")
    for seed, one in order:
        if one == "queued":
            store.submit(seeds_of(config, seed))
        elif one != "new":
            put_runs(store, seeds_of(config, seed), end=None if one == "running" else one)
    answer = Answers(store, {}).find(config)
    assert answer.states() == dict(enumerate(states))
    assert answer.state == state
    assert answer.active == (state in ("running", "queued"))
    assert len(answer.done) == states.count("done")
    assert answer.errors == (("it broke",) if "failed" in states else ())


def test_every_run_counts_once_shipped_before_imported_before_own(
    store: Store, make: Make, put_runs: Make, ship: Make
) -> None:
    config = make(seeds=(0, 1, 2, 3))
    put_runs(store, seeds_of(config, 0, 1, 2))
    shipped = ship(seeds_of(config, 0), "a", device="ship")
    imported = ship(seeds_of(config, 0, 1), "b", device="import")
    answers = Answers(store, {config.id: shipped}, {config.id: imported})
    answer = answers.find(config)
    assert [answer.origin(seed) for seed in range(4)] == ["shipped", "imported", "own", None]
    assert answer.origins == ("shipped", "imported", "own")
    assert answer.artifacts == (shipped, imported)
    assert [record.seed for record in answer.records] == [2]
    assert (answer.done, answer.missing, answer.state) == ((0, 1, 2), (3,), "new")
    assert [(made["seeds"], made["device"]) for made in answer.made] == [
        ([0], "ship"),
        ([1], "import"),
    ]
    assert answer.said("device") == "ship; import"
    for name in answer.kind.tables:
        rows = answers.table(answer, name)
        parts = [shipped.table(name), imported.table(name), store.table(config, name, (2,))]
        for seed, part in enumerate(parts):
            own = part[part["seed"] == seed].reset_index(drop=True)
            mine = rows[rows["seed"] == seed].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, own, check_exact=True)
    one = answers.find(seeds_of(config, 1))
    pd.testing.assert_frame_equal(
        answers.main(one),
        imported.table(one.kind.main).query("seed == 1").reset_index(drop=True),
    )
    found = answers.find_id(config.id)
    assert found is not None
    assert found.config.seeds == (0, 1, 2)


def test_an_artifact_comes_before_a_run_that_failed(
    store: Store, config: Any, put_runs: Make, ship: Make
) -> None:
    put_runs(store, config, end="failed")
    artifact = ship(config, device="elsewhere")
    answers = Answers(store, {config.id: artifact})
    answer = answers.find(config)
    assert (answer.origins, answer.state, answer.active) == (("shipped",), "done", False)
    assert (answer.said("device"), answer.errors) == ("elsewhere", ())
    assert answers.find_id(config.id) == answer
    for name in answer.kind.tables:
        pd.testing.assert_frame_equal(answers.table(answer, name), artifact.table(name))


def test_own_runs_and_an_artifact_of_them_give_the_same_tables(
    store: Store, config: Any, content_of: Make, ship: Make, put_runs: Make
) -> None:
    put_runs(store, config)
    own, shipped = Answers(store, {}), Answers(None, {config.id: ship(config)})
    one, other = own.main(own.find(config)), shipped.main(shipped.find(config))
    both = other[other["step"].isin(set(one["step"]))].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, both)
    assert own.find(replace(config, lr=0.7)).state == "new"
    assert own.find_id("0" * 16) is None


def test_an_old_id_leads_to_its_seeds(
    store: Store, config: Any, ship: Make, content_of: Make, put_runs: Make, tmp_path: Path
) -> None:
    old = artifacts.former_id(config, (1,))
    content = replace(content_of(config), former={old: (1,)})
    artifact = artifacts.read(artifacts.write(tmp_path / "a", content))
    for answers in (
        Answers(store, {config.id: artifact}),
        Answers(None, {}, {config.id: artifact}),
    ):
        answer = answers.find_id(old)
        assert answer is not None
        assert (answer.config, answer.config.seeds, answer.state) == (config, (1,), "done")
        assert set(answers.main(answer)["seed"]) == {1}


def test_finished_are_experiments_with_runs_that_are_done(
    store: Store, make: Make, makers: dict[str, Make], put_runs: Make, ship: Make
) -> None:
    config, own, brought = make(), make(lr=0.02), make(lr=0.03)
    put_runs(store, seeds_of(config, 1, 5))
    put_runs(store, seeds_of(own, 2))
    put_runs(store, make(lr=0.04), end=None)
    put_runs(store, seeds_of(own, 3), end="failed")
    shipped, imported = ship(config), ship(brought)
    answers = Answers(store, {config.id: shipped}, {brought.id: imported})
    found = answers.finished(config.kind)
    assert [(one.config, one.config.seeds) for one in found] == [
        (config, (0, 1, 5)),
        (brought, (0, 1)),
        (own, (2,)),
    ]
    assert all(one.state == "done" for one in found)
    for kind in makers.keys() - {config.kind}:
        assert answers.finished(kind) == []


@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_side_tables_and_notes_come_from_where_the_run_is(
    store: Store, make: Make, make_pieces: Make, ship: Make
) -> None:
    config, other = make(), make(epochs=3, seeds=(0,))
    pair = {"seed": 0, "step": 4, "epoch": 1.0, "task": "digits1", "other": "digits2"}
    pair["cosine"] = 0.25
    store.submit(other)
    store.claim(ALICE)
    (piece,) = make_pieces(other, (0,), 4)
    cosines = {**piece.tables, "cosines": columns_of([pair], COSINES)}
    store.save(Key(other.id, 0), ALICE, [replace(piece, tables=cosines, notes=("why",))])
    answers = Answers(store, {config.id: ship(config)})
    live, done = answers.find(other), answers.find(config)
    assert answers.table(live, "cosines").to_dict("records") == [pair]
    assert len(answers.table(done, "cosines")) == 2
    assert (answers.notes(live), answers.notes(done)) == (["why"], ["nothing of note"])


def test_without_a_store_artifacts_still_answer(make: Make, ship: Make) -> None:
    config, other = make(), make(lr=0.02)
    answers = Answers(None, {config.id: ship(config)})
    assert answers.find(config).origins == ("shipped",)
    assert answers.find(other).origins == ()
    assert answers.find_id(other.id) is None
    assert answers.estimate_seconds(config) is None
    assert len(answers.main(answers.find(other))) == 0


# What is finished, as an artifact would hold it.


def test_what_is_done_is_content(store: Store, make: Make, put_runs: Make, ship: Make) -> None:
    config = make(seeds=(0, 1, 2, 3))
    put_runs(store, seeds_of(config, 1, 2))
    put_runs(store, seeds_of(config, 3), end="failed")
    answers = Answers(store, {config.id: ship(seeds_of(config, 0), device="ship")})
    content = answers.content(answers.find(config))
    assert content.config.seeds == (0, 1, 2)
    said = [(made["seeds"], made["device"]) for made in content.made]
    assert said == [([0], "ship"), ([1, 2], "unknown")]
    for name, rows in content.tables.items():
        done = answers.find(seeds_of(config, 0, 1, 2))
        pd.testing.assert_frame_equal(rows, answers.table(done, name))


# How long it would take.


def test_estimates_scale_with_the_work_of_the_last_finished_run(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    answers = Answers(store, {})
    assert answers.estimate_seconds(make_config()) is None
    for config, seconds in ((make_config(epochs=4), 99.0), (make_config(epochs=8), 10.0)):
        store.submit(config)
        store.claim(ALICE)
        store.save(Key(config.id, 0), ALICE, [], seconds=seconds)
        store.finish(Key(config.id, 0), ALICE, "done")
    assert answers.estimate_seconds(make_config(epochs=8)) == pytest.approx(10.0)
    assert answers.estimate_seconds(make_config(epochs=8, lr=1.0)) == pytest.approx(10.0)
    three = make_config(epochs=8, seeds=(0, 1, 2))
    assert answers.estimate_seconds(three) == pytest.approx(15.0), "on two cores"
    assert answers.estimate_seconds(three, three) == pytest.approx(30.0)
    longer = answers.estimate_seconds(make_config(epochs=16))
    assert longer is not None
    assert 10 * 1.6 < longer < 20
    alone = answers.estimate_seconds(make_config(epochs=8, auxiliaries=()))
    assert alone == pytest.approx(5.0)
    measured = answers.estimate_seconds(make_config(epochs=8, factors=("sharpness",)))
    cheaper = answers.estimate_seconds(make_config(epochs=8, factors=("fisher_trace",)))
    assert measured is not None
    assert cheaper is not None
    assert measured > cheaper > 10
    fashion = RunConfig.from_preset("fashion", "quick")
    assert answers.estimate_seconds(fashion) is None, "nothing of its pace was trained here"
    assert answers.estimate_seconds(three, fashion) is None
    front = ParetoConfig.from_preset("toy", "quick")
    assert answers.estimate_seconds(front) is None, "nor any of its kind"


def test_time_is_estimated_from_the_last_front_of_the_problem(
    store: Store, make_front: Make
) -> None:
    answers = Answers(store, {})
    config = make_front()
    store.submit(config)
    store.claim(ALICE)
    store.save(Key(config.id, 0), ALICE, [], seconds=7.0)
    store.finish(Key(config.id, 0), ALICE, "done")
    longer = replace(config, iterations=3 * config.iterations)
    assert answers.estimate_seconds(longer) == pytest.approx(21.0)


# On which data.


def test_data_that_is_not_this_machines_is_said(
    config: Any, ship: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = kinds.of(config).fingerprint(config)
    same = Answers(None, {config.id: ship(config, data_fingerprint=here)}).find(config)
    assert other_data(same) is None
    unknown = Answers(None, {config.id: ship(config, data_fingerprint="unknown")}).find(config)
    assert other_data(unknown) is None
    other = Answers(None, {config.id: ship(config, data_fingerprint="f" * 16)}).find(config)
    assert other_data(other) == (
        f"made on other data (fingerprint {'f' * 16}) than this machine has ({here})"
    )

    def never(_: Any) -> str:
        raise AssertionError("reading the data takes seconds")

    kind = replace(kinds.of(config), fingerprint=never)
    monkeypatch.setitem(kinds.KINDS, kind.name, kind)
    assert other_data(Answers(None, {}).find(config)) is None


def test_without_the_data_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ship: Make
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "empty"))
    config = RunConfig.from_preset("fashion", "quick", seeds=(0,))
    answer = Answers(None, {config.id: ship(config, data_fingerprint="f" * 16)}).find(config)
    assert other_data(answer) is None


# What follows from all experiments.


def test_what_follows_from_all_is_made_once_until_one_changes(
    store: Store, make: Make, put_runs: Make, ship: Make
) -> None:
    config = make(seeds=(0, 1))
    artifact = ship(seeds_of(config, 0))
    made: list[str] = []

    def derived(answers: Answers, finished: bool) -> int:
        def make_it() -> int:
            made.append("finished" if finished else "all")
            return len(made)

        return answers.derive("count", make_it, finished=finished)

    def both() -> list[str]:
        """What was made anew, by another session."""
        made.clear()
        answers = Answers(Store(store.path), {config.id: artifact})
        for finished in (True, False, True, False):
            derived(answers, finished)
        return list(made)

    assert both() == ["finished", "all"]
    assert both() == []
    store.submit(seeds_of(config, 1))
    assert both() == ["all"], "what is queued is not finished"
    store.claim(ALICE)
    store.finish(Key(config.id, 1), ALICE, "done")
    assert both() == ["finished", "all"]
    store.remove(config.id, [1])
    assert both() == ["finished", "all"]
    made.clear()
    derived(Answers(store, {}), True)
    assert made == ["finished"], "other artifacts"


def test_those_with_one_baseline_are_those_that_all_finished_ones_have(
    store: Store, make_config: Make, make_front: Make, put_runs: Make, ship: Make
) -> None:
    multi, single = make_config(), make_config(auxiliaries=())
    for config in (multi, make_config(lr=0.5), make_front()):
        put_runs(store, config)
    store.submit(make_config(optimizer="mgda"))
    answers = Answers(store, {single.id: ship(single)})
    found = answers.alike(multi)
    assert [one.config for one in found] == [single, multi], "shipped ones first"
    everything = answers.finished("training")
    assert found == [one for one in everything if one.config.baseline == single]
    assert len(everything) == 3
    assert answers.alike(make_config(epochs=7)) == []


def test_a_table_is_read_again_when_its_runs_have_changed_and_only_then(
    store: Store, config: Any, make_pieces: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.submit(config)
    store.claim(ALICE)
    read: list[int] = []
    table = Store.table

    def counted(self: Store, config: Any, *arguments: Any) -> pd.DataFrame:
        read.extend(config.seeds)
        return table(self, config, *arguments)

    monkeypatch.setattr(Store, "table", counted)
    answers = Answers(store, {})
    for step in (0, 1):
        for seed in (0, 1):
            store.save(Key(config.id, seed), ALICE, make_pieces(config, (seed,), step))
            answer = answers.find(config)
            rows = answers.main(answer)
            pd.testing.assert_frame_equal(rows, table(store, config, answer.kind.main))
            rows.loc[:, "seed"] = 99  # a page's own copy
            pd.testing.assert_frame_equal(
                answers.main(answer), table(store, config, answer.kind.main)
            )
    assert read == [0, 1, 1, 0, 1], "both at first, then the one that went on"
