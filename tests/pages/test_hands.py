"""What components in the browser tell the pages, by value; a browser may send anything."""

from typing import Any

import pytest
import streamlit as st

from pages.parts import plane, player, slider
from pages.parts.plane import Move

Session = dict[str, Any]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session's state."""
    state: Session = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


MOVE = {"place": 1, "angle": -30, "length": 2, "held": True, "number": 7}


def test_a_move_is_a_place_an_angle_and_a_length(session: Session) -> None:
    assert plane.moved("gp") is None
    session["gp"] = {"moved": MOVE}
    assert plane.moved("gp") == Move(1, -30, 2.0, True)


@pytest.mark.parametrize(
    "change",
    [
        {"place": -1},
        {"place": True},
        {"angle": 1.5},
        {"angle": "1"},
        {"length": "2"},
        {"length": True},
        {"length": None},
        {"held": 1},
    ],
)
def test_what_no_hand_can_have_sent_is_no_move(session: Session, change: dict[str, Any]) -> None:
    session["gp"] = {"moved": MOVE | change}
    assert plane.moved("gp") is None
    session["gp"] = {"moved": [MOVE]}
    assert plane.moved("gp") is None


@pytest.fixture
def components(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What components are mounted with."""
    mounted: list[dict[str, Any]] = []
    for module in (player, slider):
        monkeypatch.setattr(module, "component", lambda *_: lambda **given: mounted.append(given))
    return mounted


def test_the_player_shows_the_last_frame_up_to_the_step_that_it_was_told(
    session: Session, components: list[dict[str, Any]]
) -> None:
    assert player.draw([], active=False) is None
    assert player.draw([0, 10, 20], active=True) == 20
    assert player.live(active=True)
    session["pf_player"] = {"shown": {"mode": "play", "step": 15, "number": 3}}
    components[-1]["on_shown_change"]()
    assert player.draw([0, 10, 20], active=True) == 10
    assert not player.live(active=True)
    sent = components[-1]["data"]
    assert (sent["mode"], sent["step"], sent["answered"]) == ("play", 10, 3)
    for wrong in ({"mode": "jump", "step": 0}, {"mode": "pause", "step": "0"}, {}):
        session["pf_player"] = {"shown": wrong}
        components[-1]["on_shown_change"]()
        assert player.draw([0, 10, 20], active=True) == 10
    # Another question follows its own newest frame, whatever the browser plays.
    player.reset()
    assert player.draw([0, 40], active=False) == 40
    assert components[-1]["data"]["resets"] == sent["resets"] + 1


def test_a_slider_tells_places_that_it_has(
    session: Session, components: list[dict[str, Any]]
) -> None:
    slid: list[tuple[int, bool]] = []

    def take(place: int, held: bool) -> None:
        slid.append((place, held))

    slider.slider("How many", ["one", "two"], 0, key="s", on_slide=take)
    assert components[-1]["data"] == {
        "label": "How many",
        "words": ["one", "two"],
        "place": 0,
        "answered": None,
    }
    for place, held in ((1, True), (0, False), (2, False), (-1, True), ("1", True), (None, None)):
        session["s"] = {"slid": {"place": place, "held": held, "number": 1}}
        components[-1]["on_slid_change"]()
    assert slid == [(1, True), (0, False)]
