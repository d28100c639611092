"""The same comparison is one number on every page, on the command line and in every export."""

import io
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mtl_core import RunConfig, analysis
from mtl_core.cli.main import main
from mtl_core.runs.library.artifacts import scan
from mtl_core.views import panel
from mtl_core.views.comparisons import compared
from mtl_core.views.what_if import Question

Open = Callable[..., AppTest]
SEEDS = (0, 1, 2, 3, 4)
ASKED = {
    name: RunConfig.from_preset("fashion", "paper", auxiliaries=(name,), seeds=SEEDS)
    for name in ("fashion2", "noisy_fashion")
}
BASE = ASKED["fashion2"].baseline


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    shipped, _ = scan()
    runs = {"alone": BASE, **ASKED}
    return pd.concat(
        [shipped[config.id].table("trajectory").assign(curve=name) for name, config in runs.items()]
    )


@pytest.fixture(scope="module")
def known(rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Of each auxiliary ΔE as pages write it, with its interval; from E by hand, seed by seed."""
    from scipy import stats

    found = {}
    best = {}
    for name in ("alone", *ASKED):
        own = rows[(rows["curve"] == name) & (rows["task"] == "fashion1")]
        own = own[(own["epoch"] >= 1) & (own["epoch"] % 1 == 0)]
        chosen = own.loc[own.groupby("seed")["val_metric"].idxmax()]
        best[name] = chosen.set_index("seed")["test_metric"].sort_index()
    for name in ASKED:
        ends = stats.ttest_rel(best[name], best["alone"]).confidence_interval(0.95)
        delta = (best[name] - best["alone"]).mean()
        low, high = (f"{100 * end:+.1f}" for end in ends)
        found[name] = (f"{100 * delta:+.1f} pt", f"{low} … {high} pt")
    return found


def said(app: AppTest) -> dict[str, tuple[str, str]]:
    return {
        one.label: (one.value, str(one.delta).rpartition(" · ")[0] or str(one.delta))
        for one in app.metric
    }


def test_overview(open_page: Open, known) -> None:
    shown = said(open_page("overview"))
    for name, expected in known.items():
        plain = {"fashion2": "With a related task", "noisy_fashion": "With an unrelated task"}
        assert shown[plain[name]] == expected


@pytest.mark.parametrize("name", ASKED)
def test_what_if(open_page: Open, known, name: str) -> None:
    asked = Question("fashion", "fashion1", (name,), preset="paper", seeds=SEEDS)
    app = open_page("what_if", **asked.to_query())
    assert said(app)["Transfer ΔE"] == known[name]
    (table,) = [one.value for one in app.dataframe if "transfer ΔE" in one.value]
    row = table[table["run"] == ASKED[name].id].iloc[0]
    assert (row["transfer ΔE"], row["95 % interval"]) == known[name]


def test_generalization_gap(open_page: Open, known) -> None:
    app = open_page("generalization_gap", setting="fashion", budget="paper", task="fashion1")
    shown = said(app)
    for name, expected in known.items():
        assert shown[f"+ {name}: transfer ΔE"] == expected
    (table,) = [one.value for one in app.dataframe if "opens early" in one.value]
    for name, (delta, interval) in known.items():
        row = table[table["task"] == f"fashion1 + {name}"].iloc[0]
        assert (row["transfer ΔE"], row["95 % interval"]) == (delta, interval)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], str]]:
    """What the page's download buttons would hand out, by file name."""
    found: dict[str, Callable[[], str]] = {}

    def record(label: str, data: object = None, **more: object) -> bool:
        found[str(more.get("file_name"))] = data if callable(data) else lambda: str(data)
        return False

    monkeypatch.setattr(st, "download_button", record)
    return found


def test_factors(open_page: Open, known, downloads: dict[str, Callable[[], str]]) -> None:
    app = open_page("factors", setting="fashion", budget="paper", task="fashion1", rows="all")
    cells = app.table[0].value
    tables = {}
    for file in ("factors.csv", "factors_numbers.csv"):
        table = pd.read_csv(io.StringIO(downloads[file]()))
        tables[file] = table[table["column"] == "transfer"].set_index("row")
    exported, table = tables.values()
    assert exported.equals(table[exported.columns])
    for name, (delta, interval) in known.items():
        row = table.loc[f"fashion1 + {name}"]
        low, high = (f"{100 * row[end]:+.1f}" for end in ("low", "high"))
        assert (f"{100 * row['delta']:+.1f} pt", f"{low} … {high} pt") == (delta, interval)
        (shown,) = cells[cells["task"].str.contains(f"+ {name.replace('_', ' ')}", regex=False)][
            "ΔE"
        ]
        assert delta.removesuffix(" pt").replace("-", "−") in shown


def test_exports_of_what_if_and_generalization_gap(
    open_page: Open, known, downloads: dict[str, Callable[[], str]]
) -> None:
    asked = Question("fashion", "fashion1", ("fashion2",), preset="paper", seeds=SEEDS)
    open_page("what_if", **asked.to_query())
    open_page("generalization_gap", setting="fashion", budget="paper", task="fashion1")
    table = pd.read_csv(io.StringIO(downloads["generalization.csv"]()))
    assert f"{100 * table['transfer'].iloc[0]:+.1f} pt" == known["fashion2"][0]
    for file, task in (("gap_numbers.csv", "fashion1 "), ("generalization_gap.csv", "'")):
        cases = pd.read_csv(io.StringIO(downloads[file]())).set_index("case")
        for name, (delta, interval) in known.items():
            row = cases.loc[f"{task}+ {name}"]
            low, high = (f"{100 * row[end]:+.1f}" for end in ("transfer_low", "transfer_high"))
            assert (f"{100 * row['transfer']:+.1f} pt", f"{low} … {high} pt") == (delta, interval)


def test_optimizers_and_generalization_gap_against_the_sum(
    open_page: Open, downloads: dict[str, Callable[[], str]], store_path
) -> None:
    """What MGDA changes over the sum on the same tasks, for the target."""
    both = RunConfig.from_preset("fashion", "quick", auxiliaries=("fashion2", "noisy_fashion"))
    mgda = replace(both, optimizer="mgda")
    open_page("smtos", setting="fashion", target="fashion1", budget="quick")
    points = pd.read_csv(io.StringIO(downloads["smtos_points.csv"]()))
    point = points[(points["run"] == mgda.id) & (points["task"] == "fashion1")].iloc[0]
    app = open_page(
        "generalization_gap",
        setting="fashion",
        budget="quick",
        task="fashion1",
        runs=mgda.id,
        against=both.id,
    )
    delta = point["metric"] - point["reference_metric"]
    assert app.metric[0].value == f"{100 * delta:+.1f} pt"
    low, high = (f"{100 * point[end]:+.1f}" for end in ("low", "high"))
    assert str(app.metric[0].delta).startswith(f"{low} … {high} pt · ")


def test_library(open_page: Open, known) -> None:
    run = " ".join(config.id for config in ASKED.values())
    app = open_page("library", run=run)
    (table,) = [one.value for one in app.dataframe if "transfer ΔE" in one.value]
    for name, expected in known.items():
        row = table[table["run"] == ASKED[name].id].iloc[0]
        assert (row["transfer ΔE"], row["95 % interval"]) == expected


def test_command_line_and_csv(
    known, rows: pd.DataFrame, tmp_path, store_path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "transfers.csv"
    assert main(["compare", *(one.id for one in ASKED.values()), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(out).set_index("run")
    for name, (delta, interval) in known.items():
        row = table.loc[ASKED[name].id]
        low, high = (f"{100 * row[end]:+.1f}" for end in ("transfer_low", "transfer_high"))
        assert (f"{100 * row['transfer']:+.1f} pt", f"{low} … {high} pt") == (delta, interval)
        assert f"transfer {row['transfer']:+.4g}" in printed
    assert "Holm's correction for 2 comparisons" in printed


def test_the_export_of_trajectories_gives_it_again(known, rows: pd.DataFrame) -> None:
    again = pd.read_csv(io.StringIO(rows.to_csv(index=False)))
    table = analysis.transfer_table(again, "fashion1", "alone").set_index("curve")
    for name, (delta, _) in known.items():
        assert f"{100 * table.loc[name, 'transfer']:+.1f} pt" == delta


def test_panel_and_comparisons_agree_to_the_last_bit(known, store) -> None:
    from mtl_core.runs import Answers

    answers = Answers(store, scan()[0], {})
    runs = [answers.find(config) for config in ASKED.values()]
    shown = panel.build([ASKED["fashion2"]], runs[1:], answers).table
    table = compared(runs, "fashion1", answers)
    assert shown["transfer"].tolist() == table["transfer"].tolist()
    assert shown["p"].tolist() == table["p"].tolist()
