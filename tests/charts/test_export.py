"""Figures as files: what is on the page is in them, on white, without a browser or a network."""

import io
from collections.abc import Callable
from xml.etree import ElementTree

import pandas as pd
from PIL import Image

from mtl_core.charts import Curve, CurveKey, generalization_chart, style_curves
from mtl_core.charts.export import figure_pdf, figure_png, figure_svg

TITLE = "digits1: generalization & loss"
SVG = "{http://www.w3.org/2000/svg}"


def test_an_svg_has_every_curve_and_says_what_it_shows(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(trajectories(6), curves, task="digits1", metric_title="accuracy E")
    svg = figure_svg([[("", chart)]], TITLE)
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    texts = {"".join(one.itertext()) for one in root.iter(f"{SVG}text")}
    assert {TITLE, *(curve.label for curve in curves)} <= texts
    for curve in curves:
        assert curve.colour.lower() in svg.lower()
    # Whoever opens it fetches nothing.
    assert "<image" not in svg
    assert "@import" not in svg


def test_a_png_is_a_picture_of_it(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(trajectories(6), curves, task="digits1", metric_title="accuracy E")
    picture = Image.open(io.BytesIO(figure_png([[("", chart)]], TITLE))).convert("RGB")
    assert picture.width > 1500
    assert picture.getpixel((1, 1)) == (255, 255, 255)
    colours = {colour for _, colour in picture.getcolors(2**20) or []}
    for curve in curves:
        assert tuple(bytes.fromhex(curve.colour[1:])) in colours


def test_a_pdf_is_one_page_of_it(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(trajectories(6), curves, task="digits1", metric_title="accuracy E")
    pdf = figure_pdf([[("", chart)]], TITLE)
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") == 1
    assert b"/Subtype /Image" not in pdf, "lines and letters, no picture"


def test_panels_stand_beside_and_below_each_other_in_one_document(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(
        trajectories(6), curves, task="digits1", metric_title="accuracy E", height=180
    )
    rows = [[("one", chart), ("two & more", chart)], [("three", chart)]]
    root = ElementTree.fromstring(figure_svg(rows, TITLE))
    panels = root.findall(f"{SVG}svg")
    places = [tuple(float(one.attrib[name]) for name in ("x", "y")) for one in panels]
    sizes = [tuple(float(one.attrib[name]) for name in ("width", "height")) for one in panels]
    assert places[0][1] == places[1][1], "a row"
    assert places[1][0] == sizes[0][0], "side by side"
    assert places[2] == (0, places[0][1] + max(sizes[0][1], sizes[1][1]))
    assert float(root.attrib["height"]) == places[2][1] + sizes[2][1]
    assert sizes[2][0] <= float(root.attrib["width"])
    texts = {"".join(one.itertext()) for one in root.iter(f"{SVG}text")}
    assert {TITLE, "one", "two & more", "three"} <= texts
    # What clips one panel must not clip another.
    names = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(names) == len(set(names)) > 0


def test_no_entry_of_a_long_legend_is_cut_off(trajectories: Callable[..., pd.DataFrame]) -> None:
    """One more row of the legend makes the file higher, and not the plot smaller."""
    labels = [f"+ an auxiliary task of some name {number}" for number in range(7)]
    styled = style_curves([CurveKey(label, "other") for label in labels])
    chart = generalization_chart(
        trajectories(0), styled, task="digits1", metric_title="accuracy E", height=300
    )
    root = ElementTree.fromstring(figure_svg([[("", chart)]], TITLE))
    shown = [one for one in root.iter(f"{SVG}text") if (one.text or "") == labels[-1]]
    assert len(shown) == 1
    assert float(root.attrib["height"]) > 300 + 4 * 18
