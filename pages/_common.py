"""What the pages share: the store and artifacts behind them, and how numbers are worded."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec

import altair as alt
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from mtl_core.analysis import Comparison
from mtl_core.charts import (
    Curve,
    CurveKey,
    generalization_alt,
    generalization_chart,
    style_curves,
)
from mtl_core.errors import InputError, StoreError
from mtl_core.runs import Store
from mtl_core.runs.answers import Answers
from mtl_core.runs.artifacts import Artifact, scan
from mtl_core.runs.panel import Panel
from mtl_core.runs.question import kind

P = ParamSpec("P")
METRIC = "test accuracy E"


@st.cache_resource(max_entries=1, show_spinner=False)
def _shipped() -> tuple[dict[str, Artifact], list[str]]:
    return scan()


@st.cache_resource(max_entries=1, ttl=60, show_spinner=False)
def _store() -> tuple[Store | None, str | None]:
    try:
        store = Store()
    except StoreError as error:
        return None, str(error)
    return store, store.notice


def errors_in_words(draw: Callable[P, None]) -> Callable[P, None]:
    """What cannot be done shows as a line on the page, a store that broke under it included."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        _through_app()
        try:
            draw(*args, **kwargs)
        except InputError as error:
            st.error(str(error), icon=":material/error:")

    return drawn


def _through_app() -> None:
    """Have app.py run first, also when the server's very first visitor comes by a deep link.

    Until app.py has called st.navigation once, Streamlit takes pages/ for a menu of its own and
    runs the page that the link names without app.py: without its navigation and its wide layout.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        # Once is enough, and a later run may carry a click that must not get lost.
        if "through_app" not in st.session_state:
            st.session_state.through_app = True
            st.rerun()


def answers() -> Answers:
    """The store and the shipped artifacts; what is wrong with either is said on the page."""
    store, problem = _store()
    shipped, skipped = _shipped()
    if problem:
        st.warning(problem, icon=":material/database_off:")
    for line in skipped:
        st.warning(f"Skipped: {line}", icon=":material/broken_image:")
    return Answers(store, shipped)


def curves(panel: Panel) -> list[Curve]:
    """How each shown run is drawn, the same on every page."""
    return style_curves([CurveKey(one.label, kind(one.config), one.pinned) for one in panel.shown])


def hero(panel: Panel, styled: Sequence[Curve], *, per_seed: bool, key: str) -> None:
    """Generalization against training loss. Zoom and legend pick survive live updates."""
    target = panel.baseline.config.target
    chart: alt.LayerChart = generalization_chart(
        panel.trajectories,
        styled,
        task=target,
        metric_title=METRIC,
        per_seed=per_seed,
        name=key,
    )
    st.altair_chart(
        chart,
        key=key,
        on_select="rerun",  # else a live update would undo zoom and legend pick
        alt=generalization_alt(styled, task=target, metric_title=METRIC),
    )


def points(share: float | None) -> str:
    """A difference of accuracies in percentage points."""
    return "–" if share is None or share != share else f"{100 * share:+.1f} pt"


def verdict(comparison: Comparison | None) -> dict[str, object]:
    """The arguments of st.metric that say whether a difference counts."""
    if comparison is None:
        return {"delta": "not yet", "delta_color": "gray", "delta_arrow": "off"}
    colour = {"better": "green", "worse": "red"}.get(comparison.verdict, "gray")
    arrow = {"better": "up", "worse": "down"}.get(comparison.verdict, "off")
    return {"delta": comparison.verdict, "delta_color": colour, "delta_arrow": arrow}


GLOSSARY = r"""
**Generalization gap.** The difference in test metric $E_k$ between two trajectories *at the same
training loss* $L_k$, measured on the whole training set, not on a batch. Read the chart from left
to right: where two bands part, networks that fit their training data equally well have begun to
generalize differently.

**Transfer.** $\Delta E_k = E_k(\text{MTL}) - E_k(\text{STL})$ on test data. $E_k$ of a seed is its
test metric at its best validation checkpoint so far.

**Significant** (the paper's rule): the intervals mean ± 2 standard deviations over seeds do not
overlap. *Better* and *worse* are said only then.

Source: Mueller, Dredze & Andrews 2024, §2, §3 and App. C. Between checkpoints the metric is
interpolated linearly in log loss, along the running minimum of the loss.
"""
