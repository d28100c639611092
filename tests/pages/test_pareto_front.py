"""The Pareto front page: what it asks, shows and plays, by value."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mtl_core.charts import FRAME_EVENT
from mtl_core.pareto import Front, ParetoConfig, curves, measures, solve
from mtl_core.pareto.problems import tables
from mtl_core.runs import Store
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answers
from mtl_core.views import toy
from mtl_core.views.pareto_front import METHOD_TITLES, FrontQuestion
from tests import stored

SMALL = {
    "problem": "toy",
    "method": "independent decay",
    "seeds": "0 1",
    "solutions": "5",
    "iterations": "40",
    "frames": "4",
}


def labels(app: Any) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def sent(app: Any) -> dict[str, str]:
    """The query string; AppTest gives what the page has set as lists."""
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def press(app: Any, name: str) -> Any:
    next(button for button in app.button if button.label == name).click()
    app.run()
    assert not app.exception
    return app


def table(app: Any) -> dict[str, dict[str, str]]:
    """The table below the hypervolumes, by method."""
    found = next(one.value for one in app.dataframe if "hypervolume" in one.value)
    return {row["method"]: row for row in found.to_dict("records")}


@pytest.fixture
def solved(store: Store) -> Callable[..., dict[str, list[Front]]]:
    """Puts the fronts that ``SMALL`` asks for into the store."""

    def put(**changes: str) -> dict[str, list[Front]]:
        question, problems = FrontQuestion.from_query(SMALL | changes)
        assert problems == []
        found = {}
        for config in question.configs:
            found[config.method] = list(solve(config))
            stored.put(store, config, stored.solved(config))
        return found

    return put


def test_run_submits_a_front_for_each_method_and_stop_takes_them_back(
    open_page: Any, store: Store
) -> None:
    app = press(open_page("pareto_front", **SMALL), "Run")
    question, _ = FrontQuestion.from_query(SMALL)
    queued = list(dict.fromkeys(record.config for record in reversed(store.runs())))
    assert queued == list(question.configs)
    press(app, "Stop")
    assert {record.state for record in store.runs()} == {"cancelled"}
    press(app, "Resume")
    assert {record.state for record in store.runs()} == {"queued"}


def test_it_shows_the_hypervolume_that_the_solutions_have(open_page: Any, solved: Any) -> None:
    fronts = solved()
    app = open_page("pareto_front", **SMALL)
    rows = table(app)
    for method, found in fronts.items():
        last = [front for front in found if front.step == 40]
        shares = np.array([measures.hypervolume(one.train, (1.0, 1.0)) for one in last])
        expected = f"{shares.mean():.3f} ± {2 * shares.std(ddof=1):.3f}"
        assert rows[METHOD_TITLES[method]]["hypervolume"] == expected
        assert rows[METHOD_TITLES[method]]["source"] == "this store"
    decay = [f for f in fronts["decay"] if f.step == 40]
    mean = np.mean([measures.hypervolume(one.train, (1.0, 1.0)) for one in decay])
    assert labels(app)["Hypervolume, Decaying"] == f"{mean:.3f}"


SPEEDUP = ("independent", "averaged", "decay", "adaptive")


def speedup(app: Any) -> list[dict[str, str]]:
    return next(
        one.value.to_dict("records") for one in app.dataframe if "range over seeds" in one.value
    )


def test_the_toy_shows_every_transfer_beside_its_control_by_default(open_page: Any) -> None:
    """With numbers that are counted here again, from the fronts that ship."""
    app = open_page("pareto_front")
    assert not app.exception
    assert app.selectbox(key="pf_problem").value == "toy"
    assert app.multiselect(key="pf_methods").value[:4] == list(SPEEDUP)
    rows = [row for row in speedup(app) if "seed" not in row["start"]]
    level = 0.9 * toy.true_hypervolume(toy.TOY)
    shipped, _ = artifacts.scan()
    counts = {}
    for method in SPEEDUP:
        config = replace(toy.TOY, method=method, seeds=tuple(range(10)))
        frames = curves.quality(shipped[config.id].table("front"), config.definition)
        counts[method] = np.array(
            [
                measures.evaluations_to(level, of["evaluations"], of["hypervolume"])
                for _, of in frames.groupby("seed")
            ]
        )
        assert len(counts[method]) == 10
    means = {method: found.mean() for method, found in counts.items()}
    for method, row in zip(SPEEDUP, rows[:4], strict=True):
        assert row["method"] == METHOD_TITLES[method]
        assert row["evaluations, mean"] == f"{means[method]:,.0f}"
        found = counts[method]
        assert row["range over seeds"] == f"{found.min():,.0f} to {found.max():,.0f}"
        assert row["ratio to Independent"] == f"{means[method] / means['independent']:.2f}"
        assert row["ratio to Averaged start"] == f"{means[method] / means['averaged']:.2f}"
    said = next(one.value for one in app.markdown if "true front's hypervolume, means" in one.value)
    for method in SPEEDUP:
        assert f"**{means[method]:,.0f}**" in said
    assert means["averaged"] < min(means["decay"], means["adaptive"]) < means["independent"] / 4
    assert "so none of their speed-up over Independent is left beside that control" in said
    assert "From one start for all solutions of a seed" in said
    assert all(name in str(table(app)) for name in map(METHOD_TITLES.__getitem__, SPEEDUP))


def test_what_is_left_waits_for_the_control(open_page: Any, solved: Any) -> None:
    solved()

    def said(app: Any) -> str:
        return next(one.value for one in app.markdown if one.value.startswith("- Indep") or
                    "true front's hypervolume" in one.value)  # fmt: skip

    easy = {"iterations": "400", "lr": "0.1", "solutions": "20"}
    solved(**easy)
    app = open_page("pareto_front", **SMALL | easy)
    assert "Add the method Averaged start" in said(app)
    app = open_page("pareto_front", **SMALL | easy | {"method": "independent averaged decay"})
    assert "is known when Averaged start is done" in said(app)
    assert not app.exception


def test_networks_have_no_starts_to_average(open_page: Any) -> None:
    app = open_page("pareto_front")
    app.selectbox(key="pf_problem").set_value("linnerud").run()
    assert "averaged" not in app.multiselect(key="pf_methods").options
    assert app.multiselect(key="pf_methods").value == list(
        FrontQuestion.default("linnerud").methods
    )
    assert not [one for one in app.selectbox if one.label == "Starts"]
    assert [one for one in app.caption if "start from one initialisation" in one.value]
    assert not any("range over seeds" in one.value for one in app.dataframe)
    app.selectbox(key="pf_problem").set_value("convex").run()
    assert app.multiselect(key="pf_methods").value[:2] == ["independent", "averaged"]
    app.selectbox(key="pf_start").set_value("shared").run()
    assert sent(app)["start"] == "shared"
    assert not app.exception


def test_only_the_control_leaves_independent_where_there_is_none(open_page: Any) -> None:
    app = open_page("pareto_front", problem="toy", method="averaged")
    app.selectbox(key="pf_problem").set_value("linnerud").run()
    assert (sent(app)["method"], sent(app)["focus"]) == ("independent", "independent")
    assert not app.exception


def show(app: Any, mode: str, step: int) -> Any:
    """As the player in the browser asks."""
    app.session_state["pf_mode"], app.session_state["pf_step"] = mode, step
    app.run()
    assert not app.exception
    return app


def components(app: Any) -> list[dict[str, Any]]:
    """What the components in the browser are sent."""
    return [json.loads(one.proto.json) for one in app.get("bidi_component")]


def sent_to_player(app: Any) -> dict[str, Any]:
    return components(app)[0]


def drawn(app: Any) -> pd.DataFrame:
    """All points of the front's chart."""
    (chart, *_) = app.get("vega_lite_chart")
    found = (pa.ipc.open_stream(one.data.data).read_pandas() for one in chart.proto.datasets)
    return next(table for table in found if "newest_x" in table)


def test_numbers_are_those_of_the_frame_that_the_player_shows(open_page: Any, solved: Any) -> None:
    fronts = solved()["decay"]
    app = open_page("pareto_front", **SMALL)
    assert labels(app)["Iteration"] == "40"
    assert sent_to_player(app)["steps"] == [0, 10, 20, 30, 40]
    for mode in ("pause", "play"):
        show(app, mode, 20)
        assert labels(app)["Iteration"] == "20"
        assert {**sent_to_player(app), "steps": None} == {
            "steps": None,
            "mode": mode,
            "step": 20,
            "active": False,
            "event": FRAME_EVENT,
            "answered": None,
            "resets": 1,
        }
    at = next(front for front in fronts if (front.seed, front.step) == (0, 20))
    assert labels(app)["First peak: loss"] == f"{at.train[2, 0]:.3g}"
    show(app, "follow", 20)
    assert labels(app)["Iteration"] == "40"


def test_the_chart_holds_every_frame_and_is_the_same_for_all(open_page: Any, solved: Any) -> None:
    fronts = solved()
    app = open_page("pareto_front", **SMALL)
    table = drawn(app)
    assert drawn(show(app, "pause", 10)).equals(table)
    for method, found in fronts.items():
        curve = table[table["curve"] == METHOD_TITLES[method]]
        assert curve["solution"].tolist() == [1, 2, 3, 4, 5]
        for front in (front for front in found if front.seed == 0):
            places = curve[[f"x{front.step}", f"y{front.step}"]].to_numpy()
            assert places == pytest.approx(front.train)
    assert table["newest_x"].equals(table["x40"].rename("newest_x"))


def test_a_preference_picks_a_model_off_the_front(open_page: Any, solved: Any) -> None:
    fronts = solved()["decay"]
    app = open_page("pareto_front", **SMALL, pick="5")
    last = next(front for front in fronts if (front.seed, front.step) == (0, 40))
    assert labels(app)["First peak: loss"] == f"{last.train[4, 0]:.3g}"
    assert labels(app)["Second peak: loss"] == f"{last.train[4, 1]:.3g}"
    assert sent(app)["pick"] == "5"
    app.segmented_control(key="pf_seed").set_value(1).run()
    other = next(front for front in fronts if (front.seed, front.step) == (1, 40))
    assert labels(app)["First peak: loss"] == f"{other.train[4, 0]:.3g}"
    assert sent(app)["seed"] == "1"


def test_a_link_says_everything(open_page: Any) -> None:
    query = SMALL | {
        "preset": "quick",
        "focus": "decay",
        "scalarization": "smooth_tchebycheff",
        "smoothing": "0.2",
        "decay.halving": "30.0",
        "lr": "0.2",
        "seed": "1",
        "pick": "2",
        "look": "transfer",
        "zoom": "true",
    }
    app = open_page("pareto_front", **query)
    assert sent(app) == query
    again, problems = FrontQuestion.from_query(query)
    assert problems == []
    assert again.to_query() == query


def test_widgets_change_the_question_and_the_link(open_page: Any) -> None:
    app = open_page("pareto_front", **SMALL)
    app.multiselect(key="pf_methods").set_value(["independent", "mgda"]).run()
    assert (sent(app)["method"], sent(app)["focus"]) == ("independent mgda", "independent")
    app.number_input(key="pf_lr").set_value(0.02).run()
    assert sent(app)["lr"] == "0.02"
    app.selectbox(key="pf_problem").set_value("three").run()
    assert sent(app)["problem"] == "three"
    assert "lr" not in sent(app)
    app.text_area(key="pf_rows").set_value("0.2 0.3 0.5\n0.5 0.3 0.2\n0.1 0.1 0.8").run()
    assert sent(app)["preferences"] == "0.2 0.3 0.5/0.5 0.3 0.2/0.1 0.1 0.8"


@pytest.fixture
def csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table in the app's folder of own files, for this process and the app's."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MTL_FILES", "own")
    values = np.random.default_rng(0).normal(size=(40, 4))
    lines = ["a,b,t0,t1", *(",".join(f"{v:.6f}" for v in row) for row in values)]
    path = tmp_path / "own" / "table.csv"
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n")
    return path


BAD: dict[str, tuple[dict[str, str], str]] = {
    "off the simplex": ({"preferences": "0.2 0.2/0.5 0.5"}, "sums to 0.4, not 1"),
    "below 0": ({"preferences": "-0.2 1.2/0.5 0.5"}, "must be a number in 0..1"),
    "too few weights": ({"preferences": "1/0.5 0.5"}, "has 1 weights for 2 objectives"),
    "fewer than objectives": ({"preferences": "0.5 0.5"}, "1 solution for 2 objectives"),
    "no targets": (
        {"problem": "csv", "problem.file": "x.csv"},
        "csv needs the option targets",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_said_and_the_controls_stay(open_page: Any, case: str) -> None:
    changes, words = BAD[case]
    query = {k: v for k, v in SMALL.items() if k != "solutions"} | changes
    app = open_page("pareto_front", **query)
    assert [error.value for error in app.error if words in error.value]
    assert app.selectbox(key="pf_problem").value == query["problem"]
    assert not any(button.label == "Run" for button in app.button)


def test_a_csv_without_the_named_targets_or_with_one_is_refused_before_run(
    open_page: Any, csv: Path
) -> None:
    file = {"problem": "csv", "problem.file": csv.name}
    for targets, words in (("t0, t9", "t9"), ("t0", "'t0' is one")):
        app = open_page("pareto_front", **file, **{"problem.targets": targets})
        assert [error.value for error in app.error if words in error.value], targets
        assert not any(button.label == "Run" for button in app.button)
    app = open_page("pareto_front", **file, **{"problem.targets": "t0, t1"})
    assert not app.error
    assert any(button.label == "Run" and not button.disabled for button in app.button)


def test_a_table_is_asked_for_and_nothing_is_wrong_yet(open_page: Any) -> None:
    app = open_page("pareto_front", problem="csv")
    assert [info.value for info in app.info] == [
        "Choose your data, or add some, and name two or more of its columns to predict."
    ]
    assert not app.error


def test_nonsense_in_the_link_is_named(open_page: Any) -> None:
    app = open_page("pareto_front", problem="toys", lr="fast", pick="0", look="up")
    said = " ".join(warning.value for warning in app.warning)
    for name in ("problem", "lr", "pick", "look"):
        assert f"in the URL, {name}:" in said


def test_missing_data_is_explained(
    open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    app = open_page("pareto_front", problem="nyuv2")
    assert any("nyuv2" in warning.value.casefold() for warning in app.warning)
    assert all(button.disabled for button in app.button if button.label == "Run")


def test_a_method_without_transfer_says_so(open_page: Any, solved: Any) -> None:
    solved()
    app = open_page("pareto_front", **SMALL, focus="independent", look="transfer")
    assert any("transfers nothing" in info.value for info in app.info)
    app = open_page("pareto_front", **SMALL, focus="decay", look="transfer")
    assert not any("transfers nothing" in info.value for info in app.info)


def test_matrices_are_read_of_the_method_that_shows_them_alone(
    open_page: Any, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are most of what a front has measured."""
    solved()
    read: list[str] = []
    table = Answers.table

    def noted(self: Answers, answer: Any, name: str) -> pd.DataFrame:
        if name == "transfers":
            read.append(answer.config.method)
        return table(self, answer, name)

    monkeypatch.setattr(Answers, "table", noted)
    open_page("pareto_front", **SMALL, focus="decay")
    assert read == []
    open_page("pareto_front", **SMALL, focus="decay", look="transfer")
    assert set(read) == {"decay"}


def test_pinned_fronts_stay_for_comparison(open_page: Any, solved: Any) -> None:
    solved()
    app = press(open_page("pareto_front", **SMALL), "Pin")
    assert sent(app)["pins"]
    app.number_input(key="pf_lr").set_value(0.02).run()
    row = table(app)["Decaying · lr 0.05 (pinned)"]
    assert row["state"] == "done"
    assert table(app)["Decaying"]["state"] == "new"
    app.multiselect(key="pf_pins").set_value([]).run()
    assert "pins" not in sent(app)


def test_the_lesson_is_measured(open_page: Any) -> None:
    app = open_page("pareto_front", **SMALL, look="lesson")
    said = next(
        one.value
        for one in app.markdown
        if "weighted sum slides" in one.value or "slides" in one.value
    )
    config = ParetoConfig("toy", method="independent", scalarization="weighted_sum",
                          solutions=20, lr=0.05, iterations=500, frames=1, seeds=(0,))  # fmt: skip
    last = list(solve(config))[-1].train
    at_ends = int((last.min(axis=1) < 0.05).sum())
    assert at_ends == 20
    assert f"**{at_ends} of 20**" in said
    assert "0.3421" in said


def test_the_toy_is_solved_for_at_a_touch(open_page: Any) -> None:
    app = open_page("pareto_front", **SMALL, look="toy")

    def said() -> str:
        return next(one.value for one in app.markdown if one.value.startswith("Hypervolume:"))

    config = ParetoConfig("toy", method="independent", solutions=10, lr=0.1, iterations=30,
                          frames=1, seeds=(0,))  # fmt: skip
    alone = measures.hypervolume(list(solve(config))[-1].train, (1.0, 1.0))
    before = said()
    assert f"Independent **{alone:.4f}**" in before
    app.session_state["pft_iterations"] = 120  # as its slider does
    app.run()
    assert said() != before
    assert not app.exception


def test_a_front_that_lags_is_not_taken_for_one_that_is_there(open_page: Any, store: Store) -> None:
    question, _ = FrontQuestion.from_query(SMALL)
    alone, decay = question.configs
    for config, most in ((alone, 40), (decay, 10)):
        pieces = [piece for piece in stored.solved(config) if piece.step <= most]
        stored.put(store, config, pieces, "done" if config is alone else "running")
    app = open_page("pareto_front", **SMALL)
    values = labels(app)
    assert values["Iteration"] == "10"
    assert values["Evaluations to 90%"] == "–"
    assert any("Decaying at iteration 10" in caption.value for caption in app.caption)
    hypervolume = next(m for m in app.metric if m.label == "Hypervolume, Decaying")
    assert not hypervolume.delta, "at another step nothing is compared"
    assert table(app)["Decaying"]["ratio"] == "–"
    assert table(app)["Independent"]["ratio"] == "1.00"


def test_a_replaced_table_is_noticed(open_page: Any, store: Store, csv: Path) -> None:
    query = {
        "problem": "csv",
        "problem.file": csv.name,
        "problem.targets": "t0, t1",
        "method": "independent",
        "solutions": "2",
        "iterations": "4",
        "frames": "2",
        "seeds": "0",
    }
    (config,) = FrontQuestion.from_query(query)[0].configs
    info = artifacts.provenance(config, "cpu")
    stored.put(store, config, stored.solved(config), info=info)
    app = open_page("pareto_front", **query)
    assert not [one for one in app.warning if "other data" in one.value]
    csv.write_text(csv.read_text().replace("0.", "1."))
    app.run()
    (warning,) = [one.value for one in app.warning if "other data" in one.value]
    assert "delete it in the Library to solve anew" in warning


def test_what_a_link_says_is_no_markdown(open_page: Any) -> None:
    app = open_page("pareto_front", problem="![x](http://localhost/x.png)")
    said = " ".join(warning.value for warning in app.warning)
    assert "in the URL, problem:" in said
    assert "![x](" not in said


def test_a_picture_is_no_name_of_a_column(open_page: Any, csv: Path) -> None:
    """Exported, it would not come in again."""
    name = "![x](//a.org/b.png)"
    csv.write_text(csv.read_text().replace("t1", name))
    query = {"problem": "csv", "problem.file": csv.name, "problem.targets": f"t0, {name}"}
    (error,) = open_page("pareto_front", **query).error
    assert "is not plain text on one line" in error.value
    assert "![" not in error.value


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("$seed$", r"\$seed\$"),
        ('"Weight, kg"', "Weight, kg"),
        ("[x](//a.org)", r"\[x\](//a.org)"),
        ("Preis\u00a0€", "Preis\u00a0€"),
    ],
)
def test_a_column_may_have_any_name(
    open_page: Any, store: Store, csv: Path, name: str, shown: str
) -> None:
    csv.write_text(csv.read_text().replace("t0", "solution").replace("t1", name))
    query = {
        "problem": "csv",
        "problem.file": csv.name,
        "problem.targets": f"solution, {name}",
        "method": "independent",
        "solutions": "2",
        "iterations": "4",
        "frames": "2",
        "seeds": "0",
    }
    (config,) = FrontQuestion.from_query(query)[0].configs
    stored.put(store, config, stored.solved(config))
    app = open_page("pareto_front", **query)
    assert "solution: test loss" in labels(app)
    assert f"{shown}: test loss" in labels(app)
    assert not any("![" in one.value for one in app.caption)


def test_what_was_left_out_of_a_table_is_said(open_page: Any, store: Store, csv: Path) -> None:
    header, *rows = csv.read_text().splitlines()
    for place in range(len(rows)):
        first = ["5000" if place == number else "0" for number in range(len(rows))]
        changed = [",".join([a, *row.split(",")[1:]]) for a, row in zip(first, rows, strict=True)]
        csv.write_text("\n".join([header.replace("a,", "*a*,"), *changed]))
        if tables.split(tables.read(csv, ("t0", "t1"))).notes:
            break
    query = {
        "problem": "csv",
        "problem.file": csv.name,
        "problem.targets": "t0, t1",
        "method": "independent constant",
        "solutions": "2",
        "iterations": "4",
        "frames": "2",
        "seeds": "0 1",
    }
    for config in FrontQuestion.from_query(query)[0].configs:
        stored.put(store, config, stored.solved(config))
        found = store.table(config, "front")["test_loss"]
        assert found.max() < 100
    app = open_page("pareto_front", **query)
    assert [one.value for one in app.caption if one.value.startswith("Note: ")] == [
        r"Note: column '\*a\*' has one value in the rows to train on, so it is left out."
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"problem": "csv", "problem.file": "/dev/zero", "problem.targets": "a, b"},
        {"problem": "csv", "problem.file": "~nosuchuser/x", "problem.targets": "a, b"},
        {"problem": "csv", "problem.file": "x" * 300, "problem.targets": "a, b"},
        {"problem": "toy", "constant.neighbours": "inf", "decay.halving": "nan"},
        {"problem": "toy", "pick": "99", "axes": "2 3", "seed": "7"},
    ],
)
def test_odd_links_are_words_and_no_crash(open_page: Any, query: dict[str, str]) -> None:
    app = open_page("pareto_front", **query)
    assert not app.exception
    if query["problem"] == "csv":
        assert any(
            "is not the name of a file in the app's folder own" in e.value for e in app.error
        )
    elif "pick" in query:
        (slider,) = (one for one in components(app) if "words" in one)
        assert slider["words"][slider["place"]].startswith("20: "), "the last solution"
    else:
        said = " ".join(warning.value for warning in app.warning)
        assert "constant.neighbours:" in said
        assert "decay.halving:" in said


def test_whole_numbers_stay_whole(open_page: Any) -> None:
    query = {**SMALL, "method": "independent constant", "focus": "constant"}
    app = open_page("pareto_front", **query)
    app.number_input(key="pf_constant_neighbours").set_value(3).run()
    assert not app.error
    assert sent(app)["constant.neighbours"] == "3"
    app.number_input(key="pf_lr").set_value(None).run()
    assert not app.error
    assert "lr" not in sent(app)
