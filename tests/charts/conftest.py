"""Trajectories as a page has them, at any moment of a run, and what Streamlit sends of a chart."""

import io
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import altair as alt
import pandas as pd
import pytest
import vl_convert
from PIL import Image

from mtl_core.charts import Curve, CurveKey, style_curves


@pytest.fixture
def curves() -> list[Curve]:
    return style_curves(
        [
            CurveKey("single task", "stl"),
            CurveKey("+ digits2", "helpful"),
            CurveKey("+ noisy_digits", "harmful"),
        ]
    )


@pytest.fixture
def trajectories() -> Callable[..., pd.DataFrame]:
    """The first ``checkpoints`` of a run; seed 2 lags one behind."""

    def make(checkpoints: int, *, seeds: int = 3, curves: list[str] | None = None) -> pd.DataFrame:
        names = curves or ["single task", "+ digits2", "+ noisy_digits"]
        rows = [
            {
                "curve": name,
                "seed": seed,
                "task": "digits1",
                "step": 10 * step,
                "epoch": step / 2,
                "train_loss": 2.3 * 0.8**step * (1 + 0.01 * seed),
                "val_metric": 0.9 - 0.8 * 0.8**step,
                "test_metric": 0.9 - 0.8 * 0.8**step + 0.01 * seed - 0.02 * place,
                "sharpness": 0.1 * math.sqrt(step) if step % 2 else None,
                "fisher_trace": None,  # never due
                "gradient_covariance": (8 - step) * (1 + place) if step % 4 == 0 else None,
                "gradient_similarity": 0.6 - 0.4 * place - 0.02 * step if step % 2 else None,
            }
            for place, name in enumerate(names)
            for seed in range(seeds)
            for step in range(checkpoints - (seed == 2))
        ]
        return pd.DataFrame(rows)

    return make


@pytest.fixture
def rows() -> Callable[..., pd.DataFrame]:
    """The data of a chart's nth layer with a mark, as its browser gets them."""

    def data(chart: alt.LayerChart, mark: str, place: int = 0) -> pd.DataFrame:
        spec = chart.to_dict()
        layers = [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]
        return pd.DataFrame(spec["datasets"][layers[place]["data"]["name"]])

    return data


@pytest.fixture
def scene() -> Callable[..., list[dict[str, Any]]]:
    """The items that Vega draws of a kind of mark and a role, such as ``axis-label``."""

    def items(
        chart: alt.LayerChart, mark: str, *, role: str = "mark", width: int = 600
    ) -> list[dict[str, Any]]:
        spec = chart.to_dict() | {"width": width}
        graph = vl_convert.vegalite_to_scenegraph(json.dumps(spec))
        assert isinstance(graph, dict)
        return list(_items(graph["scenegraph"], mark, role))

    return items


def _items(group: dict[str, Any], mark: str, role: str) -> Iterator[dict[str, Any]]:
    for item in group.get("items", []):
        if (group.get("marktype"), group.get("role")) == (mark, role):
            yield item
        yield from _items(item, mark, role)


@pytest.fixture
def contrast() -> Callable[[tuple[float, ...], tuple[float, ...]], float]:
    """WCAG 2 contrast ratio of two colours, as red, green and blue from 0 to 255."""

    def luminance(rgb: tuple[float, ...]) -> float:
        shares = [value / 255 for value in rgb]
        red, green, blue = [
            share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
            for share in shares
        ]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def ratio(one: tuple[float, ...], other: tuple[float, ...]) -> float:
        low, high = sorted([luminance(one), luminance(other)])
        return (high + 0.05) / (low + 0.05)

    return ratio


@pytest.fixture
def skeleton() -> Callable[[alt.LayerChart], str]:
    """A chart's specification as Streamlit 1.67 compares it from tick to tick.

    Rows are left out and data sets are named by their order, where equal ones count as one.
    """

    def strip(chart: alt.LayerChart) -> str:
        names: list[str] = []

        def place(data: pd.DataFrame) -> dict[str, str]:
            content = data.to_csv()  # columns too, as in Arrow
            if content not in names:
                names.append(content)
            return {"name": f"data {names.index(content)}"}

        alt.data_transformers.register("place", place)
        with alt.data_transformers.enable("place"):
            return json.dumps(chart.to_dict())

    return strip


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """A chart, rendered by Vega at a width in pixels."""

    def render(chart: alt.LayerChart, width: int = 600) -> Image.Image:
        spec = chart.to_dict() | {"width": width}
        spec["config"] = {"background": "white"}
        return Image.open(io.BytesIO(vl_convert.vegalite_to_png(json.dumps(spec)))).convert("RGB")

    return render
