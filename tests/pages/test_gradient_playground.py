"""The gradient playground without a browser: sliders to numbers, presets, URLs."""

import json
import math
from typing import Any

import pandas as pd
import pytest

from mtl_core import optimizers
from mtl_core.views.gradient_playground import Playground

PAGE = "gradient_playground"


def sent(app) -> dict[str, str]:
    """The query string; AppTest gives what the page has set as lists."""
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def table(app) -> pd.DataFrame:
    return app.dataframe[0].value.set_index("optimizer")


def words(app) -> str:
    """What is said about the updates, as one bullet list."""
    return next(text.value for text in app.markdown if text.value.startswith("- "))


def press(app, name: str) -> None:
    next(button for button in app.button if button.label == name).click()
    app.run()
    assert not app.exception


def test_the_first_paint_is_an_answer(open_page) -> None:
    app = open_page(PAGE)
    assert app.title[0].value == "What does each optimizer make of these gradients?"
    shown = [optimizers.rule(name).title for name in Playground.default().methods]
    assert table(app).index.tolist() == shown
    assert list(table(app).columns) == ["w₁", "w₂", "L₁", "L₂", "× sum", "° to sum"]
    assert "g₁ and g₂ conflict, at 135°." in words(app)
    # The sum sacrifices the shorter gradient's task.
    assert table(app).iloc[0][["w₁", "w₂", "L₁", "L₂"]].tolist() == [1, 1, "rises", "descends"]
    assert sent(app) == Playground.default().to_query()
    assert not app.warning
    assert not app.error


def test_sliders_change_the_weights_to_exact_values(open_page) -> None:
    app = open_page(PAGE, angles="0 60", lengths="1 1", methods="umtg mean pcgrad mgda")
    sum_, mean, pcgrad, mgda = (
        optimizers.rule(name).title for name in ("umtg", "mean", "pcgrad", "mgda")
    )
    found = table(app)
    assert found.loc[mean, ["w₁", "w₂"]].tolist() == [0.5, 0.5]
    assert found.loc[mean, "× sum"] == pytest.approx(0.5)
    assert found.loc[pcgrad, ["w₁", "w₂"]].tolist() == pytest.approx([1, 1])
    # Without a conflict PCGrad is the sum, and that is said.
    assert f"**{sum_}** = **{pcgrad}**. {optimizers.rule('pcgrad').same_as_sum}" in words(app)

    app.slider(key="gp_angles_1").set_value(120).run()
    app.select_slider(key="gp_lengths_1").set_value(2.0).run()
    assert (sent(app)["angles"], sent(app)["lengths"]) == ("0 120 -100", "1 2 1")
    found = table(app)
    # g₁ = (1, 0), g₂ = (−1, √3), ⟨g₁, g₂⟩ = −1: g₁ gets g₂/4, g₂ gets g₁.
    assert found.loc[pcgrad, ["w₁", "w₂"]].tolist() == pytest.approx([2, 1.25])
    assert found.loc[pcgrad, ["L₁", "L₂"]].tolist() == ["descends", "descends"]
    # The shortest of α g₁ + (1 − α) g₂ has α = (4 + 1) / (1 + 4 + 2).
    assert found.loc[mgda, ["w₁", "w₂"]].tolist() == pytest.approx([5 / 7, 2 / 7], abs=1e-6)
    # The sum, (0, √3), is at a right angle to g₁.
    assert found.loc[sum_, ["L₁", "L₂"]].tolist() == ["stands still", "descends"]
    length = math.hypot(0.75, 1.25 * math.sqrt(3)) / math.sqrt(3)
    assert found.loc[pcgrad, "× sum"] == pytest.approx(length)
    turn = math.degrees(math.atan2(0.75, 1.25 * math.sqrt(3)))
    assert found.loc[pcgrad, "° to sum"] == pytest.approx(turn, abs=1e-6)
    assert "No two updates are the same." in words(app)


def test_match_sum_gives_all_one_length(open_page) -> None:
    app = open_page(PAGE, angles="0 120", lengths="1 2", methods="all")
    app.segmented_control(key="gp_scale").set_value("match_sum").run()
    assert sent(app)["scale"] == "match_sum"
    assert table(app)["× sum"].tolist() == pytest.approx([1.0] * len(optimizers.names()))
    assert "Only their lengths differed." in words(app)


def test_presets_set_the_gradients_and_keep_the_methods(open_page) -> None:
    app = open_page(PAGE, methods="umtg mgda", lengths="3 4 5")
    press(app, "opposite")
    assert sent(app)["angles"].startswith("0 180 ")
    assert table(app)[["L₁", "L₂"]].to_numpy().tolist() == [["stands still"] * 2] * 2
    assert table(app)["× sum"].isna().all()
    assert "stand still: the gradients cancel each other." in words(app)
    press(app, "1 against 100")
    # The long gradient decides the sum, at the cost of the short one's task.
    sum_, mgda = (optimizers.rule(name).title for name in ("umtg", "mgda"))
    assert table(app).loc[sum_, ["L₁", "L₂"]].tolist() == ["rises", "descends"]
    assert table(app).loc[mgda, ["L₁", "L₂"]].tolist() == ["descends", "descends"]
    assert sent(app)["view"] == "log"
    app.slider(key="gp_angles_1").set_value(60).run()
    assert table(app).loc[mgda, ["w₁", "w₂"]].tolist() == pytest.approx([1, 0], abs=1e-9)
    assert f"**{mgda}** is g₁ alone" in words(app)
    press(app, "three in conflict")
    assert list(table(app).columns)[:6] == ["w₁", "w₂", "w₃", "L₁", "L₂", "L₃"]
    assert sent(app)["third"] == "true"
    press(app, "aligned")
    assert "No two gradients conflict." in words(app)
    assert len(table(app).columns) == 6
    assert sent(app)["methods"] == "umtg mgda"


def test_every_registered_method_can_be_shown_and_is_explained(open_page) -> None:
    app = open_page(PAGE)
    press(app, "All")
    assert sent(app)["methods"] == "all"
    titles = [optimizers.rule(name).title for name in optimizers.names()]
    assert table(app).index.tolist() == titles
    said = "\n".join(text.value for text in [*app.markdown, *app.caption])
    for name in optimizers.names():
        assert f"**{optimizers.rule(name).title}.** {optimizers.rule(name).about}" in said
        assert optimizers.rule(name).source in said
    # A method that is not a weighting has an update, but no weights.
    for name in optimizers.names():
        weights = table(app).loc[optimizers.rule(name).title, ["w₁", "w₂"]]
        weighting = not optimizers.create(name, num_tasks=2).needs_jacobian
        assert weights.notna().all() == weighting
    app.toggle(key="gp_third").set_value(True).run()
    assert not app.exception
    press(app, "A few")
    assert sent(app)["methods"] == Playground.default().to_query()["methods"]


def test_random_methods_are_drawn_again_and_learning_ones_named(open_page) -> None:
    app = open_page(PAGE, methods="umtg rlw dwa")
    rlw, dwa = (optimizers.rule(name).title for name in ("rlw", "dwa"))
    assert any(f"{rlw}: drawn at random; this is one draw" in text.value for text in app.caption)
    assert any(text.value.startswith(f"{dwa}: shown at the first step") for text in app.caption)
    before = table(app)
    press(app, "Draw again")
    assert sent(app)["seed"] == "1"
    assert before.loc[rlw, "w₁"] != table(app).loc[rlw, "w₁"]
    pd.testing.assert_frame_equal(before.drop(rlw), table(app).drop(rlw))
    app.pills(key="gp_methods").set_value(["umtg"]).run()
    assert not any(button.label == "Draw again" for button in app.button)


def test_without_methods_there_are_the_gradients(open_page) -> None:
    app = open_page(PAGE, methods="none")
    assert "No method is shown" in app.info[0].value
    assert not app.dataframe
    assert "conflict" in words(app)


def test_losses_reach_the_methods_that_read_them(open_page) -> None:
    app = open_page(PAGE, methods="umtg famo")
    famo = optimizers.rule("famo").title
    before = table(app).loc[famo, ["w₁", "w₂"]].tolist()
    app.select_slider(key="gp_losses_1").set_value(10.0).run()
    assert sent(app)["losses"] == "1 10 1"
    assert table(app).loc[famo, ["w₁", "w₂"]].tolist() != pytest.approx(before)


def test_a_bad_url_is_named_and_the_rest_of_it_holds(open_page) -> None:
    app = open_page(PAGE, angles="0 1000", lengths="1 2.5", methods="pcgard", task="3")
    told = [warning.value for warning in app.warning]
    assert len(told) == 3
    assert "in the URL, angles: angle 1000 is not between -180 and 180; using 15 150" in told[0]
    assert "unknown optimizer 'pcgard'; one of: umtg" in told[1]
    assert "unknown parameter 'task'" in told[2]
    # Between the slider's steps, and right all the same.
    assert app.select_slider(key="gp_lengths_1").value == 2.5
    assert sent(app) == Playground.default().to_query() | {"lengths": "1 2.5 1"}
    app.slider(key="gp_angles_0").set_value(20).run()
    assert not app.warning


def test_a_gradient_of_no_length_stops_nothing(open_page) -> None:
    app = open_page(PAGE, methods="all", lengths="0 1")
    assert table(app).loc[optimizers.rule("umtg").title, "L₁"] == "stands still"
    assert "has no finite update" not in words(app)
    app.select_slider(key="gp_lengths_1").set_value(0.0).run()
    assert not app.exception
    assert {*table(app)["L₂"]} == {"stands still"}


def drawing(app) -> dict[str, Any]:
    """What the browser is sent to draw."""
    (plane,) = app.get("bidi_component")
    return json.loads(plane.proto.json)


def test_the_plane_has_what_the_table_has(open_page) -> None:
    app = open_page(PAGE, angles="0 90", lengths="3 4", methods="umtg mean")
    drawn = drawing(app)
    assert [method["label"] for method in drawn["methods"]] == table(app).index.tolist()
    assert [(g["name"], g["angle"], g["length"]) for g in drawn["gradients"]] == [
        ("g₁", 0, 3),
        ("g₂", 90, 4),
    ]
    lengths = {update["method"]: update["length"] for update in drawn["updates"]}
    assert lengths == pytest.approx({0: 5, 1: 2.5})
    assert drawn["longest"] == pytest.approx(5)
    assert drawn["answered"] is None
