"""What pages keep: fields that were emptied, and widgets that are not set to what they show."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.state.session_state_proxy import SessionStateProxy

from mtl_core import settings
from mtl_core.pareto import problems
from mtl_core.views.pareto_front import MAY_BE_ALL as ALL_OF_FRONTS
from mtl_core.views.what_if import MAY_BE_ALL

PAGES = {
    "what_if": {"look": "optimizers", "optimizer": "umtg mgda", "pins": "0123456789abcdef"},
    "which_auxiliary": {"margin": "3", "most": "16", "grow": "true"},
    "pareto_front": {"look": "hypervolume", "focus": "decay"},
    "gradient_playground": {"third": "true", "angles": "17 100 -100"},
    "generalization_gap": {},
    "factors": {},
    "smtos": {},
    "conflict": {},
    "library": {"state": "done"},
}


def sent(app: Any) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def widgets(app: Any) -> set[str]:
    kinds = (
        "selectbox multiselect text_input text_area number_input slider select_slider toggle "
        "segmented_control pills dataframe"
    )
    return {one.key for kind in kinds.split() for one in getattr(app, kind, ()) if one.key}


@pytest.mark.parametrize("page", PAGES)
def test_a_widget_is_not_set_to_what_it_shows(
    open_page: Callable[..., Any], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would undo what a reader does meanwhile: a fast drag jumps back."""
    app = open_page(page, **PAGES[page])
    keys: list[str] = []
    set_item = SessionStateProxy.__setitem__

    def recorded(self: SessionStateProxy, key: str, value: Any) -> None:
        keys.append(key)
        set_item(self, key, value)

    monkeypatch.setattr(SessionStateProxy, "__setitem__", recorded)
    app.run()
    assert not app.exception
    assert keys, "the view itself is kept"
    assert widgets(app), "there is something to set"
    assert not widgets(app) & set(keys)


FIELDS = ("lr", "batch_size", "epochs", "samples", "held_out", "width", "factor_points")


@pytest.mark.parametrize("name", FIELDS)
def test_an_emptied_field_of_what_if_asks_for_the_presets_value(
    open_page: Callable[..., Any], name: str
) -> None:
    other = {"lr": "0.5", "factor_points": "3", "samples": "100"}.get(name, "8")
    app = open_page("what_if", setting="digits", **{name: other})
    assert sent(app)[name] == other
    app.number_input(key=f"wi_{name}").set_value(None).run()
    assert not app.error
    assert not app.exception
    usual = getattr(settings.get("digits").preset("quick"), name)
    if name in MAY_BE_ALL:
        assert app.number_input(key=f"wi_{name}").value is None
        assert sent(app).get(name, "all") == "all"
    else:
        assert app.number_input(key=f"wi_{name}").value == usual
        assert name not in sent(app)
    app.number_input(key=f"wi_{name}").set_value(None).run()
    assert not app.error, "nor when it was at the preset's value before"


@pytest.mark.parametrize(
    "name", ["solutions", "lr", "iterations", "batch_size", "samples", "held_out", "frames"]
)
def test_an_emptied_field_of_pareto_front_asks_for_the_usual_value(
    open_page: Callable[..., Any], name: str
) -> None:
    query = {"problem": "linnerud", "method": "independent", "seeds": "0", "preset": "quick"}
    app = open_page("pareto_front", **query, **{name: "0.5" if name == "lr" else "4"})
    app.number_input(key=f"pf_{name}").set_value(None).run()
    assert not app.exception
    usual = getattr(problems.get("linnerud").preset("quick"), name, None)
    if name in ALL_OF_FRONTS:
        assert app.number_input(key=f"pf_{name}").value is None
    else:
        assert app.number_input(key=f"pf_{name}").value == usual
        assert name not in sent(app)


def test_a_link_that_was_mangled_on_the_way_opens_the_same_page(
    open_page: Callable[..., Any],
) -> None:
    app = open_page("what_if", **{"setting": "fashion", "amp;target": "fashion2"})
    assert "fashion2" in app.title[0].value
    assert sent(app)["target"] == "fashion2"
    assert not [one for one in app.warning if "in the URL" in one.value]


def test_an_address_that_was_typed_over_is_read_again(open_page: Callable[..., Any]) -> None:
    app = open_page("gradient_playground", angles="0 90")
    assert app.slider(key="gp_angles_1").value == 90
    app.query_params["angles"] = "0 91"
    app.run()
    assert app.slider(key="gp_angles_1").value == 91
    app.slider(key="gp_angles_1").set_value(95).run()
    assert sent(app)["angles"].startswith("0 95 ")
    assert app.slider(key="gp_angles_1").value == 95


def test_the_echo_of_an_address_before_a_change_undoes_nothing(
    open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live tick that the browser sent before it heard of a change carries the address before."""
    app = open_page("gradient_playground", angles="0 90")
    before = dict(app.query_params)
    app.slider(key="gp_angles_1").set_value(95).run()
    for name, value in before.items():
        app.query_params[name] = value
    app.run()
    assert app.slider(key="gp_angles_1").value == 95
    now = time.monotonic()
    # The page's own clock alone: that of all modules would stop what waits for other processes.
    monkeypatch.setattr("pages.parts.state.time", SimpleNamespace(monotonic=lambda: now + 60))
    for name, value in before.items():
        app.query_params[name] = value
    app.run()
    assert app.slider(key="gp_angles_1").value == 90, "later it is what the visitor wants"


@pytest.mark.parametrize(
    ("page", "key", "query"),
    [
        ("what_if", "wi", {"setting": "digits", "preset": "quick", "epochs": "100", "seeds": "0"}),
        ("pareto_front", "pf", {"problem": "toy", "preset": "quick", "lr": "0.02", "seeds": "3"}),
    ],
)
def test_a_browser_that_has_yet_to_draw_the_controls_changes_nothing(
    open_page: Any, page: str, key: str, query: dict[str, str]
) -> None:
    """By design: before, a click on Run that came so early trained another budget's question."""
    app = open_page(page, **query)
    before = dict(app.query_params)
    number = "epochs" if key == "wi" else "lr"
    known = app.number_input(key=f"{key}_{number}").value
    app.segmented_control(key=f"{key}_preset").set_value(None)
    app.text_input(key=f"{key}_seeds").set_value("")
    app.number_input(key=f"{key}_{number}").set_value(None)
    app.run()
    assert not app.exception
    assert not app.error
    assert dict(app.query_params) == before
    assert app.number_input(key=f"{key}_{number}").value == known
    assert app.segmented_control(key=f"{key}_preset").value == "quick"
    # Once it has drawn them, what is emptied is emptied.
    app.text_input(key=f"{key}_seeds").set_value("").run()
    assert [one.value for one in app.error] == ["no seeds; give at least one, such as 0 1 2"]
    app.number_input(key=f"{key}_{number}").set_value(None).run()
    assert number not in app.query_params
