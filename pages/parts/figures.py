"""Figures on a page: what was drawn once is shown to all sessions until its rows change."""

from collections.abc import Callable, Hashable
from typing import Any, Literal

import streamlit as st
from altair import TopLevelMixin
from streamlit.delta_generator import DeltaGenerator

from mtl_core.charts import Drawing, Ready, Template, larger, ready, template
from mtl_core.kept import Kept
from pages.parts import readable, stage

__all__ = ["draw"]

_ready: Kept[Ready] = Kept(most=1_000, most_bytes=32 * 2**20, size=lambda one: one.size)
_templates: Kept[Template] = Kept(most=200)
_told: Kept[str] = Kept(most=1_000, most_bytes=2**20, size=len)


def draw(
    chart: TopLevelMixin | Callable[[], TopLevelMixin | Drawing],
    *,
    key: str,
    alt: str | Callable[[], str],
    of: Hashable = None,
    form: Hashable = None,
    place: DeltaGenerator | None = None,
    on_select: Literal["rerun", "ignore"] = "ignore",
    selection_mode: str | None = None,
    canvas: bool = False,
) -> Any:
    """Shows a chart; what was selected in it, where it takes selections.

    Args:
        chart: or what makes it.
        alt: what it shows, in words, or what finds them. A chart is built anew when they change,
            so those of a live one must not.
        of: the version of all that the chart is made of, beside its key; None where that is not
            known, and the chart is made anew.
        form: of a drawing, all that its specification is made of, beside its key.
        canvas: whether it is drawn as pixels, which its marks cannot be told from.
    """
    make = chart if callable(chart) else lambda: chart

    def written() -> Ready:
        made = make()
        if isinstance(made, Drawing):
            kept = _templates.get((key, form), lambda: template(made))
            return kept.filled(made.tables)
        return ready(made)

    found = written() if of is None else _ready.get((key, of), written)
    if callable(alt):
        alt = alt() if of is None else _told.get((key, of), alt)
    taking: dict[str, Any] = {} if selection_mode is None else {"selection_mode": selection_mode}
    # Its data is the same, and is not copied.
    spec = larger(found.spec, stage.LARGER) if stage.now().present else dict(found.spec)
    if canvas:
        spec = readable.as_pixels(spec)
    return (place or st).vega_lite_chart(spec=spec, key=key, alt=alt, on_select=on_select, **taking)
