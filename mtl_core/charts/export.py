"""Figures as files, drawn without a browser on a white ground, for papers and slides."""

import json

import altair as alt

__all__ = ["figure_pdf", "figure_png", "figure_svg"]

_WIDTH = 760  # pixels, of the plot and its axis


def figure_svg(chart: alt.TopLevelMixin, title: str) -> str:
    """A figure as SVG, with a title that says what the page around it would."""
    import vl_convert

    return vl_convert.vegalite_to_svg(_spec(chart, title))


def figure_pdf(chart: alt.TopLevelMixin, title: str) -> bytes:
    """A figure with its title as PDF, whose lines and letters stay sharp at any size."""
    import vl_convert

    return vl_convert.vegalite_to_pdf(_spec(chart, title))


def figure_png(chart: alt.TopLevelMixin, title: str) -> bytes:
    """A figure with its title as PNG, at twice a screen's resolution."""
    import vl_convert

    return vl_convert.vegalite_to_png(_spec(chart, title), scale=2)


def _spec(chart: alt.TopLevelMixin, title: str) -> str:
    around = {"title": title, "width": _WIDTH, "background": "white", "padding": 12}
    return json.dumps(chart.to_dict() | around)
