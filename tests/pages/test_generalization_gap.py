"""Generalization gap: from runs to cards and a verdict, and what the page says without any."""

from collections.abc import Callable

import pytest

from mtl_core import RunConfig

TITLE = "Does transfer show early, as a gap at equal training loss?"
pytestmark = pytest.mark.usefixtures("nothing_ships")
Put = Callable[..., RunConfig]


def sent(app) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def text(app) -> str:
    return " ".join(one.value for one in (*app.markdown, *app.caption))


def table(app):
    (found,) = [one.value for one in app.dataframe if "opens early" in one.value]
    return found


@pytest.fixture
def fish(four: Put, finish: Put) -> list[RunConfig]:
    """fish gains from all four tasks, invertebrates loses, each against its own single task."""
    return [
        finish(four("fish")),
        finish(four("non-insect_invertebrates"), gain=0.2),
        finish(
            four("fish", "non-insect_invertebrates", "large_natural_outdoor_scenes", "trees"),
            gain=0.1,
        ),
    ]


def test_tasks_are_held_against_the_run_that_has_them_all(open_page, fish) -> None:
    app = open_page("generalization_gap")
    assert app.title[0].value == TITLE
    assert "The runs here agree" in text(app)
    assert "Of **2** significant transfers (Holm's correction for 2)" in text(app)
    assert "**2** opened as a gap of the same sign above L = 0.1, and stayed." in text(app)
    cards = {one.label: (one.value, one.delta) for one in app.metric}
    assert cards["all 4 tasks: transfer ΔE"] == ("+10.0 pt", "+9.5 … +10.5 pt · better")
    value, delta = cards["all 4 tasks: gap opens at"]
    assert value.startswith("L = ")
    assert delta.startswith("better since epoch")
    rows = table(app)
    assert rows["task"].tolist() == ["fish", "non-insect_invertebrates"]
    assert rows["transfer ΔE"].tolist() == ["+10.0 pt", "-10.0 pt"]
    assert rows["opens early"].tolist() == ["yes", "yes"]
    # The hero, and one chart for each task.
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 3
    assert sent(app) == {"setting": "cifar100", "budget": "quick", "task": "fish"}
    app.selectbox(key="gap_task").set_value("non-insect_invertebrates").run()
    assert sent(app)["task"] == "non-insect_invertebrates"
    assert app.metric[0].value == "-10.0 pt"


def test_sources_name_kind_data_and_command(open_page, fish) -> None:
    app = open_page("generalization_gap")
    said = text(app)
    assert "measured" in said
    assert "2 runs on Four, 250 training examples per task, 40 epochs, 3 seeds" in said
    assert "Smaller than the paper's setup: 40 of 300 epochs" in said
    (runs,) = [one.value for one in app.dataframe if "command" in one.value]
    assert set(runs["run"]) == {config.id for config in fish}
    assert all(line.startswith("python -m mtl_core run") for line in runs["command"])
    link = app.get("page_link")[0].proto
    assert "target=fish" in link.query_string
    assert "aux=non-insect_invertebrates+large_natural_outdoor_scenes+trees" in link.query_string


def test_any_two_runs_can_be_compared(open_page, fish, four: Put, finish: Put) -> None:
    other = finish(four("fish", "trees", optimizer="mgda"), gain=0.3)
    app = open_page("generalization_gap", runs=other.id, against=fish[2].id)
    cards = {one.label: (one.value, one.delta) for one in app.metric}
    assert cards["+ trees · MGDA: transfer ΔE"] == ("+20.0 pt", "+19.0 … +21.0 pt · better")
    app.selectbox(key="gap_against").set_value(fish[0].id).run()
    assert app.metric[0].value == "+30.0 pt"
    app.multiselect(key="gap_runs").set_value([]).run()
    assert app.metric[0].label == "all 4 tasks: transfer ΔE"


def test_equal_runs_have_nothing_to_date(open_page, four: Put, finish: Put) -> None:
    finish(four("fish"))
    finish(four("fish", "trees"))
    app = open_page("generalization_gap")
    assert "The runs here cannot tell" in text(app)
    assert "None of the 1 comparison here has a significant transfer" in text(app)
    assert table(app)["opens early"].tolist() == ["–"]


def test_without_runs_the_page_says_what_it_takes(open_page) -> None:
    app = open_page("generalization_gap")
    assert app.title[0].value == TITLE
    assert "There is nothing to compare yet" in app.info[0].value
    assert len(app.get("page_link")) == 1
    assert not app.metric


def test_nonsense_in_the_url_is_named_once(open_page, fish) -> None:
    app = open_page("generalization_gap", task="trees", runs="nope", junk="1")
    lines = [one.value for one in app.warning]
    assert len(lines) == 3
    assert any("trees has no single-task run" in line for line in lines)
    assert sent(app) == {"setting": "cifar100", "budget": "quick", "task": "fish"}
    app.run()
    assert not app.warning


def test_an_error_metric_is_not_called_accuracy(
    open_page, four: Put, finish: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from mtl_core import settings

    made = settings.get("cifar100")
    errors = tuple(replace(task, metric="absolute_error") for task in made.tasks)
    monkeypatch.setitem(settings._SETTINGS, "cifar100", replace(made, tasks=errors))
    finish(four("fish"))
    finish(four("fish", "trees"), gain=0.1)
    app = open_page("generalization_gap")
    assert app.metric[0].value == "+0.1"
    assert app.metric[0].delta.endswith(" · worse")
    chart = (app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart"))[0]
    assert "test absolute error E" in chart.proto.spec
    assert "accuracy" not in chart.proto.spec
