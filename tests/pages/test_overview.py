import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mtl_core import analysis, settings
from mtl_core.runs import Store
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import cache_dir, scan
from mtl_core.runs.queue.records import Key
from mtl_core.views import overview
from mtl_core.views.overview import RELATED, UNRELATED
from mtl_core.views.panel import Panel, build
from tests.runs.library.tampering import change_table


def cards(app) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def test_the_cards_say_what_the_artifacts_say(open_page) -> None:
    app = open_page("overview")
    shown = cards(app)
    plain = {"fashion2": "With a related task", "noisy_fashion": "With an unrelated task"}
    helps = {metric.label: metric.help for metric in app.metric}
    found, _ = scan()
    runs = {
        a.config.auxiliaries_label: a.table("trajectory").assign(curve=a.config.auxiliaries_label)
        for a in found.values()
        if a.config.kind == "training"
        and a.config.setting == "fashion"
        and a.config.train_size == 25_000
        and a.config.epochs == 100
    }
    assert set(runs) == {"stl", "fashion2", "noisy_fashion"}
    import pandas as pd

    both = pd.concat(runs.values(), ignore_index=True)
    for name in ("fashion2", "noisy_fashion"):
        table = analysis.transfer_table(both, "fashion1", "stl").set_index("curve").loc[name]
        low, high = (f"{100 * table[end]:+.1f}" for end in ("transfer_low", "transfer_high"))
        expected = (
            f"{100 * table['transfer']:+.1f} pt",
            f"{low} … {high} pt · {table['verdict']}",
        )
        assert shown[plain[name]] == expected
        assert name in helps[plain[name]], "the task's own name is a hover away"
    assert set(shown) == {"Alone", *plain.values()}


def test_the_gaps_are_marked_where_both_curves_have_been(open_page) -> None:
    panel = shipped_panel("fashion", "paper")
    marked = overview.brackets(panel)
    assert len(marked) == 2, "both gaps are there"
    assert marked[0].value < marked[0].other, "help"
    assert marked[1].value > marked[1].other, "harm"
    for one, curve in zip(marked, panel.shown[1:], strict=True):
        gap = panel.gap(curve)
        assert gap is not None
        assert one.train_loss == gap.train_loss
        assert one.other - one.value == pytest.approx(gap.comparison.delta)
        assert one.label == f"{100 * gap.comparison.delta:+.1f} pt"
    (least, most), (low, high) = overview.window(panel, marked)  # type: ignore[misc]
    ends = [value for one in marked for value in (one.value, one.other)]
    assert low < min(ends) < max(ends) < high
    assert least < min(one.train_loss for one in marked) < most
    drawn = _brackets(open_page("overview").get("vega_lite_chart")[0].proto)
    assert [row["label"] for row in drawn] == [one.label for one in marked]
    # Shares lie by their error.
    assert [1 - row["to"] for row in drawn] == pytest.approx([one.other for one in marked])


def shipped_panel(setting: str, preset: str) -> Panel:
    answers = Answers(None, scan()[0])
    found = overview.runs(setting, answers)
    assert found is not None
    assert found[0] == preset
    return build([found[1][0].config], found[1][1:], answers)


def _brackets(proto: Any) -> list[dict[str, Any]]:
    """The rows of the data set that has the brackets."""
    for one in proto.datasets:
        rows = pa.ipc.open_stream(one.data.data).read_all()
        if "label" in rows.column_names:
            found: list[dict[str, Any]] = rows.to_pylist()
            return found
    return []


@pytest.mark.parametrize(
    ("setting", "preset", "expected"),
    [
        ("fashion", "paper", {"alone": (), RELATED: ("fashion2",), UNRELATED: ("noisy_fashion",)}),
        ("digits", "quick", {"alone": (), RELATED: ("digits2",), UNRELATED: ("noisy_digits",)}),
        ("synthetic", "standard", {"alone": (), RELATED: ("cos100",), UNRELATED: ("cos0",)}),
    ],
)
def test_plain_names_stand_for_what_was_made_to_help_or_to_harm(
    setting: str, preset: str, expected: dict[str, tuple[str, ...]]
) -> None:
    panel = shipped_panel(setting, preset)
    names = overview.names(panel)
    assert {names[one.label]: one.config.auxiliaries for one in panel.shown} == expected


def test_try_it_yourself_trains_what_nobody_has_trained(open_page, store: Store) -> None:
    question = overview.try_it(Answers(store, scan()[0]))
    assert question.seeds == (10, 11, 12)
    store.submit(question.config)
    store.claim("1-alice")
    for seed in question.seeds:
        store.finish(Key(question.config.id, seed), "1-alice", "done")
    assert overview.try_it(Answers(store, scan()[0])).seeds == (13, 14, 15)


def test_settings_without_artifacts_say_so_and_damage_is_named(
    open_page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "cache"
    shutil.copytree(cache_dir(), copy)
    for setting in set(settings.names()) - {"digits"}:
        shutil.rmtree(copy / setting, ignore_errors=True)
    damaged = sorted((copy / "digits").iterdir())[0]
    manifest = json.loads((damaged / "manifest.json").read_text())
    manifest["config"]["lr"] = 7
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("mtl_core.runs.library.artifacts.cache_dir", lambda: copy)
    app = open_page("overview")
    (choice,) = (one for one in app.button_group if one.label == "Setting")
    assert choice.options == ["Digits"]
    assert [warning.value for warning in app.warning] == [
        next(w.value for w in app.warning if damaged.name in w.value)
    ]


def test_rows_that_contradict_their_config_are_passed_over_once_they_were_read(
    open_page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "cache"
    shutil.copytree(cache_dir() / "digits", copy / "digits")
    monkeypatch.setattr("mtl_core.runs.library.artifacts.cache_dir", lambda: copy)
    monkeypatch.setattr("mtl_core.runs.library.artifacts._doubts", {})
    _, runs = overview.runs("digits", Answers(None, scan()[0])) or ("", [])
    (harmful,) = (one.shipped for one in runs if one.config.auxiliaries == ("noisy_digits",))
    assert harmful is not None
    change_table(harmful.folder, "trajectory", lambda rows: rows.assign(seed=99))
    app = open_page("overview")
    assert not app.error
    (said,) = app.warning
    assert said.value.startswith("Skipped: ")
    assert "seed" in said.value
    assert harmful.folder.name in said.value.replace("\\", "")
    assert "With an unrelated task" not in cards(app)
    assert {"Alone", "With a related task"} & {*cards(app)}, "the others are there"


@pytest.mark.parametrize("page", ["overview", "what_if"])
def test_a_store_that_cannot_be_used_is_named_and_the_page_works(
    open_page, store_path: Path, page: str
) -> None:
    with sqlite3.connect(store_path) as db:
        db.execute("CREATE TABLE runs (id)")
        db.execute("PRAGMA user_version = 99")
    app = open_page(page)
    assert "has schema 99, newer than this app's" in app.warning[0].value
    assert str(store_path) in app.warning[0].value
    assert len(app.metric) >= 3


def test_a_corrupt_store_is_set_aside(open_page, store_path: Path) -> None:
    store_path.write_bytes(b"not a database, but somebody's bytes " * 100)
    app = open_page("what_if")
    assert "it was kept as" in app.warning[0].value
    kept = [path for path in store_path.parent.iterdir() if "corrupt" in path.name]
    assert [path.read_bytes()[:14] for path in kept] == [b"not a database"]
