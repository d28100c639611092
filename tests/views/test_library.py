"""The library: which runs are found, how chosen ones differ, and where links lead."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.frames import to_frame
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import COLUMNS
from mtl_core.views import library, smtos
from mtl_core.views.library import Entry, Search
from mtl_core.views.question import Question

Make = Callable[..., Any]
ALICE = "1-alice"
INFO = {"created": "2026-01-02T03:04:05Z", "device": "NVIDIA H200", "duration_seconds": 61.5}


@pytest.fixture
def ship(tmp_path: Path, make_row: Make) -> Callable[..., artifacts.Artifact]:
    """Writes an artifact of a config, shipped or at the place of imported ones."""

    def write(config: RunConfig, *, imported: bool = False, **info: Any) -> artifacts.Artifact:
        root = artifacts.imported_dir() if imported else tmp_path / "cache"
        rows = [
            make_row(config, seed, task, step)
            for seed in config.seeds
            for task in config.tasks
            for step in (0, config.steps)
        ]
        folder = artifacts.write(root / config.id, config, to_frame(rows), INFO | info)
        return artifacts.read(folder)

    return write


@pytest.fixture
def train(store: Store, make_checkpoint: Make) -> Callable[..., RunConfig]:
    """Puts a run into the store that stands at a step, in any state."""

    def put(config: RunConfig, end: str | None = "done", step: int | None = None) -> RunConfig:
        store.submit(config)
        store.claim(ALICE)
        reached = config.steps if step is None else step
        store.save(config.id, ALICE, [make_checkpoint(config, config.seeds, reached)])
        if end:
            store.finish(config.id, ALICE, end, "it broke" if end == "failed" else None)
        return config

    return put


def entry(config: RunConfig) -> Entry:
    return Entry(config.id, Answer(config, "none"))


def shelved(*found: artifacts.Artifact) -> Answers:
    return Answers(None, {one.config.id: one for one in found})


# Which there are.


def test_every_run_is_there_the_newest_first(
    store: Store, make_config: Make, ship: Make, train: Make
) -> None:
    shipped = ship(make_config(width=5))
    brought = ship(make_config(width=6), imported=True, created="2026-01-03T00:00:00Z")
    own = train(make_config(width=7))
    begun = train(make_config(width=8), "failed", step=2)
    store.submit(make_config(width=9))
    answers = Answers(store, {one.config.id: one for one in (shipped, brought)})
    found = library.entries(answers)
    assert [(one.source, one.answer.state, one.config.width) for one in found] == [
        ("own", "queued", 9),
        ("own", "failed", 8),
        ("own", "done", 7),
        ("imported", "done", 6),
        ("shipped", "done", 5),
    ]
    assert [one.key for one in found[2:]] == [own.id, brought.config.id, shipped.config.id]
    assert [one.share for one in found] == [0, 2 / begun.steps, 1, 1, 1]
    table = library.table(found)
    assert list(table["id"]) == [one.config.id for one in found]
    row = table.iloc[-1]
    assert row["device"] == "NVIDIA H200"
    assert row["seconds"] == 61.5
    assert row["created"] == pd.Timestamp("2026-01-02T03:04:05Z")
    assert row["kind"] == "measured"
    assert row["optimizer"] == "UMTG (sum)"
    assert row["seeds"] == "0"
    assert pd.isna(table.iloc[0]["seconds"])
    assert len(library.table([])) == 0


def test_a_run_that_an_artifact_answers_for_can_still_be_told_and_deleted(
    store: Store, make_config: Make, ship: Make, train: Make
) -> None:
    config = train(make_config())
    answers = Answers(store, {config.id: ship(config)})
    own, shipped = library.entries(answers)
    assert (own.key, shipped.key) == (f"own:{config.id}", config.id)
    assert len(set(library.labels([own, shipped]).values())) == 2
    library.remove(own, answers)
    assert [one.key for one in library.entries(answers)] == [config.id]
    with pytest.raises(InputError, match=f"run {config.id} ships with the app and stays"):
        library.remove(shipped, answers)
    assert shipped.answer.artifact is not None
    assert shipped.answer.artifact.folder.exists()


def test_a_running_run_is_not_removed_and_an_imported_one_is(
    store: Store, make_config: Make, ship: Make, train: Make
) -> None:
    config = train(make_config(), None, step=1)
    brought = ship(make_config(width=6), imported=True)
    answers = Answers(store, {brought.config.id: brought})
    running, imported = library.entries(answers)
    with pytest.raises(InputError, match=f"run {config.id} is running; stop it before"):
        library.remove(running, answers)
    library.remove(imported, answers)
    assert exchange.imported() == ({}, [])
    assert store.get(config.id) is not None


def test_thousands_of_runs_are_listed_at_once(store: Store, make_config: Make) -> None:
    configs = [make_config(lr=1e-4 * (1 + number)) for number in range(2000)]
    with store._write() as db:
        db.executemany(
            "INSERT INTO runs (id, config, state, queued_at) VALUES (?, ?, 'done', 0)",
            [(one.id, json.dumps(one.to_dict())) for one in configs],
        )
    answers = Answers(store, {})
    search = Search(text="digits2 umtg", state=("done",))
    found = library.entries(answers)
    library.table([one for one in found if search.passes(one)])
    started = time.perf_counter()
    found = library.entries(answers)
    library.table([one for one in found if search.passes(one)])
    assert len(found) == 2000
    assert time.perf_counter() - started < 2, "0.2 s where nobody else computes"


# What it costs: the preset, and what differs from it.


def test_a_budget_is_the_preset_and_what_differs() -> None:
    def budget(**changes: Any) -> str:
        preset = changes.pop("preset", "quick")
        return library.budget(RunConfig.from_preset("digits", preset, **changes))

    assert budget() == "quick"
    assert budget(preset="standard", auxiliaries=("digits2",), optimizer="mgda") == "standard"
    assert budget(seeds=(5, 6, 7, 8)) == "quick", "seeds have a column of their own"
    assert budget(epochs=7, width=3) == "quick · epochs 7 · width 3"


# Filters.


def searching(**asked: Any) -> Callable[[RunConfig], bool]:
    search = Search(**asked)
    return lambda config: search.passes(entry(config))


def test_a_filter_wants_one_of_its_values_and_filters_are_all_wanted(make_config: Make) -> None:
    multi, single = make_config(optimizer="mgda"), make_config(auxiliaries=())
    both = searching(setting=("digits", "fashion"))
    assert both(multi)
    assert both(single)
    assert not searching(setting=("fashion",))(multi)
    assert searching(target=("digits1", "digits2"))(multi)
    assert not searching(target=("digits2",))(multi)
    assert searching(optimizer=("mgda", "umtg"))(multi)
    assert not searching(optimizer=("umtg",))(single), "a single task has nothing to combine"
    assert searching(optimizer=("none",))(single)
    assert not searching(optimizer=("none",))(multi)
    assert not searching(optimizer=("mgda",), target=("digits2",))(multi)
    assert not searching(state=("done",))(multi)
    assert not Search().filtered
    assert not Search(chosen=("x",), task="digits1").filtered
    assert Search(state=("done",), chosen=("x",)).unfiltered == Search(chosen=("x",))


def test_sources_and_states_are_filtered(
    store: Store, make_config: Make, ship: Make, train: Make
) -> None:
    train(make_config(width=7))
    train(make_config(width=8), "failed")
    shipped = ship(make_config(width=5))
    brought = ship(make_config(width=6), imported=True)
    found = library.entries(Answers(store, {one.config.id: one for one in (shipped, brought)}))

    def widths(**asked: Any) -> list[int]:
        search = Search(**asked)
        return sorted(one.config.width for one in found if search.passes(one))

    assert widths(source=("own",)) == [7, 8]
    assert widths(source=("imported", "shipped")) == [5, 6]
    assert widths(state=("failed",)) == [8]
    assert widths(state=("done",), source=("own",)) == [7]
    assert widths(text="broke") == [8], "what a failed run said"
    assert widths(text="h200") == [5, 6]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("MGDA", True),
        ("digits2 mgda", True),
        ("mgda digits2", True),
        ("l2", True),  # an option's value
        ("epochs 2", True),
        ("digits2 cagrad", False),
        ("single", False),
        ("  digits  ", True),
    ],
)
def test_every_word_of_a_text_must_be_found(make_config: Make, text: str, passes: bool) -> None:
    config = make_config(optimizer="mgda", options=(("normalization", "l2"),))
    assert searching(text=text)(config) == passes
    assert searching(text=config.id[3:9])(config)
    assert searching(text="single task")(make_config(auxiliaries=()))


# URLs.


def test_a_search_survives_its_url(make_config: Make) -> None:
    found = [entry(make_config(width=width)) for width in (5, 6, 7)]
    search = Search(
        ("digits", "fashion"),
        ("digits1",),
        ("none", "mgda"),
        ("own", "shipped"),
        ("done", "failed"),
        "two words",
        (found[2].key, found[0].key),
        "digits2",
    )
    assert Search.from_query(search.to_query(), found) == (search, [])
    assert Search().to_query() == {}
    assert Search.from_query({}, found) == (Search(), [])


def test_what_a_url_gets_wrong_is_named_and_the_rest_of_it_holds(make_config: Make) -> None:
    found = [entry(make_config())]
    search, problems = Search.from_query(
        {
            "setting": "digits imagenet",
            "target": "digits1",
            "optimizer": "pcgard",
            "source": "stolen",
            "state": "done",
            "text": "x" * 101,
            "task": "cats",
            "run": f"{found[0].key} {'0' * 16}",
            "runs": "all",
        },
        found,
    )
    assert search == Search(target=("digits1",), state=("done",), chosen=(found[0].key,))
    assert [line.partition(":")[0] for line in problems] == [
        *(f"in the URL, {name}" for name in ("setting", "optimizer", "source", "text", "task")),
        "in the URL, run",
        "in the URL, unknown parameter 'runs'; one of",
    ]
    assert "unknown setting 'imagenet'; one of: digits" in problems[0]
    assert "using all instead" in problems[0]
    assert f"there is no run {'0' * 16} here; it may have been deleted" in problems[5]


@pytest.mark.parametrize("run", ["digits1", "../../etc/passwd", "0" * 15, "own:", " ".join("ab")])
def test_what_is_no_id_is_no_choice(run: str) -> None:
    search, (problem,) = Search.from_query({"run": run}, [])
    assert search.chosen == ()
    assert "is not a run's id of 16 hex digits; using none instead" in problem


def test_a_url_holds_so_many_runs_and_no_more(make_config: Make) -> None:
    found = [entry(make_config(width=1 + n)) for n in range(library.MOST_IN_URL + 5)]
    search = Search(chosen=tuple(one.key for one in found))
    back, problems = Search.from_query(search.to_query(), found)
    assert (back.chosen, problems) == (search.chosen[: library.MOST_IN_URL], [])
    everything = {"run": " ".join(search.chosen)}
    assert "105 runs are more than 100" in Search.from_query(everything, found)[1][0]
    assert search.without(search.chosen[1:]).chosen == search.chosen[:1]


# How they differ.


def test_a_comparison_says_what_differs_and_nothing_else(make_config: Make, ship: Make) -> None:
    one = make_config(optimizer="mgda", options=(("normalization", "l2"),), lr=0.01)
    other = make_config(lr=0.02, samples=None, batch_size=32)
    found = library.entries(
        shelved(ship(one, versions={"torch": "2.1"}), ship(other, data_fingerprint="ab"))
    )
    found = sorted(found, key=lambda entry: entry.config.lr)
    table = library.comparison(found)
    assert table.index.tolist() == [
        "optimizer",
        "options",
        "lr",
        "batch size",
        "samples",
        "torch",
        "data",
    ]
    first, second = table.columns
    assert table[first].tolist() == ["MGDA", "normalization l2", "0.01", "16", "64", "2.1", "–"]
    assert table[second].tolist() == ["UMTG (sum)", "none", "0.02", "32", "all", "–", "ab"]
    assert library.comparison([found[0], found[0]]).empty


def test_a_single_task_has_no_optimizer_to_compare(make_config: Make) -> None:
    table = library.comparison([entry(make_config(auxiliaries=())), entry(make_config())])
    assert table.index.tolist() == ["auxiliaries", "optimizer", "options", "auxiliary factors"]
    assert table.iloc[:, 0].tolist() == ["none", "–", "–", "–"]


def test_labels_say_what_differs_and_never_repeat(make_config: Make) -> None:
    found = [
        entry(make_config(auxiliaries=())),
        entry(make_config()),
        entry(make_config(optimizer="mgda")),
        entry(make_config(optimizer="mgda", lr=0.5)),
    ]
    assert list(library.labels(found).values()) == [
        "single task · lr 0.003",
        "+ digits2 · UMTG (sum) · lr 0.003",
        "+ digits2 · MGDA · lr 0.003",
        "+ digits2 · MGDA · lr 0.5",
    ]
    assert library.labels(found[:1]) == {found[0].key: "single task"}
    assert library.labels([]) == {}
    turned = entry(make_config(target="digits2", auxiliaries=("digits1",)))
    assert list(library.labels([found[1], turned]).values()) == [
        "digits1: + digits2",
        "digits2: + digits1",
    ]
    far = entry(make_config(epochs=3, width=5, samples=80, held_out=20, optimizer="mgda"))
    assert library.labels([found[1], far])[far.key] == f"+ digits2 · MGDA · {far.key[:8]}"


def test_tasks_in_common(make_config: Make) -> None:
    all_three = entry(make_config(auxiliaries=("digits2", "noisy_digits")))
    turned = entry(make_config(target="digits2", auxiliaries=("digits1",)))
    single = entry(make_config(target="noisy_digits", auxiliaries=()))
    fashion = entry(RunConfig.from_preset("fashion", "quick"))
    assert library.common_tasks([all_three]) == ("digits1", "digits2", "noisy_digits")
    assert library.common_tasks([turned, all_three]) == ("digits2", "digits1")
    assert library.common_tasks([turned, single]) == ()
    assert library.common_tasks([all_three, fashion]) == ()
    assert library.common_tasks([]) == ()


def test_trajectories_are_one_tidy_table(make_config: Make, ship: Make) -> None:
    shipped = [ship(make_config(width=width)) for width in (5, 6)]
    answers = shelved(*shipped)
    found = [Entry(one.config.id, answers.find(one.config)) for one in shipped]
    rows = library.trajectories([*found, found[0]], answers)
    assert list(rows.columns) == ["run_id", *COLUMNS]
    assert list(rows["run_id"].unique()) == [one.config.id for one in shipped]
    for one in shipped:
        mine = rows[rows["run_id"] == one.config.id].drop(columns="run_id")
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), one.trajectory())
    nothing = [entry(make_config())]
    assert list(library.trajectories(nothing, answers).columns) == ["run_id", *COLUMNS]
    assert len(library.trajectories([*nothing, found[0]], answers)) == len(rows) / 2


# Where the numbers come from.


def test_data_is_compared_with_what_is_here(
    make_config: Make, ship: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = make_config()
    here = artifacts.data_fingerprint(config)

    def data(**info: Any) -> tuple[bool | None, str]:
        one = ship(config, **info)
        return library.data_here(shelved(one).find(config))

    assert data(data_fingerprint=here) == (True, f"{here}, the same as on this machine")
    assert data(data_fingerprint="ab") == (False, f"ab, other data than on this machine ({here})")
    assert data() == (None, "not recorded")
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    fashion = RunConfig.from_preset("fashion", "quick")
    answer = shelved(ship(fashion, data_fingerprint="ab")).find(fashion)
    assert library.data_here(answer) == (
        None,
        "ab; this machine does not have the data to compare",
    )


# Where links lead.


def test_a_link_asks_for_the_first_run_and_pins_the_others(make_config: Make) -> None:
    found = [
        entry(make_config(optimizer="mgda", options=(("normalization", "l2"),))),
        entry(make_config(lr=0.5)),
        entry(make_config(target="digits2", auxiliaries=("digits1",))),
    ]
    asked = library.question(found)
    # A question has all factors; these runs measure none, and are pinned.
    assert asked.pins == (found[0].config.id, found[1].config.id)
    with_factors = [
        entry(RunConfig.from_preset("digits", "quick", **changes))
        for changes in (
            {"auxiliaries": ("digits2",), "optimizer": "mgda", "lr": 0.5},
            {"auxiliaries": ("noisy_digits",)},
            {},
        )
    ]
    asked = library.question(with_factors)
    assert asked.config == with_factors[0].config
    assert asked.pins == (with_factors[1].config.id, with_factors[2].config.id)
    assert Question.from_query(asked.to_query()) == (asked, [])
    single = library.question(with_factors[2:])
    assert single.configs == (with_factors[2].config,)
    assert single.pins == ()


def test_a_link_compares_the_optimizers_of_one_set(make_config: Make, ship: Make) -> None:
    configs = [
        make_config(auxiliaries=()),
        make_config(optimizer="mgda"),
        make_config(),
        make_config(optimizer="cagrad"),
        make_config(optimizer="upgrad", auxiliaries=("noisy_digits",)),
        make_config(optimizer="pcgrad", lr=0.5),
    ]
    answers = shelved(*map(ship, configs))
    found = [Entry(one.id, answers.find(one)) for one in configs]
    selection = library.smtos_selection(found)
    assert selection is not None
    assert selection.sets == (("digits2",),)
    assert [one.optimizer for one in selection.entries] == ["mgda", "cagrad"]
    groups = smtos.groups(answers)
    assert smtos.Selection.from_query(selection.to_query(), groups) == (selection, [])
    assert library.smtos_selection(found[:1]) is None
    assert library.smtos_selection([entry(configs[1])]) is None, "it is not done"
