"""The player of saved frames: play, pause, step, slide, or follow what is being solved for."""

from collections.abc import Sequence

import streamlit as st

from mtl_core.charts import FRAME_EVENT
from pages.parts.components import component, told

__all__ = ["draw", "interval", "live", "reset"]

_KEY = "pf_player"
_MODE, _STEP, _RESETS = "pf_mode", "pf_step", "pf_resets"
_MODES = ("follow", "play", "pause")
"""``follow`` the newest frame, ``play`` from the shown one on, or ``pause`` at it."""

_CSS = """
.player {
  display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px;
  color: var(--st-text-color); font: 14px var(--st-font);
}
button, select {
  display: flex; align-items: center; gap: 4px; min-height: 40px; padding: 4px 12px;
  color: inherit; font: inherit; background: var(--st-background-color); cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
}
button:hover:enabled, select:hover {
  color: var(--st-primary-color); border-color: var(--st-primary-color);
}
button:disabled { opacity: 0.4; cursor: default; }
button:focus-visible, select:focus-visible, input:focus-visible {
  outline: 2px solid var(--st-primary-color); outline-offset: 2px;
}
label { display: flex; align-items: center; gap: 6px; }
label.range { flex: 1 1 220px; }
input { accent-color: var(--st-primary-color); }
.range input { flex: 1; min-width: 120px; height: 24px; }
"""


def reset() -> None:
    """Follow the newest frame."""
    st.session_state[_MODE] = "follow"
    st.session_state[_RESETS] = st.session_state.get(_RESETS, 0) + 1


def live(active: bool) -> bool:
    """Whether the newest frame alone is shown, of fronts that are being solved for."""
    return active and st.session_state.get(_MODE, "follow") == "follow"


def interval(active: bool, tick: float) -> float | None:
    """Seconds until the page should be drawn again by itself; None for not at all."""
    return tick if active else None


def draw(steps: Sequence[int], active: bool) -> int | None:
    """The controls; the step to show, None while there is none."""
    if not steps:
        return None
    mode = st.session_state.get(_MODE, "follow")
    step = steps[-1] if mode == "follow" else _frame(steps)
    st.session_state[_STEP] = step
    data = {
        "steps": list(steps),
        "mode": mode,
        "step": step,
        "active": active,
        "event": FRAME_EVENT,
        "answered": told(_KEY, "shown").get("number"),
        "resets": st.session_state.get(_RESETS, 0),
    }
    component("player", _CSS)(key=_KEY, data=data, on_shown_change=_take)
    return step


def _frame(steps: Sequence[int]) -> int:
    """The last step up to the shown one at which there is a frame."""
    shown = st.session_state.get(_STEP, steps[-1])
    return max((step for step in steps if step <= shown), default=steps[0])


def _take() -> None:
    now = told(_KEY, "shown")
    mode, step = now.get("mode"), now.get("step")
    if mode in _MODES and isinstance(step, int):
        st.session_state[_MODE], st.session_state[_STEP] = mode, step
