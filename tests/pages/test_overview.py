import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from mtl_core import analysis, settings
from mtl_core.runs.library.artifacts import cache_dir, scan


def cards(app) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def test_the_cards_say_what_the_artifacts_say(open_page) -> None:
    shown = cards(open_page("overview"))
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
        assert shown[f"Transfer from {name}"] == expected


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
    (choice,) = app.get("button_group")
    assert choice.options == ["Digits"]
    assert [warning.value for warning in app.warning] == [
        next(w.value for w in app.warning if damaged.name in w.value)
    ]


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
