"""A page's figure as something to take away: its panels, the table behind it, and the papers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mtl_core.errors import InputError, unknown
from mtl_core.views.citations import TRANSFER
from mtl_core.views.spreadsheets import csv
from mtl_core.views.takeaways import latex

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from mtl_core.charts.export import Titled

__all__ = ["Figure", "Panel", "understood"]

View = TypeVar("View")


@dataclass(frozen=True)
class Panel:
    """A chart, made when it is asked for.

    Args:
        title: what stands above it; empty where the figure's own title says it all.
        chart: makes it.
        alt: what it shows, in words; empty where a page has its own.
    """

    title: str
    chart: "Callable[[], alt.TopLevelMixin]"
    alt: Callable[[], str] = str


@dataclass(frozen=True)
class Figure:
    """What a page shows, on white, with the numbers behind it.

    Args:
        name: of its files.
        title: what it asks.
        rows: panels that stand beside each other.
        tabled: makes the table.
        bibtex: of the papers behind it.
    """

    name: str
    title: str
    rows: tuple[tuple[Panel, ...], ...]
    tabled: "Callable[[], pd.DataFrame]"
    bibtex: str = TRANSFER

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The numbers behind it."""
        return self.tabled()

    @property
    def charts(self) -> "list[alt.TopLevelMixin]":
        """Its panels as Altair's charts, which can be changed further."""
        return [panel.chart() for row in self.rows for panel in row]

    def svg(self) -> str:
        from mtl_core.charts.export import figure_svg

        return figure_svg(self._titled, self.title)

    def pdf(self) -> bytes:
        from mtl_core.charts.export import figure_pdf

        return figure_pdf(self._titled, self.title)

    def png(self) -> bytes:
        from mtl_core.charts.export import figure_png

        return figure_png(self._titled, self.title)

    def csv(self) -> str:
        return csv(self.table)

    def latex(self) -> str:
        """The table with the rules of the package booktabs."""
        return latex(self.table)

    def save(self, path: str | Path) -> None:
        """Write what the ending of a file's name says. Raises InputError for one it does not know.

        Args:
            path: of a ``.svg``, ``.pdf`` or ``.png``, of the table as ``.csv`` or ``.tex``, or of
                the papers as ``.bib``.
        """
        path = Path(path)
        made: Mapping[str, Callable[[], str | bytes]] = {
            ".svg": self.svg,
            ".pdf": self.pdf,
            ".png": self.png,
            ".csv": self.csv,
            ".tex": self.latex,
            ".bib": lambda: self.bibtex,
        }
        if path.suffix not in made:
            raise unknown("ending of a file", path.suffix, made)
        found = made[path.suffix]()
        path.write_bytes(found.encode() if isinstance(found, str) else found)

    def _repr_svg_(self) -> str:
        """What a notebook shows of it."""
        return self.svg()

    @property
    def _titled(self) -> "list[list[Titled]]":
        return [[(panel.title, panel.chart()) for panel in row] for row in self.rows]


def understood(found: tuple[View | None, list[str]], nothing: str) -> View:
    """The view of a question. Raises InputError for what was not understood in it.

    Args:
        found: what was read.
        nothing: what is said where there is nothing to show.
    """
    view, told = found
    if told:
        raise InputError(told[0])
    if view is None:
        raise InputError(nothing)
    return view
