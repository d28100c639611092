"""Conflict: points over auxiliary sets, their correlations, and what may be said of them."""

import re
from collections.abc import Callable
from itertools import combinations

import pytest

from mtl_core import RunConfig

TITLE = "Does gradient conflict foretell how well a task generalizes?"
OTHERS = ("non-insect_invertebrates", "large_natural_outdoor_scenes", "trees")
SETS = [names for size in (1, 2, 3) for names in combinations(OTHERS, size)]
empty = pytest.mark.usefixtures("nothing_ships")
Put = Callable[..., RunConfig]


def text(app) -> str:
    return " ".join(one.value for one in (*app.markdown, *app.caption))


def correlations(app):
    (found,) = [one.value for one in app.dataframe if "paper's r" in one.value]
    return found


@pytest.fixture
def seven(four: Put, finish: Put) -> None:
    """All seven auxiliary sets of fish: the less similar, the larger factors."""
    for place, names in enumerate(SETS):
        finish(
            four("fish", *names),
            similarity=0.9 - 0.1 * place,
            factor=1.0 + 5 * place,
            gain=0.05 * (place % 2),
        )


@empty
def test_correlations_are_told_and_seven_sets_are_too_few(open_page, seven) -> None:
    app = open_page("conflict")
    assert app.title[0].value == TITLE
    found = correlations(app)
    assert found["deciding sets"].tolist() == [7] * 4
    assert found["of tasks"].tolist() == ["2, 3, 4"] * 4
    assert found["paper's r"].tolist()[:3] == ["-1.00"] * 3
    assert found["p (Holm)"].tolist() == ["–"] * 4
    assert found["fewest measurements"].tolist()[3] == "–"
    said = text(app)
    assert "Worsens optimization: the runs here cannot tell" in said
    assert "No target has more than 7 auxiliary sets; an outcome takes 20 of one target." in said
    assert "r given K of log10 = -" in said
    assert "paper's r = -1.00" in said
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 4


@empty
def test_enough_sets_agree_with_a_reason(
    open_page, four: Put, finish: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtl_core.analysis.conflict.FEWEST_SETS", 7)
    for place, names in enumerate(SETS):
        changes = {"similarity": 0.9 - 0.1 * place, "factor": 2.0 + place}
        finish(four("fish", *names), **changes, gain=0.05 * (place % 2))
    app = open_page("conflict")
    said = text(app)
    assert "Worsens optimization: the runs here agree" in said
    assert "**3 of 3** correlations of similarity with a factor are significantly negative" in said
    assert "(Holm's correction for 3)" in said
    # Seven sets are far too few to rule a correlation out.
    assert "Does not foretell generalization: the runs here cannot tell" in said
    assert "more than ±0.3 is not ruled out: fish, r = " in said
    assert "–" not in correlations(app)["p (Holm)"].tolist()


@empty
def test_a_factor_that_conflict_lowers_disagrees(
    open_page, four: Put, finish: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtl_core.analysis.conflict.FEWEST_SETS", 7)
    for place, names in enumerate(SETS):
        changes = {"similarity": 0.9 - 0.1 * place, "factor": 9.0 - place, "gain": 0.01 * place}
        finish(four("fish", *names), **changes)
    said = text(open_page("conflict"))
    assert "Worsens optimization: the runs here disagree" in said
    assert (
        "**3 of 3** correlations of similarity with a factor are significantly *positive*" in said
    )
    assert "Does not foretell generalization: the runs here disagree" in said
    assert "For **1 of 1 target** similarity is significantly correlated with the test" in said


@empty
def test_sets_of_one_size_decide_on_demand(open_page, seven) -> None:
    app = open_page("conflict")
    assert "correlation of similarity with 1/√K" in text(app)
    (chooser,) = [one for one in app.selectbox if one.label == "Sets that decide"]
    assert chooser.options == [
        "all, given their number of tasks",
        "of 2 tasks (up to 3 sets a target)",
        "of 3 tasks (up to 3 sets a target)",
        "of 4 tasks (up to 1 set a target)",
    ]
    chooser.set_value(3).run()
    found = correlations(app)
    assert found["deciding sets"].tolist() == [3] * 4
    assert found["of tasks"].tolist() == ["3"] * 4
    assert found["points"].tolist() == [7] * 4, "the paper's r is over all of them"
    assert "No target has more than 3 auxiliary sets of 3 tasks" in text(app)
    assert "correlation of similarity with 1/√K" not in text(app)
    assert app.query_params["size"] in ("3", ["3"])


@empty
def test_similarity_is_read_throughout_or_early(open_page, seven) -> None:
    app = open_page("conflict")
    charts = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    assert all("gradient similarity throughout training" in one.proto.spec for one in charts)
    app.segmented_control(key="conflict_reading").set_value("early").run()
    charts = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    assert all("early gradient similarity" in one.proto.spec for one in charts)
    assert app.query_params["reading"] in ("early", ["early"])


@empty
def test_footnote_7_takes_long_runs(open_page, seven, four: Put, finish: Put) -> None:
    app = open_page("conflict", aggregate="footnote")
    assert "footnote 7's counts take 50 epochs, and these runs have 40" in app.warning[0].value
    (aggregate,) = app.radio
    assert (aggregate.disabled, aggregate.value) == (True, "bins")
    assert "Footnote 7's counts take 50 whole epochs; these runs have 40." in text(app)
    long = four("fish", "trees", epochs=50)
    finish(long)
    app = open_page("conflict", budget=long.baseline.id, aggregate="footnote")
    assert not app.warning
    (aggregate,) = app.radio
    assert (aggregate.disabled, aggregate.value) == (False, "footnote")


@empty
def test_values_over_decades_lie_on_a_logarithmic_axis(open_page, seven) -> None:
    app = open_page("conflict")
    charts = app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")
    assert ["(log)" in one.proto.spec for one in charts] == [True, True, True, False]


@empty
def test_other_optimizers_are_points_on_demand(open_page, seven, four: Put, finish: Put) -> None:
    finish(four("fish", "trees", optimizer="mgda"), similarity=0.3)
    app = open_page("conflict")
    assert correlations(app)["points"].tolist() == [7] * 4
    app.toggle(key="conflict_every_optimizer").set_value(True).run()
    assert correlations(app)["points"].tolist() == [8] * 4
    assert correlations(app)["sets"].tolist() == [7] * 4
    assert correlations(app)["deciding sets"].tolist() == [7] * 4, "only those of the sum"
    assert app.query_params["optimizers"] in ("all", ["all"])


@empty
def test_targets_have_points_and_lines_of_their_own(
    open_page, seven, four: Put, finish: Put
) -> None:
    for place, names in enumerate(((OTHERS[1],), (OTHERS[2],), OTHERS[1:])):
        finish(four(OTHERS[0], *names), similarity=0.5 + 0.1 * place, factor=2.0 + place)
    app = open_page("conflict")
    assert correlations(app)["target"].unique().tolist() == ["fish", "non-insect_invertebrates"]
    assert "paper's r = +1.00" in text(app)
    assert "non-insect_invertebrates: " in text(app)
    assert len(app.get("page_link")) == 2
    app.multiselect(key="conflict_targets").set_value(["non-insect_invertebrates"]).run()
    assert correlations(app)["target"].unique().tolist() == ["non-insect_invertebrates"]


@empty
def test_one_point_has_no_correlation(open_page, four: Put, finish: Put) -> None:
    finish(four("fish", "trees"))
    app = open_page("conflict")
    assert "no correlation (fewer than 3 points, or all equal)" in text(app)
    assert not app.exception


@empty
def test_without_runs_the_page_says_what_it_takes(open_page) -> None:
    app = open_page("conflict")
    assert "There are no points yet" in app.info[0].value


@empty
def test_nonsense_in_the_url_is_named_once(open_page, seven) -> None:
    app = open_page(
        "conflict", targets="trees", optimizers="mgda", budget="huge", size="9", reading="late"
    )
    assert len(app.warning) == 5
    app.run()
    assert not app.warning


# What ships.


def test_the_page_opens_on_sets_that_can_decide(open_page) -> None:
    app = open_page("conflict")
    found = correlations(app)
    assert app.query_params["setting"] in ("synthetic", ["synthetic"])
    assert found["deciding sets"].tolist() == [80] * 4
    assert found["of tasks"].tolist() == ["5"] * 4
    assert "–" not in found["p (Holm)"].tolist()
    assert all(int(fewest) >= 1 for fewest in found["fewest measurements"][:3])
    assert "an outcome takes" not in text(app)


@pytest.mark.parametrize("reading", ["early", "throughout"])
def test_unlike_sets_of_cifar100_are_the_number_of_tasks(open_page, reading: str) -> None:
    app = open_page("conflict", setting="cifar100", reading=reading)
    said = text(app)
    (by_size,) = re.findall("being the number of tasks: (.*?)[.] Where", said)
    correlations_with_size = [float(number) for number in re.findall(r"\+[0-9.]+", by_size)]
    assert len(correlations_with_size) == 3
    assert min(correlations_with_size) >= 0.99
    for half in ("Worsens optimization", "Does not foretell generalization"):
        assert f"{half}: the runs here cannot tell" in said
    found = correlations(app)
    metrics = found[found["similarity against"] == "test accuracy E"]
    assert metrics["p (Holm)"].tolist() == ["–"] * 3
    for interval in metrics["95 % interval"]:
        low, high = map(float, interval.split(" … "))
        assert low < 0 < high, "with the number of tasks held fixed, nothing is left to be seen"
    if reading == "early":
        assert all(abs(float(r)) < 0.3 for r in metrics["r given K"])
