"""What can be taken away from a figure: files, its table, its papers and the code behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st
from altair import TopLevelMixin

from mtl_core.charts.export import figure_pdf, figure_png, figure_svg
from mtl_core.views.spreadsheets import csv
from mtl_core.views.takeaways import latex

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Takeaway", "draw"]


@dataclass(frozen=True)
class Takeaway:
    """A figure and what belongs to it.

    Args:
        key: unique on its page, and the files' name.
        title: of the figure, as its files have it.
        figure: makes it; nothing for a page without one.
        table: makes its table.
        bibtex: of the papers behind it.
    """

    key: str
    title: str
    figure: Callable[[], TopLevelMixin] | None
    table: Callable[[], pd.DataFrame]
    bibtex: str


def draw(one: Takeaway, more: "Sequence[tuple[str, Callable[[], str]]]" = ()) -> None:
    """Buttons for all of it, each file made when it is asked for.

    Args:
        more: further tables, by title, as CSV.
    """
    if one.figure is not None:
        st.caption("The figure, on white whatever the screen's theme:")
        with st.container(horizontal=True):
            figure = one.figure
            _file("SVG", lambda: figure_svg(figure(), one.title), f"{one.key}.svg", "image/svg+xml")
            _file("PDF", lambda: figure_pdf(figure(), one.title), f"{one.key}.pdf", _PDF)
            _file("PNG", lambda: figure_png(figure(), one.title), f"{one.key}.png", "image/png")
    st.caption("Its table, and the papers behind it:")
    with st.container(horizontal=True):
        _file("CSV", lambda: csv(one.table()), f"{one.key}.csv", "text/csv")
        _file("LaTeX", lambda: latex(one.table()), f"{one.key}.tex", "text/x-tex")
        _file("BibTeX", lambda: one.bibtex, f"{one.key}.bib", "text/x-bibtex")
    for title, make in more:
        _file(title, make, f"{one.key}_{title.split()[0].lower()}.csv", "text/csv")


def _file(label: str, make: Callable[[], str | bytes], name: str, mime: str) -> None:
    st.download_button(
        label,
        partial(make),
        file_name=name,
        mime=mime,
        icon=":material/download:",
        on_click="ignore",
        key=f"export_{name}",
    )


_PDF = "application/pdf"
