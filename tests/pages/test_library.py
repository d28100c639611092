"""Library: what the table holds, what is said of chosen runs, and how runs come and go."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core import RunConfig
from mtl_core.pareto import ParetoConfig
from mtl_core.runs import Store
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.records import Key
from mtl_core.trajectory import Row
from mtl_core.views.pareto_front import FrontQuestion
from tests import stored
from tests.rows import row_of

TITLE = "Which experiments are there, and where do their numbers come from?"
INFO = {
    "created": "2026-01-02T03:04:05Z",
    "device": "NVIDIA H200",
    "versions": {"python": "3.11", "torch": "2.0"},
    "data_fingerprint": "0123456789abcdef",
    "factors": {"sharpness": "as *we* do"},
}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Artifacts come and go; what ships here are the test's own."""
    monkeypatch.setattr("mtl_core.runs.library.artifacts.cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def make(optimizer: str = "umtg", auxiliaries: tuple[str, ...] = ("digits2",), **changes: Any):
    return RunConfig.from_preset(
        "digits",
        "quick",
        optimizer=optimizer,
        auxiliaries=auxiliaries,
        **{"seeds": (0, 1)} | changes,
    )


def rows(config: RunConfig, *steps: int) -> tuple[Row, ...]:
    return tuple(
        row_of(
            config,
            seed,
            task,
            step,
            train_loss=2.0 / (1 + step) + 0.01 * seed,
            val_metric=0.5,
            test_metric=0.6 + 0.001 * seed,
            sharpness=None,
            fisher_trace=None,
            gradient_covariance=None,
            gradient_similarity=None,
            seconds=1.0,
        )
        for seed in config.seeds
        for task in config.tasks
        for step in steps
    )


def measured(config: RunConfig, *steps: int) -> list[Any]:
    return stored.pieces_of(config, rows(config, *steps))


def write(folder: Path, config: Any, former: Sequence[str] = (), **made: Any) -> Any:
    training = config.kind == "training"
    pieces = measured(config, 0, config.steps) if training else stored.solved(config)
    content = artifacts.collected(config, pieces, INFO | made, 61.5)
    former_ids = dict.fromkeys(former, config.seeds)
    content = artifacts.Content(config, content.tables, content.made, former=former_ids)
    artifacts.write(folder / config.id, content)
    return config


@pytest.fixture
def ship(cache: Path) -> Callable[..., RunConfig]:
    return lambda *words, **changes: write(cache, make(*words, **changes))


@pytest.fixture
def train(store: Store) -> Callable[..., RunConfig]:
    def put(optimizer: str = "umtg", end: str = "done", **changes: Any) -> RunConfig:
        config = make(optimizer, **changes)
        pieces = measured(config, 0, config.steps if end == "done" else 1)
        return stored.put(store, config, pieces, end, error="it broke" if end == "failed" else None)

    return put


@pytest.fixture
def front(store: Store) -> Callable[..., ParetoConfig]:
    def put(**changes: Any) -> ParetoConfig:
        small = {"solutions": 3, "iterations": 7, "frames": 2, "seeds": (5,)}
        config = ParetoConfig("toy", **(small | changes))
        return stored.put(store, config, stored.solved(config))

    return put


@pytest.fixture
def parcel(tmp_path: Path) -> Callable[..., bytes]:
    """A zip file as another machine exports it."""

    def pack(*configs: Any, **made: Any) -> bytes:
        for config in configs:
            write(tmp_path / "elsewhere", config, **made)
        places = [tmp_path / "elsewhere" / config.id for config in configs]
        there = Answers(None, {place.name: artifacts.read(place) for place in places})
        return exchange.pack([there.find(config) for config in configs], there)

    return pack


def table(app) -> pd.DataFrame:
    return app.dataframe[0].value


def sent(app) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def said(app) -> list[str]:
    return [one.value for one in [*app.markdown, *app.caption]]


def button(app, label: str):
    return next(one for one in app.button if one.label == label)


def labels(app) -> list[str]:
    return [one.label for one in app.button]


def upload(app, *files: tuple[str, bytes, str]) -> None:
    app.file_uploader[0].set_value(list(files))
    next(one for one in app.button if one.label == "Import").click().run()
    assert not app.exception


def test_all_experiments_are_in_the_table(open_page, ship, train) -> None:
    shipped, own = ship(), train("mgda", "failed")
    app = open_page("library")
    assert app.title[0].value == TITLE
    assert table(app)["id"].tolist() == [own.id, shipped.id]
    assert table(app)["source"].tolist() == ["own", "shipped"]
    assert table(app)["state"].tolist() == ["failed", "done"]
    assert "**2 experiments**: 1 own, 1 shipped." in said(app)
    assert "Choose rows to compare, open, export or delete them." in said(app)
    assert sent(app) == {}
    assert not app.warning


def test_nothing_yet(open_page) -> None:
    app = open_page("library")
    assert "**0 experiments**: none yet." in said(app)
    assert not app.dataframe


def test_filters_go_into_the_address_and_come_from_it(open_page, ship, train) -> None:
    shipped, own, single = ship(), train("mgda", "failed"), ship(auxiliaries=())
    app = open_page("library")
    app.multiselect(key="library_source").set_value(["own"]).run()
    assert table(app)["id"].tolist() == [own.id]
    assert sent(app) == {"source": "own"}
    assert "**3 experiments**: 1 own, 2 shipped; 1 passes the filters." in said(app)
    app.multiselect(key="library_state").set_value(["done"]).run()
    assert app.info[0].value == "No experiment passes these filters."
    button(app, "Show all experiments").click().run()
    assert len(table(app)) == 3
    assert sent(app) == {}
    app.text_input(key="library_text").set_value("  digits2   MGDA ").run()
    assert table(app)["id"].tolist() == [own.id]
    assert sent(app) == {"text": "digits2 MGDA"}

    linked = open_page("library", optimizer="none umtg", state="done")
    assert set(table(linked)["id"]) == {shipped.id, single.id}
    assert linked.multiselect(key="library_optimizer").value == ["none", "umtg"]
    linked.multiselect(key="library_optimizer").set_value(["none"]).run()
    assert table(linked)["id"].tolist() == [single.id]


def test_a_bad_address_is_named_and_the_rest_of_it_holds(open_page, ship) -> None:
    config = ship()
    app = open_page("library", source="stolen", run=f"{config.id} {'0' * 16}", x="1")
    told = [one.value for one in app.warning]
    assert "in the URL, source: unknown source 'stolen'; one of: own" in told[0]
    assert f"there is no experiment {'0' * 16} here" in told[1]
    assert "unknown parameter 'x'" in told[2]
    assert sent(app) == {"run": config.id}
    app.run()
    assert not any("in the URL" in one.value for one in app.warning)


def test_a_chosen_experiment_says_where_its_numbers_come_from(open_page, ship) -> None:
    config = ship("mgda")
    app = open_page("library", run=config.id)
    assert app.subheader[0].value == "1 chosen experiment"
    facts = dict(zip(*(app.table[0].value[column] for column in ("", " ")), strict=True))
    assert facts["experiment"] == f"{config.id}, shipped with the app, done"
    assert facts["sharpness"] == r"as \*we\* do", "as it was written"
    (made,) = app.table[1].value.to_dict("records")
    assert made["seeds"] == "0 1"
    assert made["created"] == "2026-01-02 03:04 UTC"
    assert made["device"] == "NVIDIA H200"
    assert made["duration"] == "61.5 s"
    assert made["versions"] == "python 3.11, torch 2.0"
    assert made["data"].startswith("0123456789abcdef, other data than on this machine")
    assert "made on other data (fingerprint 0123456789abcdef)" in app.warning[0].value
    assert "python -m mtl_core run --setting digits" in app.code[0].value
    assert "--optimizer mgda" in app.code[0].value
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 1
    assert "Delete" not in labels(app), "what ships stays"


def test_chosen_experiments_are_compared_and_drawn(open_page, ship, train) -> None:
    shipped, own = ship(), train("mgda", lr=0.5)
    app = open_page("library", run=f"{shipped.id} {own.id}", source="own", task="digits2")
    assert app.subheader[0].value == "2 chosen experiments"
    assert "1 chosen experiment not in the table, because of the filters." in said(app)
    differing = app.dataframe[1].value
    assert differing.index.tolist()[:2] == ["optimizer", "lr"]
    assert differing.iloc[:2, 1].tolist() == ["MGDA", "0.5"]
    assert "seeds" not in differing.index
    (chart,) = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    legend = ["+ digits2 · UMTG (sum) · lr 0.01", "+ digits2 · MGDA · lr 0.5"]
    assert legend[1] in json.dumps(json.loads(chart.proto.spec), ensure_ascii=False)
    assert app.segmented_control(key="library_task").value == "digits2"
    app.segmented_control(key="library_task").set_value("digits1").run()
    assert sent(app)["task"] == "digits1"
    assert [one.label.split(" · ")[0] for one in app.expander][:2] == [
        "digits1, + digits2",
        "digits1, + digits2",
    ]
    links = {one.proto.label: one.proto.query_string for one in app.get("page_link")}
    assert f"pins={own.id}" in links["Open on What if"]
    assert "aux=digits2" in links["Compare on Optimizers"]
    button(app, "Choose none").click().run()
    assert sent(app) == {"source": "own"}


def test_experiments_without_a_common_task_or_rows_are_not_drawn(
    open_page, ship, store: Store
) -> None:
    one, other = ship(auxiliaries=()), ship(target="digits2", auxiliaries=())
    app = open_page("library", run=f"{one.id} {other.id}")
    assert "These experiments have no task in common that could be drawn." in said(app)
    queued = make("mgda")
    store.submit(queued)
    app = open_page("library", run=queued.id)
    assert "Nothing was measured of these experiments yet." in said(app)
    assert any(one.label == "2 runs in the queue or running" for one in app.button)


def test_own_runs_are_deleted_once_that_is_confirmed(open_page, ship, train, store: Store) -> None:
    shipped, own = ship(), train("mgda")
    app = open_page("library", run=f"{shipped.id} {own.id}")
    button(app, "Delete").click().run()
    assert any(own.id in text for text in said(app))
    assert any("1 experiment ships with the app and stays." in one.value for one in app.info)
    assert store.get(own.id, 0) is not None, "nothing is gone before"
    button(app, "Keep").click().run()
    assert store.get(own.id, 0) is not None
    button(app, "Delete").click().run()
    confirm = [one for one in app.button if one.label == "Delete"][-1]
    confirm.click().run()
    assert not app.exception
    assert store.get(own.id, 0) is None
    assert app.success[0].value == "Deleted 1 experiment."
    assert table(app)["id"].tolist() == [shipped.id]
    assert sent(app) == {"run": shipped.id}


def test_a_running_run_is_stopped_first(open_page, train, store: Store) -> None:
    running = train("mgda", "running")
    app = open_page("library", run=running.id)
    button(app, "Delete").click().run()
    assert (
        "1 experiment is running and stays; stop what is to be deleted first." in app.info[0].value
    )
    assert [one for one in app.button if one.label == "Delete"][-1].disabled
    button(app, "Stop").click().run()
    keys = [Key(running.id, seed) for seed in running.seeds]
    assert store.beat(stored.WORKER) == dict.fromkeys(keys, True)
    for key in keys:
        store.finish(key, stored.WORKER, "cancelled")
    app.run()
    button(app, "Delete").click().run()
    [one for one in app.button if one.label == "Delete"][-1].click().run()
    assert store.get(running.id, 0) is None


def test_links_to_deleted_runs_say_so(open_page, train, store: Store) -> None:
    own = train("mgda")
    app = open_page("library", run=own.id)
    kept = open_page("what_if", pins=own.id)
    assert not any(own.id in one.value for one in kept.warning)
    store.remove(own.id)
    app.run()  # somebody else did that; this page goes on with what is left
    assert not app.exception
    assert sent(app) == {}
    assert any(own.id in one.value for one in open_page("library", run=own.id).warning)
    pinned = open_page("what_if", pins=own.id)
    assert any(own.id in one.value for one in pinned.warning)


def test_an_imported_run_is_here_for_all_pages_until_it_is_deleted(open_page, parcel) -> None:
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",))
    app = open_page("library")
    upload(app, ("theirs.zip", parcel(config), "application/zip"))
    assert [one.value for one in app.success] == [
        f"theirs.zip: imported 3 runs of experiment {config.id}."
    ]
    assert table(app)["source"].tolist() == ["imported"]
    assert sent(app) == {"run": config.id}
    facts = app.table[0].value[" "].tolist()
    assert facts[0] == f"{config.id}, imported, done"
    other = open_page("what_if", aux="digits2", setting="digits", target="digits1")
    assert other.dataframe[0].value["source"].tolist() == ["–", "imported"]
    again = open_page("library")
    upload(again, ("theirs.zip", parcel(config, device="another"), "application/zip"))
    (told,) = again.success
    kept = f"3 runs of experiment {config.id} are here already (imported); what was here was kept."
    assert told.value == f"theirs.zip: {kept}"
    assert table(again)["device"].tolist() == ["NVIDIA H200"]
    button(again, "Delete").click().run()
    [one for one in again.button if one.label == "Delete"][-1].click().run()
    assert "**0 experiments**: none yet." in said(again)
    app.run()
    assert not app.exception
    assert "**0 experiments**: none yet." in said(app)


def test_files_of_one_run_come_in_together(open_page, parcel) -> None:
    config = make()
    with zipfile.ZipFile(io.BytesIO(parcel(config))) as archive:
        files = [
            (Path(name).name, archive.read(name), "application/octet-stream")
            for name in archive.namelist()
        ]
    app = open_page("library")
    upload(app, *files)
    assert [one.value for one in app.success] == [
        f"these files: imported 2 runs of experiment {config.id}."
    ]
    assert table(app)["id"].tolist() == [config.id]


def test_a_bad_file_costs_one_line_and_no_good_one(open_page, parcel) -> None:
    config = make()
    app = open_page("library")
    good = ("good.zip", parcel(config), "application/zip")
    upload(app, ("bad.zip", b"PK no", "application/zip"), good)
    assert [one.value for one in app.error] == [
        "bad.zip: it is not a sound zip file (File is not a zip file)"
    ]
    assert [one.value for one in app.success] == [
        f"good.zip: imported 2 runs of experiment {config.id}."
    ]
    app.run()
    assert not app.error
    assert not app.success


def test_what_cannot_be_shown_can_be_deleted(open_page, store: Store, parcel) -> None:
    exchange.receive_zip(io.BytesIO(parcel(make())), "a.zip", Answers(None, {}))
    folder = artifacts.imported_dir() / make().id
    (folder / "manifest.json").write_text("{")
    store.submit(make("mgda"))
    with store._file.write() as db:
        db.execute("UPDATE experiments SET config = '{}'")
    app = open_page("library")
    assert any(one.label == "2 experiments that cannot be shown" for one in app.expander)
    for _ in range(2):
        next(one for one in app.button if one.label == "Delete for ever").click().run()
        assert not app.exception
    assert not folder.exists()
    assert store.unreadable() == {}
    assert not any("cannot be shown" in one.label for one in app.expander)


# Fronts, and several kinds at once.


def test_fronts_are_listed_opened_and_deleted(open_page, front, train, store: Store) -> None:
    trained, config = train(), front()
    app = open_page("library")
    assert table(app)["id"].tolist() == [config.id, trained.id]
    assert table(app)["kind"].tolist() == ["front", "training"]
    (row, _) = table(app).to_dict("records")
    assert (row["setting"], row["optimizer"]) == ("Toy: two peaks", "Adaptive · tchebycheff")
    assert (row["source"], row["state"], row["seeds"]) == ("own", "done", "5")
    assert "N 3 · iterations 7" in row["budget"]
    app = open_page("library", run=config.id)
    (link,) = app.get("page_link")
    assert link.proto.label == "Open on Pareto front"
    query = FrontQuestion.of(config).to_query()
    opened = open_page("pareto_front", **query)
    assert not opened.error
    assert f"solutions={query['solutions']}" in link.proto.query_string
    assert not app.get("vega_lite_chart")
    assert "python -m mtl_core front --problem toy" in app.code[0].value
    button(app, "Delete").click().run()
    [one for one in app.button if one.label == "Delete"][-1].click().run()
    assert store.get(config.id, 5) is None
    assert table(app)["id"].tolist() == [trained.id]


def test_a_training_and_a_front_are_looked_at_together(open_page, front, ship) -> None:
    trained, config = ship(), front()
    app = open_page("library", run=f"{trained.id} {config.id}", kind="front")
    assert table(app)["id"].tolist() == [config.id]
    assert app.multiselect(key="library_kind").value == ["front"]
    assert [one.proto.label for one in app.get("page_link")] == [
        "Open on What if",
        "Compare on Optimizers",
        "Open on Pareto front",
    ]
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 1
    assert app.segmented_control(key="library_task").options == ["digits1", "digits2"]
    differing = app.dataframe[1].value
    assert differing.loc["kind"].tolist() == ["training", "front"]
    files = [one.proto.label for one in app.get("download_button")]
    assert files == ["CSV", "Parquet", "CSV", "Parquet", "Zip", "SVG", "PNG"]


def test_both_kinds_are_imported_at_once(open_page, parcel) -> None:
    config, solved = make(), ParetoConfig("toy", solutions=3, iterations=7, frames=2, seeds=(5,))
    app = open_page("library")
    upload(app, ("theirs.zip", parcel(config, solved), "application/zip"))
    assert [one.value for one in app.success] == ["theirs.zip: imported 3 runs of 2 experiments."]
    assert set(table(app)["id"]) == {config.id, solved.id}
    assert set(sent(app)["run"].split()) == {config.id, solved.id}


# One experiment from several sources.


def test_what_is_new_of_an_experiment_is_imported_beside_the_rest(
    open_page, ship, train, parcel, store: Store
) -> None:
    config, own = ship(seeds=(0,)), train(seeds=(1,))
    app = open_page("library", run=f"own:{own.id}")
    assert table(app)["seeds"].tolist() == ["1", "0"]
    upload(app, ("theirs.zip", parcel(make(seeds=(0, 1, 2))), "application/zip"))
    assert [one.value for one in app.success] == [
        f"theirs.zip: imported 1 run of experiment {config.id}.",
        f"theirs.zip: 1 run of experiment {config.id} is here already (on this machine); what was "
        "here was kept.",
        f"theirs.zip: 1 run of experiment {config.id} is here already (shipped with the app); what "
        "was here was kept.",
    ]
    assert set(zip(table(app)["source"], table(app)["seeds"], strict=True)) == {
        ("shipped", "0"),
        ("own", "1"),
        ("imported", "2"),
    }
    chosen = {config.id, f"own:{config.id}", f"imported:{config.id}"}
    assert set(sent(app)["run"].split()) == chosen
    button(app, "Delete").click().run()
    assert any("1 experiment ships with the app and stays." in one.value for one in app.info)
    [one for one in app.button if one.label == "Delete"][-1].click().run()
    assert app.success[0].value == "Deleted 2 experiments."
    assert table(app)["source"].tolist() == ["shipped"]
    assert sent(app) == {"run": config.id}


def test_a_link_from_when_seeds_were_a_part_of_an_id_still_leads_here(
    open_page, cache: Path
) -> None:
    config = make(seeds=(3, 4))
    former = artifacts.former_id(config, (3, 4))
    write(cache, config, [former])
    app = open_page("library", run=former)
    assert not any("in the URL" in one.value for one in app.warning)
    assert app.subheader[0].value == "1 chosen experiment"
    assert sent(app) == {"run": config.id}


def test_what_others_wrote_is_no_markdown(open_page, train, store: Store) -> None:
    config = make("mgda")
    error = "![x](http://x.example/x.png)"
    stored.put(store, config, measured(config, 0), "failed", error=error)
    app = open_page("library", run=config.id)
    texts = app.table[0].value[" "].tolist()
    assert r"!\[x\](`http://x.example/x.png`)" in texts, "an address is no link by itself"
    assert error not in texts


def test_only_results_as_asked_for_and_what_is_no_condition_is_said(
    open_page: Any, ship: Callable[..., RunConfig]
) -> None:
    ship(auxiliaries=())
    ship(seeds=(0, 1, 100))  # E is 0.6 and a thousandth of the seed
    app = open_page("library", where="E > 61")
    assert table(app)["auxiliaries"].tolist() == ["digits2"]
    assert any("; 1 passes the filters" in one.value for one in app.markdown)
    box = next(one for one in app.text_input if one.label == "Only where")
    assert box.value == "E > 61"
    box.set_value("E > plenty").run()
    assert [one.value for one in app.error] == [r"'plenty' in 'E \> plenty' is not a number"]
    assert app.query_params["where"] == "E > 61"
    next(one for one in app.text_input if one.label == "Only where").set_value("").run()
    assert len(table(app)) == 2
    assert "where" not in app.query_params
