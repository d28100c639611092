"""The player of saved frames: play, pause, step, or follow what is being solved for."""

from collections.abc import Sequence

import streamlit as st

from pages.parts import state

__all__ = ["draw", "interval", "reset"]

PLAY_SECONDS = 0.5
_MODE, _STEP = "pf_mode", "pf_step"
"""``follow`` the newest frame, ``play`` from the shown one on, or ``pause`` at it."""


def reset() -> None:
    """Follow the newest frame."""
    st.session_state[_MODE] = "follow"


def interval(active: bool, tick: float) -> float | None:
    """Seconds until the page should be drawn again by itself; None for not at all."""
    mode = st.session_state.get(_MODE, "follow")
    if mode == "play":
        return PLAY_SECONDS
    return tick if active else None


def draw(steps: Sequence[int], active: bool) -> int | None:
    """The controls; the step to show, None while there is none.

    Call it once in a run of the fragment that ``interval`` repeats: playing, it goes on by a frame.
    """
    if not steps:
        return None
    mode, place = _advance(steps)
    moving = mode == "play" or (mode == "follow" and active)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "Step back",
            icon=":material/skip_previous:",
            disabled=place == 0,
            on_click=_go,
            args=(steps[max(place - 1, 0)],),
        )
        if moving:
            st.button("Pause", icon=":material/pause:", on_click=_go, args=(steps[place],))
        else:
            start = steps[0] if place == len(steps) - 1 else steps[place]
            st.button(
                "Play",
                icon=":material/play_circle:",
                disabled=len(steps) < 2,
                on_click=_play,
                args=(start,),
            )
        st.button(
            "Step",
            icon=":material/skip_next:",
            disabled=place == len(steps) - 1,
            on_click=_go,
            args=(steps[min(place + 1, len(steps) - 1)],),
        )
        if len(steps) > 1:
            state.show("pf_slider", steps[place])
            st.select_slider("Iteration", steps, key="pf_slider", on_change=_slide)
    return steps[place]


def _advance(steps: Sequence[int]) -> tuple[str, int]:
    """The mode and the frame to show now: playing, the next one, and at the last one it follows."""
    mode = st.session_state.get(_MODE, "follow")
    place = _place(steps) if mode != "follow" else len(steps) - 1
    if mode == "play" and st.session_state.pop("pf_ticked", False):
        place = min(place + 1, len(steps) - 1)
        if place == len(steps) - 1:
            mode = st.session_state[_MODE] = "follow"
    st.session_state[_STEP] = steps[place]
    st.session_state.pf_ticked = mode == "play"
    return mode, place


def _place(steps: Sequence[int]) -> int:
    """Of the last frame up to the shown step."""
    shown = st.session_state.get(_STEP, steps[-1])
    return max((i for i, step in enumerate(steps) if step <= shown), default=0)


def _go(step: int) -> None:
    st.session_state[_MODE], st.session_state[_STEP] = "pause", step


def _slide() -> None:
    _go(st.session_state.pf_slider)


def _play(step: int) -> None:
    st.session_state[_MODE], st.session_state[_STEP] = "play", step
    st.session_state.pf_ticked = False
