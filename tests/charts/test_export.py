"""Figures as files: what is on the page is in them, on white, without a browser or a network."""

import io
from collections.abc import Callable
from xml.etree import ElementTree

import pandas as pd
from PIL import Image

from mtl_core.charts import Curve, generalization_chart
from mtl_core.charts.export import figure_pdf, figure_png, figure_svg

TITLE = "digits1: generalization & loss"


def test_an_svg_has_every_curve_and_says_what_it_shows(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(trajectories(6), curves, task="digits1", metric_title="accuracy E")
    svg = figure_svg(chart, TITLE)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = {"".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")}
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
    picture = Image.open(io.BytesIO(figure_png(chart, TITLE))).convert("RGB")
    assert picture.width > 1500
    assert picture.getpixel((1, 1)) == (255, 255, 255)
    colours = {colour for _, colour in picture.getcolors(2**20) or []}
    for curve in curves:
        assert tuple(bytes.fromhex(curve.colour[1:])) in colours


def test_a_pdf_is_one_page_of_it(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(trajectories(6), curves, task="digits1", metric_title="accuracy E")
    pdf = figure_pdf(chart, TITLE)
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") == 1
    assert b"/Subtype /Image" not in pdf, "lines and letters, no picture"
