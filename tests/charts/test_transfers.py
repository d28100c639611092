import json
import math
import re
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from mtl_core.charts import kept_alt, kept_heatmap, transfer_alt, transfer_heatmap

Rows = Callable[..., pd.DataFrame]
Scene = Callable[..., list[dict[str, Any]]]
Skeleton = Callable[[alt.LayerChart], str]

LABELS = ["0 · 1", "½ · ½", "1 · 0"]
M = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.01, 0.99]]


def test_rows_receive_and_columns_give(rows: Rows, scene: Scene) -> None:
    chart = transfer_heatmap(_matrix(M), labels=LABELS)
    cells = rows(chart, "rect", 1)
    took = cells[(cells["taker"] == "½ · ½") & (cells["giver"] == "0 · 1")]
    assert took["share"].tolist() == [0.2]
    drawn = scene(chart, "rect")[1:]
    assert len(drawn) == 9
    # Row by row from the top left.
    assert [cell["y"] for cell in drawn] == sorted(cell["y"] for cell in drawn)
    assert [_alpha(cell) for cell in drawn[3:6]] == pytest.approx(
        [0.2 ** (1 / 3), 0.7 ** (1 / 3), 0.1 ** (1 / 3)], abs=0.01
    )
    encoding = chart.to_dict()["layer"][1]["encoding"]
    assert encoding["y"]["axis"]["title"] == "received by"
    assert encoding["x"]["axis"]["title"] == "given by"


def test_colours_mean_the_same_whatever_the_numbers(scene: Scene) -> None:
    scale = transfer_heatmap(_matrix(M), labels=LABELS).to_dict()["layer"][1]["encoding"]["fill"][
        "scale"
    ]
    assert scale["domain"] == [0, 1]
    assert scale["clamp"] is True
    kept = kept_heatmap(_kept(), labels=LABELS).to_dict()["layer"][0]["encoding"]["fill"]["scale"]
    assert kept == scale


@pytest.mark.parametrize("page", [(255, 255, 255), (17, 21, 27)])
def test_one_percent_shows_on_light_and_dark(
    page: tuple[int, ...], contrast: Callable[..., float], scene: Scene
) -> None:
    chart = transfer_heatmap(_matrix([[0.99, 0.01], [0.0, 1.0]]), labels=["a", "b"])
    contrasts = []
    for cell in scene(chart, "rect")[1:]:
        colour = [float(part) for part in re.findall(r"[\d.]+", cell["fill"])][:3]
        alpha = _alpha(cell)
        seen = tuple(
            alpha * one + (1 - alpha) * other for one, other in zip(colour, page, strict=True)
        )
        contrasts.append(contrast(seen, page))
    assert contrasts[1] > 1.25
    assert contrasts[2] == pytest.approx(1)
    assert contrasts[3] > 3.5


def test_a_solution_takes_what_it_does_not_keep(rows: Rows) -> None:
    cells = rows(kept_heatmap(_kept(), labels=LABELS), "rect")
    assert cells["step"].tolist() == [10] * 3 + [25] * 3
    assert cells["since"].tolist() == [0] * 3 + [10] * 3
    assert cells["taken"].tolist() == pytest.approx([0.1, 0.3, 0.01, 0.05, 0.0, 0.0])
    assert cells["share"].tolist() == pytest.approx([0.9, 0.7, 0.99, 0.95, 1.0, 1.0])


def test_cells_fill_the_time_between_frames(scene: Scene) -> None:
    cells = scene(kept_heatmap(_kept(), labels=LABELS, now=25), "rect")
    widths = sorted({round(cell["width"], 3) for cell in cells})
    assert widths[1] / widths[0] == pytest.approx(1.5, rel=0.01)
    (rule,) = scene(kept_heatmap(_kept(), labels=LABELS, now=25), "rule")
    assert rule["x"] == pytest.approx(max(cell["x"] + cell["width"] for cell in cells), abs=1)


@pytest.mark.parametrize(("count", "apart"), [(1, 1), (12, 1), (13, 2), (40, 4), (70, 6)])
def test_labels_are_thinned(count: int, apart: int, scene: Scene) -> None:
    labels = [f"{place / 100:.2f}" for place in range(count)]
    chart = transfer_heatmap(_matrix(np.eye(count).tolist()), labels=labels)
    shown = [item["text"] for item in scene(chart, "text", role="axis-label")]
    assert shown == labels[::apart] * 2
    kept = pd.DataFrame({"step": 10, "solution": range(count), "share": 0.5})
    texts = [item["text"] for item in scene(kept_heatmap(kept, labels=labels), "text",
                                            role="axis-label")]  # fmt: skip
    assert set(labels[::apart]) <= set(texts)


def test_equal_labels_have_rows_of_their_own(scene: Scene) -> None:
    chart = transfer_heatmap(_matrix(M), labels=["same"] * 3)
    assert len({(cell["x"], cell["y"]) for cell in scene(chart, "rect")[1:]}) == 9


@pytest.mark.parametrize("width", [350, 1400])
def test_cells_are_about_square(width: int, scene: Scene) -> None:
    cells = scene(transfer_heatmap(_matrix(M), labels=LABELS), "rect", width=width)[1:]
    shapes = [cell["width"] / cell["height"] for cell in cells]
    assert 0.5 < min(shapes) <= max(shapes) < 1.7


def test_specifications_are_constant_while_steps_are_played(skeleton: Skeleton) -> None:
    full = _matrix(M)
    frames = [
        pd.DataFrame(),
        full.iloc[:1],
        full,
        full.assign(share=0.5),
        full.assign(share=np.nan),
    ]
    assert len({skeleton(transfer_heatmap(frame, labels=LABELS)) for frame in frames}) == 1
    kept = _kept()
    charts = [
        kept_heatmap(pd.DataFrame(), labels=LABELS),
        kept_heatmap(kept.iloc[:3], labels=LABELS, now=0),
        kept_heatmap(kept, labels=LABELS, now=10),
        kept_heatmap(kept.assign(share=0.1), labels=LABELS),
    ]
    assert len({skeleton(chart) for chart in charts}) == 1


@pytest.mark.parametrize("count", [0, 1, 13])
def test_they_are_valid_and_leave_colours_of_the_page_to_the_page(count: int) -> None:
    labels = [f"solution “{place}”" for place in range(count)]
    charts = [
        transfer_heatmap(_matrix(np.eye(count).tolist()), labels=labels, name="mine"),
        kept_heatmap(_kept(), labels=labels, now=math.pi, name="mine"),
    ]
    for chart in charts:
        spec = chart.to_dict(validate=True)
        assert "mine_cells" in [layer.get("name") for layer in spec["layer"]]
        assert "name" not in spec
        assert spec["width"] == "container"
        assert "background" not in spec
        for colour in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
            assert colour not in json.dumps(spec)


def test_descriptions_count_solutions() -> None:
    assert "each of 3 solutions, in rows, receives" in transfer_alt(LABELS)
    assert "each of 3 solutions, in rows, takes from the others" in kept_alt(LABELS)


def _matrix(values: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"solution": i, "other": j, "share": share}
            for i, row in enumerate(values)
            for j, share in enumerate(row)
        ],
        columns=["solution", "other", "share"],
    )


def _kept() -> pd.DataFrame:
    """Of steps 0, 10 and 25."""
    shares = {0: [1.0, 1.0, 1.0], 10: [0.9, 0.7, 0.99], 25: [0.95, 1.0, 1.0]}
    return pd.DataFrame(
        [
            {"step": step, "solution": solution, "share": share}
            for step, row in shares.items()
            for solution, share in enumerate(row)
        ]
    )


def _alpha(cell: dict[str, Any]) -> float:
    parts = [float(part) for part in re.findall(r"[\d.]+", cell["fill"])]
    return parts[3] if len(parts) == 4 else 1.0
