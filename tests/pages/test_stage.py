"""How much of a page its address shows, and that the question is the same in all of it."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from mtl_core.views.takeaways import figure_code
from mtl_core.views.what_if import Question
from pages.parts.stage import PARTS, Stage, without

Opened = Callable[..., AppTest]


@pytest.mark.parametrize(
    ("stage", "query"),
    [
        (Stage(), {}),
        (Stage("figure"), {"show": "figure"}),
        (Stage("run", ("cards", "strip")), {"show": "run", "hide": "cards strip"}),
        (Stage(present=True), {"present": "true"}),
    ],
)
def test_an_address_says_all_of_it(stage: Stage, query: Mapping[str, str]) -> None:
    assert stage.to_query() == query
    assert Stage.from_query(query) == (stage, [])
    assert without({**query, "setting": "digits"}) == {"setting": "digits"}


def test_what_it_does_not_know_it_names_and_leaves() -> None:
    stage, told = Stage.from_query({"show": "all", "hide": "cards, menu", "present": "yes"})
    assert stage == Stage(hide=("cards",))
    assert [line.split(";")[0] for line in told] == [
        "unknown show 'all'",
        "unknown part to hide 'menu'",
        "unknown present 'yes'",
    ]


def test_a_figure_has_nothing_beside_it_and_a_projector_no_controls() -> None:
    assert not any(Stage("figure").shows(part) for part in PARTS)
    assert {part for part in PARTS if Stage("run").shows(part)} == {"buttons", "cards", "strip"}
    assert {part for part in PARTS if not Stage(present=True).shows(part)} == {"controls"}
    assert {part for part in PARTS if not Stage(hide=("table",)).shows(part)} == {"table"}
    assert not Stage().bare
    assert all(one.bare for one in (Stage("figure"), Stage("run"), Stage(present=True)))


def test_the_figure_alone(open_page: Opened) -> None:
    app = open_page("what_if", setting="synthetic", aux="cos100", show="figure")
    assert not app.title
    assert not app.metric
    assert not app.button
    assert not app.sidebar.selectbox
    assert app.subheader[0].value == "What if target is trained together with cos100?"
    assert len(app.get("vega_lite_chart")) == 1
    assert app.query_params["show"] in ("figure", ["figure"]), "it stays in the address"


def test_a_figure_that_can_be_run_and_set_back(open_page: Opened) -> None:
    app = open_page("what_if", setting="synthetic", aux="cos0", seeds="40 41", show="run")
    assert [metric.label for metric in app.metric] == [
        "Transfer ΔE",
        "Gap at equal loss",
        "Gap opens at",
    ]
    assert len(app.get("vega_lite_chart")) == 2, "with the gap below"
    assert [button.label for button in app.button] == ["Run", "Start over"]
    app.button[0].click().run()
    assert [button.label for button in app.button] == ["Stop", "Start over"]
    app.button[1].click().run()
    assert not app.exception
    assert app.title[0].value == "What if target is trained together with cos0?"


def test_a_projector_has_all_but_the_controls_and_larger_marks(open_page: Opened) -> None:
    usual = open_page("what_if", setting="synthetic", aux="cos100", look="epochs")
    app = open_page("what_if", setting="synthetic", aux="cos100", look="epochs", present="true")
    assert not app.sidebar.selectbox
    assert len(app.get("vega_lite_chart")) == len(usual.get("vega_lite_chart")) == 4
    assert any("font-size: 160%" in html.proto.body for html in app.get("html"))


def test_a_link_to_share_says_question_and_stage(open_page: Opened) -> None:
    app = open_page("what_if", setting="synthetic", aux="cos100")
    (kind,) = (one for one in app.button_group if one.label == "Share as")
    kind.set_value("Figure only").run()
    link, frame = (code.value for code in app.code[:2])
    asked = dict(parse_qsl(urlsplit(link).query))
    assert (asked.pop("show"), asked.pop("embed")) == ("figure", "true")
    question, told = Question.from_query(asked)
    assert not told
    assert question == Question.from_query({"setting": "synthetic", "aux": "cos100"})[0]
    assert frame.startswith("<iframe src=")
    assert "&amp;" in frame
    assert "&embed" not in frame
    opened = open_page("what_if", **{**asked, "show": "figure"})
    assert len(opened.get("vega_lite_chart")) == 1


def test_a_lesson_is_shared_without_its_readers_guesses(open_page: Opened) -> None:
    app = open_page("lessons", lesson="a_helpful_task", step="2")
    (way,) = (one for one in app.button_group if one.label == "Share as")
    way.set_value("Lesson").run()
    asked = dict(parse_qsl(urlsplit(app.code[0].value).query))
    assert asked == {"lesson": "a_helpful_task", "show": "run", "embed": "true"}
    bare = open_page("lessons", **asked)
    assert not any(one.label == "Share as" for one in bare.button_group)


def test_the_overviews_figure_alone(open_page: Opened) -> None:
    app = open_page("overview", show="figure")
    assert not app.button
    assert len(app.get("vega_lite_chart")) == 1


def test_a_part_that_is_not_there_is_named(open_page: Opened) -> None:
    app = open_page("what_if", setting="synthetic", hide="table everything")
    assert any("unknown part to hide 'everything'" in one.value for one in app.warning)
    assert not app.dataframe


FIGURES = {
    "overview": ({}, 1),
    "which_auxiliary": ({"setting": "digits", "candidates": "digits2"}, 1),
    "generalization_gap": ({"setting": "fashion", "budget": "paper"}, 1),
    "factors": ({"setting": "fashion", "budget": "paper"}, 3),
    "smtos": ({"setting": "digits"}, 5),
    "conflict": ({"setting": "digits"}, 4),
    "pareto_front": ({"problem": "toy"}, 1),
    "gradient_playground": ({}, 0),
}
"""Page to a question that runs that ship have an answer to, and the charts of its figure."""


@pytest.mark.parametrize("page", FIGURES)
def test_every_pages_figure_alone(open_page: Opened, page: str) -> None:
    question, charts = FIGURES[page]
    app = open_page(page, **question, show="figure")
    assert len(app.get("vega_lite_chart")) == charts
    assert len(app.subheader) == 1, "what the figure asks"
    for beside in (app.title, app.metric, app.button, app.dataframe, app.table, app.expander):
        assert not beside
    assert not app.get("popover")
    assert not app.get("download_button")
    assert not app.sidebar.selectbox
    assert not app.warning
    if page != "overview":  # whose setting can be changed
        assert not app.button_group


@pytest.mark.parametrize("page", FIGURES)
def test_every_pages_figure_is_shared_and_exported_and_nothing_is_made_before(
    open_page: Opened, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("made without being asked for")

    monkeypatch.setattr("mtl_core.charts.export._drawn", made)
    monkeypatch.setattr("mtl_core.views.figures.asked.figure_of", made)
    monkeypatch.setattr("pages.parts.exports.figure_of", made)
    question, _ = FIGURES[page]
    app = open_page(page, **question)
    (way,) = (one for one in app.button_group if one.label == "Share as")
    assert "Figure only" in way.options
    files = {one.proto.label for one in app.get("download_button")}
    if page != "gradient_playground":  # whose figure is drawn in the browser
        assert files >= {"SVG", "PDF", "PNG", "CSV", "LaTeX", "BibTeX"}
        (code,) = [one.value for one in app.code if "mtl_core.figure(" in one.value]
        said = {"overview_setting": "fashion"} if page == "overview" else _said(app)
        assert code == figure_code(page, said).strip()


def _said(app: AppTest) -> dict[str, str]:
    said = app.query_params
    return {name: one[0] if isinstance(one, list) else one for name, one in said.items()}
