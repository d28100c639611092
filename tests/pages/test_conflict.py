"""Conflict: points over auxiliary sets, their correlations, and what may be said of few."""

from collections.abc import Callable
from itertools import combinations

import pytest

from mtl_core import RunConfig

TITLE = "Does gradient conflict foretell how well a task generalizes?"
OTHERS = ("non-insect_invertebrates", "large_natural_outdoor_scenes", "trees")
pytestmark = pytest.mark.usefixtures("nothing_ships")
Put = Callable[..., RunConfig]


def text(app) -> str:
    return " ".join(one.value for one in (*app.markdown, *app.caption))


def correlations(app):
    (found,) = [one.value for one in app.dataframe if "Pearson r" in one.value]
    return found


@pytest.fixture
def seven(four: Put, finish: Put) -> None:
    """All seven auxiliary sets of fish: the less similar, the larger factors."""
    sets = [names for size in (1, 2, 3) for names in combinations(OTHERS, size)]
    for place, names in enumerate(sets):
        finish(
            four("fish", *names),
            similarity=0.9 - 0.1 * place,
            factor=1.0 + 5 * place,
            gain=0.05 * (place % 2),
        )


def test_correlations_are_told_and_seven_sets_are_too_few(open_page, seven) -> None:
    app = open_page("conflict")
    assert app.title[0].value == TITLE
    found = correlations(app)
    assert found["sets"].tolist() == [7] * 4
    assert found["Pearson r"].tolist()[:3] == ["-1.00"] * 3
    assert "Worsens optimization: not enough to tell" in text(app)
    assert "r = -1.00" in text(app)
    assert "n = 7, fewer than 8 points" in text(app)
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 4


def test_eight_sets_support_the_claim(open_page, seven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtl_core.analysis.conflict.FEWEST", 7)
    monkeypatch.setattr("mtl_core.analysis.correlation.Correlation.few", False)
    app = open_page("conflict")
    assert "Worsens optimization: ours support it" in text(app)
    assert "**3 of 3** correlations of similarity with a factor are negative" in text(app)
    assert "Does not foretell generalization: ours support it" in text(app)
    assert "For **0 of 1** target" in text(app)


def test_values_over_decades_lie_on_a_logarithmic_axis(open_page, seven) -> None:
    app = open_page("conflict")
    charts = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    assert ["(log)" in one.proto.spec for one in charts] == [True, True, True, False]


def test_other_optimizers_are_points_on_demand(open_page, seven, four: Put, finish: Put) -> None:
    finish(four("fish", "trees", optimizer="mgda"), similarity=0.3)
    app = open_page("conflict")
    assert correlations(app)["points"].tolist() == [7] * 4
    app.toggle(key="conflict_every_optimizer").set_value(True).run()
    assert correlations(app)["points"].tolist() == [8] * 4
    assert correlations(app)["sets"].tolist() == [7] * 4
    assert "not enough to tell" in text(app), "a set counts once"
    assert app.query_params["optimizers"] in ("all", ["all"])


def test_targets_have_points_and_lines_of_their_own(
    open_page, seven, four: Put, finish: Put
) -> None:
    for place, names in enumerate(((OTHERS[1],), (OTHERS[2],), OTHERS[1:])):
        finish(four(OTHERS[0], *names), similarity=0.5 + 0.1 * place, factor=2.0 + place)
    app = open_page("conflict")
    assert correlations(app)["target"].unique().tolist() == ["fish", "non-insect_invertebrates"]
    assert "non-insect_invertebrates: r = +1.00" in text(app)
    assert len(app.get("page_link")) == 2
    app.multiselect(key="conflict_targets").set_value(["non-insect_invertebrates"]).run()
    assert correlations(app)["target"].unique().tolist() == ["non-insect_invertebrates"]


def test_one_point_has_no_correlation(open_page, four: Put, finish: Put) -> None:
    finish(four("fish", "trees"))
    app = open_page("conflict")
    assert "no correlation (fewer than 3 points, or all equal)" in text(app)
    assert not app.exception


def test_without_runs_the_page_says_what_it_takes(open_page) -> None:
    app = open_page("conflict")
    assert "There are no points yet" in app.info[0].value


def test_nonsense_in_the_url_is_named_once(open_page, seven) -> None:
    app = open_page("conflict", targets="trees", optimizers="mgda", budget="huge")
    assert len(app.warning) == 3
    app.run()
    assert not app.warning
