"""Factors: Table 1 from runs, beside what the paper printed."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from mtl_core import RunConfig
from mtl_core.analysis import PublishedRow
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.published import published_table
from mtl_core.trajectory import Row
from tests import stored
from tests.rows import row_of

TITLE = "Does any factor of the trajectory explain transfer?"
pytestmark = pytest.mark.usefixtures("nothing_ships")
Put = Callable[..., RunConfig]
Ship = Callable[..., None]
Values = Callable[[str, bool, int], Mapping[str, float]]
"""Of a task, trained together or alone, with a seed: E in points as ``transfer``, and factors."""
FACTORS = ("sharpness", "fisher_trace", "gradient_covariance")
SPREAD = np.array([(-2.0, -1.0, 0.0, 1.0, 2.0), (2.0, -1.0, -2.0, -1.0, 2.0)])
SPREAD = SPREAD / SPREAD.std(axis=1, ddof=1, keepdims=True)
"""Of five seeds of two runs: standard deviation 1, mean 0, uncorrelated."""
MADE = {
    "created": "2026-01-02T03:04:05Z",
    "device": "by hand",
    "versions": {},
    "data_fingerprint": "unknown",
    "factors": {},
}


def text(app) -> str:
    return " ".join(one.value for one in (*app.markdown, *app.caption))


def tables(app) -> list:
    return [one.value for one in app.table]


def names(table) -> list[str]:
    """Of our rows, whatever their size."""
    return [re.sub(r":small\[([^]]*)\]", r"\1", cell) for cell in table["task"]]


def details(app):
    (found,) = [one.value for one in app.dataframe if "range of loss" in one.value]
    return found


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


@pytest.fixture
def ship_table(tmp_path: Path) -> Ship:
    """Ships runs of five seeds of the paper's seven CIFAR-100 tasks: all together, and each alone.

    Losses fall by three decades, and a run has its E and its factors from its first epoch on.
    """

    def ship(values: Values, epochs: int = 10) -> None:
        tasks = tuple(row.task for row in printed())
        chosen = [(task, (), False) for task in tasks]
        for target, others, every in [*chosen, (tasks[0], tasks[1:], True)]:
            config = RunConfig.from_preset(
                "cifar100",
                "standard",
                target=target,
                auxiliaries=others,
                auxiliary_factors=every,
                seeds=tuple(range(5)),
                epochs=epochs,
            )
            pieces = stored.pieces_of(config, rows_of(config, values))
            content = artifacts.collected(config, pieces, MADE, 1.0)
            artifacts.write(tmp_path / "cache" / "cifar100" / config.id, content)

    return ship


def rows_of(config: RunConfig, values: Values) -> Iterator[Row]:
    together = bool(config.auxiliaries)
    for epoch in range(config.epochs + 1):
        for seed in config.seeds:
            for task in config.tasks:
                measured = dict(values(task, together, seed))
                metric = measured.pop("transfer") / 100 if epoch else 0.0
                yield row_of(
                    config,
                    seed,
                    task,
                    epoch * config.steps_per_epoch,
                    train_loss=2 * 1000 ** (-epoch / config.epochs),
                    val_metric=metric,
                    test_metric=metric,
                    gradient_similarity=0.5 if together else 1.0,
                    **measured,
                )


def printed() -> tuple[PublishedRow, ...]:
    return published_table().of("cifar100")


def as_printed(task: str, together: bool, seed: int) -> dict[str, float]:
    """Values whose Δ are the paper's, and whose standard deviations are a tenth of them."""
    (own,) = [row.deltas for row in printed() if row.task == task]
    return {
        column: 6 * abs(delta) + together * delta + 0.1 * abs(delta) * SPREAD[int(together), seed]
        for column, delta in own.items()
    }


def test_the_paper_s_own_numbers_reach_the_paper_s_verdict(open_page, ship_table: Ship) -> None:
    ship_table(as_printed)
    app = open_page("factors")
    said = text(app)
    assert "The runs here agree" in said
    assert (
        "7 of 7 transfers are significant (Holm's correction for 7), 3 better and 4 worse; against "
        "at least one of them moves **sharpness, Fisher trace and gradient covariance**." in said
    )
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        assert f"{factor}: moves the other way" in said
    assert "fish: positive transfer, but sharpness worsens" in said
    assert "large_carnivores: negative transfer, but Fisher trace improves" in said
    assert "(Holm's correction for 21)" in said, "all changes of three factors"
    assert "sharpness is refuted by fish, large_omnivores_and_herbivores and non-insect" in said
    ours, theirs = tables(app)[:2]
    assert len(ours) == len(theirs) == 7
    assert ours["ΔE"].tolist()[0] == ":red-background[:small[−8.8✗]] :gray[:small[2SD\u00a0✗]]"
    assert [one.value for one in app.metric] == ["7 of 7"] * 4, "signs agree"
    lines = details(app)
    assert lines["Δ"].tolist()[:4] == ["−8.8 pt", "+0.17", "+8.11", "+790"]
    assert lines["measurements, fewest"].tolist()[:4] == ["–", "2", "2", "2"]
    assert set(lines["seeds"]) == {"5 pairs"}


@pytest.mark.parametrize("draw", range(3))
def test_noise_explains_and_refutes_nothing(open_page, ship_table: Ship, draw: int) -> None:
    """Transfers are the paper's, and a factor of any run comes from one distribution."""
    chance = np.random.default_rng(draw)
    drawn: dict[tuple[str, bool, int], dict[str, float]] = {}

    def noise(task: str, together: bool, seed: int) -> dict[str, float]:
        own = drawn.setdefault(
            (task, together, seed), {name: chance.normal(10.0, 1.0) for name in FACTORS}
        )
        return {"transfer": as_printed(task, together, seed)["transfer"], **own}

    ship_table(noise)
    app = open_page("factors")
    said = text(app)
    assert (
        "7 of 7 transfers are significant (Holm's correction for 7), 3 better and 4 worse; no "
        "change" in said
    )
    assert "The runs here cannot tell" in said
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        assert f"{factor}: no change found" in said
    assert "but sharpness changes by anything from" in said, "the interval is said"
    assert "is refuted by" in said, "by the paper's own rule, under its name"
    assert "The runs here agree" not in said
    assert "The runs here disagree" not in said
    assert "support" not in said


def test_transfers_of_one_sign_tell_nothing(open_page, ship_table: Ship) -> None:
    ship_table(lambda task, together, seed: as_printed("fish", together, seed))
    said = text(open_page("factors"))
    assert "7 better and 0 worse; missing for an answer: there is no significant negative" in said
    assert "The runs here cannot tell" in said


def test_footnote_7_takes_fifty_epochs(open_page, ship_table: Ship) -> None:
    ship_table(as_printed, epochs=50)
    app = open_page("factors", aggregate="footnote")
    assert "The runs here agree" in text(app)
    assert "by footnote 7" in text(app)
    assert "at least: ΔE 10, Δ sharp. 20, Δ Fisher 20, Δ cov. 20." in text(app)
    assert tables(app)[0]["ΔE"].tolist()[0].startswith(":red-background[:small[−8.8")
    assert "Footnote 7's means take runs" not in text(app)


def test_footnote_7_is_not_offered_for_less(open_page, trade_off) -> None:
    app = open_page("factors")
    (choice,) = [one for one in app.get("button_group") if one.proto.id.endswith("aggregate")]
    assert choice.proto.disabled
    assert "at least 50 whole epochs, and these have 40" in text(app)
    app = open_page("factors", aggregate="footnote")
    (choice,) = [one for one in app.get("button_group") if one.proto.id.endswith("aggregate")]
    assert not choice.proto.disabled, "there is a way back"
    assert "The runs here cannot tell" in text(app)
    assert "at least 50 whole epochs, and these have 40" in text(app)
    assert "No numbers in this reading." in text(app)
    assert len(tables(app)[0]) == 7, "the printed one stands alone"


def test_no_factor_explains_a_trade_off_that_it_does_not_share(open_page, trade_off) -> None:
    app = open_page("factors")
    assert app.title[0].value == TITLE
    assert "The runs here agree" in text(app)
    assert (
        "2 of 3 transfers are significant (Holm's correction for 3), 1 better and 1 worse"
        in text(app)
    )
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        assert f"{factor}: moves the other way" in text(app)
    assert len(charts(app)) == 3
    ours, theirs, *others = tables(app)
    assert names(ours) == ["fish", "non-insect invertebrates"], "trees has no transfer"
    assert ours["ΔE"].tolist() == [
        ":green-background[:small[+10.0✓]] :gray[:small[2SD\u00a0✓]]",
        ":red-background[:small[−10.0✗]] :gray[:small[2SD\u00a0✗]]",
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


def test_all_tasks_are_rows_on_request(open_page, trade_off) -> None:
    app = open_page("factors", rows="all")
    ours = tables(app)[0]
    assert names(ours) == ["fish", "non-insect invertebrates", ":gray[trees]"]
    assert ours["ΔE"].tolist()[2] == ":gray-background[:small[+0.0≈]] :gray[:small[2SD\u00a0≈]]"
    app.toggle(key="factors_every").set_value(False).run()
    assert len(tables(app)[0]) == 2
    assert "rows" not in app.query_params


def test_a_factor_that_follows_transfer_speaks_against_the_claim(
    open_page, four: Put, finish: Put
) -> None:
    finish(four("fish"))
    finish(four("trees"), gain=0.2, factor=0.25)
    finish(four("fish", "trees", auxiliary_factors=True), gain=0.1, factor=0.5)
    said = text(open_page("factors"))
    assert "The runs here disagree" in said
    assert "**sharpness, Fisher trace and gradient covariance** can explain all of them" in said
    assert "1 better and 1 worse" in said


def test_the_paper_s_rule_needs_one_sign_only(open_page, four: Put, finish: Put) -> None:
    finish(four("fish"))
    finish(four("fish", "trees"), gain=0.1, factor=0.5)
    said = text(open_page("factors"))
    assert "The runs here cannot tell" in said
    assert "missing for an answer: there is no significant negative transfer." in said
    assert "nothing refutes sharpness" in said, "by the paper's own rule"


def test_each_set_is_a_row_where_there_are_several(open_page, finish: Put) -> None:
    def digits(*others: str) -> RunConfig:
        return RunConfig.from_preset("digits", "quick", auxiliaries=others)

    finish(digits())
    finish(digits("digits2"), gain=0.1, factor=0.5)
    finish(digits("noisy_digits"), gain=-0.1, factor=0.5)
    app = open_page("factors")
    ours, *published = tables(app)
    assert names(ours) == ["digits1 + digits2", "digits1 + noisy digits"]
    assert len(published) == 4, "none of them beside ours"
    assert not app.metric
    sets = app.multiselect(key="factors_sets")
    sets.set_value([("digits1", "digits2")]).run()
    assert app.query_params["sets"] in ("digits1 digits2", ["digits1 digits2"])
    assert names(tables(app)[0]) == ["digits1"]


def test_without_runs_the_published_table_remains(open_page) -> None:
    app = open_page("factors")
    assert "nothing measured to compare yet" in app.info[0].value
    assert [len(one) for one in tables(app)] == [7, 4, 2, 4]
    assert "the printed signs rule out sharpness" in text(app)
    assert not charts(app)


def test_nonsense_in_the_url_is_named_once(open_page, trade_off) -> None:
    app = open_page("factors", aggregate="mean", sets="fish trees", rows="some")
    assert len(app.warning) == 3
    assert "unknown aggregate 'mean'" in " ".join(one.value for one in app.warning)
    app.run()
    assert not app.warning
