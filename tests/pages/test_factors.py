"""Factors: Table 1 from runs, beside what the paper printed."""

from collections.abc import Callable

import pytest

from mtl_core import RunConfig

TITLE = "Does any factor of the trajectory explain transfer?"
pytestmark = pytest.mark.usefixtures("nothing_ships")
Put = Callable[..., RunConfig]


def text(app) -> str:
    return " ".join(one.value for one in (*app.markdown, *app.caption))


def tables(app) -> list:
    return [one.value for one in app.table]


def charts(app) -> list:
    return app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")


@pytest.fixture
def trade_off(four: Put, finish: Put) -> None:
    """Together fish gains and invertebrates lose; all factors rise, for both."""
    finish(four("fish"))
    finish(four("non-insect_invertebrates"), gain=0.2)
    finish(four("trees"), gain=0.1, factor=1.5)
    others = ("non-insect_invertebrates", "large_natural_outdoor_scenes", "trees")
    together = four("fish", *others, auxiliary_factors=True)
    finish(together, gain=0.1, factor=1.5)


def test_no_factor_explains_a_trade_off_that_it_does_not_share(open_page, trade_off) -> None:
    app = open_page("factors")
    assert app.title[0].value == TITLE
    assert "Ours support it" in text(app)
    assert "**no factor explains** the 2 significant transfers (1 better, 1 worse)" in text(app)
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        assert f"{factor} cannot explain" in text(app)
    assert len(charts(app)) == 3
    ours, theirs, *others = tables(app)
    assert ours["task"].tolist() == ["fish", "non-insect invertebrates"], "trees has no transfer"
    assert ours["ΔE"].tolist() == [
        ":green-background[+10.0\u202f✓]",
        ":red-background[−10.0\u202f✗]",
    ]
    assert all("red-background" in cell for cell in ours["Δ sharp."])
    assert theirs["task"].tolist()[4] == "Fish"
    assert theirs["Δ Fisher"].tolist()[1] == ":green[−212.92]"
    assert [len(one) for one in others] == [4, 2, 4], "celeba, cityscapes and glue"


def test_signs_are_counted_against_the_paper_s(open_page, trade_off) -> None:
    """Printed: fish +3.49, invertebrates +3.53, and every factor of both rises."""
    app = open_page("factors")
    counts = {one.label: (one.value, one.delta) for one in app.metric}
    assert counts == {
        "ΔE": ("1 of 2", "1 of 2 significant"),
        "Δ sharp.": ("2 of 2", "2 of 2 significant"),
        "Δ Fisher": ("2 of 2", "2 of 2 significant"),
        "Δ cov.": ("2 of 2", "2 of 2 significant"),
    }
    assert "Not measured here: Fruits And Vegetables, Large Carnivores, Outdoor Scenes" in text(app)


def test_all_tasks_and_the_other_aggregate(open_page, trade_off) -> None:
    app = open_page("factors", aggregate="footnote", rows="all")
    assert "over the whole run" in text(app)
    ours = tables(app)[0]
    assert ours["task"].tolist() == ["non-insect invertebrates", "fish", ":gray[trees]"] or ours[
        "task"
    ].tolist() == ["fish", "non-insect invertebrates", ":gray[trees]"]
    assert ours["ΔE"].tolist()[2] == ":gray-background[+0.0\u202f≈]"
    app.toggle(key="factors_every").set_value(False).run()
    assert len(tables(app)[0]) == 2
    assert "rows" not in app.query_params


def test_a_factor_that_follows_transfer_speaks_against_the_claim(
    open_page, four: Put, finish: Put
) -> None:
    finish(four("fish"))
    finish(four("fish", "trees"), gain=0.1, factor=0.5)
    app = open_page("factors")
    assert "Ours do not support it" in text(app)
    assert "sharpness, Fisher trace and gradient covariance can explain" in text(app)
    assert "Only transfers of both signs can tell" in text(app)


def test_each_set_is_a_row_where_there_are_several(open_page, finish: Put) -> None:
    def digits(*others: str) -> RunConfig:
        return RunConfig.from_preset("digits", "quick", auxiliaries=others)

    finish(digits())
    finish(digits("digits2"), gain=0.1, factor=0.5)
    finish(digits("noisy_digits"), gain=-0.1, factor=0.5)
    app = open_page("factors")
    ours, *published = tables(app)
    assert ours["task"].tolist() == ["digits1 + digits2", "digits1 + noisy digits"]
    assert len(published) == 4, "none of them beside ours"
    assert not app.metric
    sets = app.multiselect(key="factors_sets")
    sets.set_value([("digits1", "digits2")]).run()
    assert app.query_params["sets"] in ("digits1 digits2", ["digits1 digits2"])
    assert tables(app)[0]["task"].tolist() == ["digits1"]


def test_without_runs_the_published_table_remains(open_page) -> None:
    app = open_page("factors")
    assert "nothing measured to compare yet" in app.info[0].value
    assert [len(one) for one in tables(app)] == [7, 4, 2, 4]
    assert "Even without the shading, the signs rule out sharpness" in text(app)
    assert not charts(app)


def test_nonsense_in_the_url_is_named_once(open_page, trade_off) -> None:
    app = open_page("factors", aggregate="mean", sets="fish trees", rows="some")
    assert len(app.warning) == 3
    assert "unknown aggregate 'mean'" in " ".join(one.value for one in app.warning)
    app.run()
    assert not app.warning
