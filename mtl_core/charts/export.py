"""Figures as files, drawn without a browser on a white ground, for papers and slides."""

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import pyarrow as pa

from mtl_core.charts.layers import PLOT
from mtl_core.charts.ready import ready

__all__ = ["Titled", "figure_pdf", "figure_png", "figure_svg"]

Titled = tuple[str, alt.TopLevelMixin]
"""A panel: what stands above it, and its chart."""

_WIDTH = 700  # pixels, of a plot that stands alone
_BESIDE = 60  # pixels, for the axis of each of several
_MARGIN, _TITLE = 12, 30  # pixels
_SIZE = re.compile(r'^<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')
_NAMES = re.compile(r'(\bid="|url\(#|href="#)')


def figure_svg(rows: Sequence[Sequence[Titled]], title: str) -> str:
    """A figure as SVG, with a title that says what the page around it would.

    Args:
        rows: panels beside each other, whose plots are of one width.
    """
    if [len(row) for row in rows] == [1]:
        ((_, chart),) = rows[0]
        return _drawn(chart, title, _WIDTH)
    parts, wide, top = [], 0.0, float(_MARGIN + _TITLE)
    for place, row in enumerate(rows):
        left, tall = 0.0, 0.0
        for column, (name, chart) in enumerate(row):
            svg = _drawn(chart, name, _WIDTH / len(row) - _BESIDE * (len(row) > 1))
            own = _NAMES.sub(rf"\g<1>p{place}{column}", svg)  # names are unique in a document
            parts.append(own.replace("<svg ", f'<svg x="{left:g}" y="{top:g}" ', 1))
            width, height = _size(svg)
            left, tall = left + width, max(tall, height)
        wide, top = max(wide, left), top + tall
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:g}" height="{top:g}" '
            f'viewBox="0 0 {wide:g} {top:g}">',
            f'<rect width="{wide:g}" height="{top:g}" fill="white"/>',
            f'<text x="{wide / 2:g}" y="{_TITLE}" text-anchor="middle" font-family="sans-serif" '
            f'font-size="14px" font-weight="bold">{escape(title)}</text>',
            *parts,
            "</svg>",
        ]
    )


def figure_pdf(rows: Sequence[Sequence[Titled]], title: str) -> bytes:
    """The same as PDF, whose lines and letters stay sharp at any size."""
    import vl_convert

    return vl_convert.svg_to_pdf(figure_svg(rows, title))


def figure_png(rows: Sequence[Sequence[Titled]], title: str) -> bytes:
    """The same as PNG, at twice a screen's resolution."""
    import vl_convert

    return vl_convert.svg_to_png(figure_svg(rows, title), scale=2)


def _drawn(chart: alt.TopLevelMixin, title: str, width: float) -> str:
    import vl_convert

    spec: dict[str, Any] = dict(ready(chart).spec)
    spec["datasets"] = {name: _values(data) for name, data in spec["datasets"].items()}
    # Fitted into a width, a plot becomes narrower after its legend was laid out for a wider one.
    around = {
        "title": title,
        "width": width,
        "height": spec["usermeta"][PLOT],
        "autosize": "pad",
        "background": "white",
        "padding": _MARGIN,
    }
    svg: str = vl_convert.vegalite_to_svg(json.dumps(spec | around))
    return svg


def _values(stream: Any) -> list[dict[str, Any]]:
    """The rows of a stream of Arrow, as JSON has them."""
    if not isinstance(stream, bytes):
        return list(stream)
    with pa.ipc.open_stream(stream) as reader:
        rows: list[dict[str, Any]] = json.loads(
            reader.read_pandas().to_json(orient="records", double_precision=15)
        )
    return rows


def _size(svg: str) -> tuple[float, float]:
    size = _SIZE.match(svg)
    assert size is not None
    return float(size[1]), float(size[2])
