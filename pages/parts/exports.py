"""What can be taken away from a figure: a link, files, its table, its papers, and its code."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from mtl_core.runs.library.answers import Answers
from mtl_core.views.figures.asked import figure_of
from mtl_core.views.figures.base import Figure
from mtl_core.views.takeaways import figure_code
from pages.parts import stage

__all__ = ["draw", "offer"]

More = Sequence[tuple[str, Callable[[], str]]]
"""Further tables as CSV, by title."""


def offer(
    page: str,
    question: Mapping[str, str],
    answers: Answers,
    *,
    title: str,
    ways: Sequence[str] = stage.ALONE,
    parts: Sequence[stage.Part] = stage.READING,
) -> None:
    """Two buttons beside a page's figure: share it, export it. None where it stands alone.

    Args:
        page: its file in ``pages/``, without the suffix.
        question: what the figure is asked for.
        title: of the figure, for those who do not see it.
        ways: of ``stage.share``, in which it can be shared.
        parts: of the page, that can be left out.
    """
    if stage.now().bare or not stage.shows("buttons"):
        return
    with st.container(horizontal=True):
        with st.popover("Share", icon=":material/share:"):
            stage.share(question, title, ways, parts)
        with st.popover("Export", icon=":material/download:"):
            draw(page, partial(figure_of, page, question, answers), figure_code(page, question))


def draw(name: str, figure: Callable[[], Figure], code: str, more: More = ()) -> None:
    """A button for each file, which is made when it is asked for, and the lines of code.

    Args:
        name: of the files, unique on its page.
        figure: makes the figure.
        code: lines of Python that give the same.
    """
    st.caption("The figure, on white whatever the screen's theme:")
    with st.container(horizontal=True):
        _file("SVG", lambda: figure().svg(), f"{name}.svg", "image/svg+xml")
        _file("PDF", lambda: figure().pdf(), f"{name}.pdf", "application/pdf")
        _file("PNG", lambda: figure().png(), f"{name}.png", "image/png")
    st.caption("Its table, and the papers behind it:")
    with st.container(horizontal=True):
        _file("CSV", lambda: figure().csv(), f"{name}.csv", "text/csv")
        _file("LaTeX", lambda: figure().latex(), f"{name}.tex", "text/x-tex")
        _file("BibTeX", lambda: figure().bibtex, f"{name}.bib", "text/x-bibtex")
    for title, make in more:
        _file(title, make, f"{name}_{title.split()[0].lower()}.csv", "text/csv")
    st.caption("The same in a notebook:")
    st.code(code, language="python")


def _file(label: str, make: Callable[[], str | bytes], name: str, mime: str) -> None:
    st.download_button(
        label,
        make,
        file_name=name,
        mime=mime,
        icon=":material/download:",
        on_click="ignore",
        key=f"export_{name}",
    )
