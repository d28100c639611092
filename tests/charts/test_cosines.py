import json
import re
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mtl_core.charts import cosine_alt, cosine_heatmap

Scene = Callable[..., list[dict[str, Any]]]

TASKS = ["digits1", "digits2", "noisy_digits"]
VALUES = {("digits1", "digits2"): 0.5, ("digits1", "noisy_digits"): -1.0}


def test_every_pair_has_a_cell_with_its_number(scene: Scene) -> None:
    chart = cosine_heatmap(_cosines(TASKS), TASKS)
    assert len(scene(chart, "rect")) == 9
    rows = [["1.00", "0.50", "−1.00"], ["0.50", "1.00", "0.00"], ["−1.00", "0.00", "1.00"]]
    assert _numbers(scene(chart, "text")) == [number for row in rows for number in row]


def test_rows_and_columns_keep_the_order_of_tasks() -> None:
    chart = cosine_heatmap(_cosines(sorted(TASKS, reverse=True)), TASKS).to_dict()
    encoding = chart["layer"][0]["encoding"]
    assert (encoding["y"]["field"], encoding["x"]["field"]) == ("task", "other")
    assert encoding["x"]["scale"]["domain"] == encoding["y"]["scale"]["domain"] == TASKS
    titles = [tip["title"] for tip in encoding["tooltip"]]
    assert titles == ["task", "and", "cosine"]
    assert encoding["tooltip"][-1]["format"] == ".3f"


def test_colours_mean_the_same_whatever_the_data(picture: Callable[..., Image.Image]) -> None:
    fill = cosine_heatmap(_cosines(TASKS), TASKS).to_dict()["layer"][0]["encoding"]["fill"]
    assert fill["scale"]["domain"] == [-1, 0, 1]
    assert fill["scale"]["range"] == ["#D55E00", "#D3D7DC", "#0072B2"]
    mild = _cosines(TASKS).assign(cosine=0.0)
    assert (0xD3, 0xD7, 0xDC) in _colours(picture(cosine_heatmap(mild, TASKS)))
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= _colours(
        picture(cosine_heatmap(_cosines(TASKS), TASKS))
    )


def test_numbers_are_legible_on_every_colour(contrast: Callable[..., float], scene: Scene) -> None:
    tasks = [f"task {i}" for i in range(12)]
    cosines = _cosines(tasks).assign(cosine=np.linspace(-1, 1, 144))
    chart = cosine_heatmap(cosines, tasks)
    cells, numbers = scene(chart, "rect"), scene(chart, "text")
    assert {number["fill"] for number in numbers} == {"#000000", "#ffffff"}
    for cell, number in zip(cells, numbers, strict=True):
        colour = tuple(int(part) for part in re.findall(r"\d+", cell["fill"]))
        assert contrast(colour, (255,) * 3 if number["fill"] == "#ffffff" else (0,) * 3) > 4.5


def test_the_specification_is_constant_while_data_change(
    skeleton: Callable[[alt.LayerChart], str],
) -> None:
    full = _cosines(TASKS)
    frames = [
        pd.DataFrame(),
        full.iloc[:0],
        full.iloc[:1],
        full.assign(cosine=np.nan),
        full,
        full.assign(cosine=-0.25),
    ]
    assert len({skeleton(cosine_heatmap(frame, TASKS)) for frame in frames}) == 1
    assert skeleton(cosine_heatmap(full, TASKS[:2])) != skeleton(cosine_heatmap(full, TASKS))


@pytest.mark.parametrize("count", [1, 12, 13])
def test_it_is_valid_and_leaves_colours_of_the_page_to_the_page(count: int) -> None:
    tasks = [f"task {i}" for i in range(count)]
    spec = cosine_heatmap(_cosines(tasks), tasks, name="mine").to_dict(validate=True)
    assert spec["layer"][0]["name"] == "mine_cells"
    # Scales of a chart with a name have it in theirs, and expressions would miss "x".
    assert "name" not in spec
    assert spec["width"] == "container"
    assert "background" not in spec
    text = json.dumps(spec)
    for name in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
        assert name not in text


def test_only_pairs_of_the_tasks_that_are_known_have_cells(scene: Scene) -> None:
    cosines = _cosines(TASKS)
    cosines.loc[cosines["task"] == "digits1", "cosine"] = np.nan
    assert len(_numbers(scene(cosine_heatmap(cosines, TASKS), "text"))) == 6
    assert len(_numbers(scene(cosine_heatmap(_cosines(TASKS), TASKS[:2]), "text"))) == 4


def test_no_cell_has_a_number_that_does_not_fit(scene: Scene) -> None:
    tasks = [f"task {i}" for i in range(12)]
    chart = cosine_heatmap(_cosines(tasks), tasks)
    assert len(_numbers(scene(chart, "text", width=700))) == 144
    assert not _numbers(scene(chart, "text", width=330))
    more = [*tasks, "task 12"]
    assert not _numbers(scene(cosine_heatmap(_cosines(more), more), "text", width=2000))


@pytest.mark.parametrize("width", [350, 1400])
def test_cells_are_about_square_and_labels_whole(width: int, scene: Scene) -> None:
    tasks = ["digits1", "a_task_with_quite_a_long_name", "x"]
    chart = cosine_heatmap(_cosines(tasks), tasks)
    shapes = [cell["width"] / cell["height"] for cell in scene(chart, "rect", width=width)]
    assert 0.5 < min(shapes) <= max(shapes) < 1.7
    labels = scene(chart, "text", role="axis-label", width=width)
    assert [item["text"] for item in labels] == [*tasks, *tasks]
    assert {item["limit"] for item in labels} == {0}
    assert all(item["opacity"] == 1 for item in labels)


@pytest.mark.parametrize(("width", "angle"), [(600, 0), (250, -40)])
def test_columns_are_labelled_flat_where_there_is_room(
    width: int, angle: int, scene: Scene
) -> None:
    chart = cosine_heatmap(_cosines(TASKS), TASKS)
    columns = scene(chart, "text", role="axis-label", width=width)[:3]
    assert [item["angle"] for item in columns] == [angle] * 3
    assert {item["align"] for item in columns} == {"center" if angle == 0 else "right"}


def test_the_description_names_the_tasks() -> None:
    assert cosine_alt(TASKS).endswith("for digits1, digits2, noisy_digits.")


def test_the_description_says_who_agrees_most_and_least() -> None:
    apart = {frozenset(TASKS[:2]): 0.8, frozenset(TASKS[1:]): -0.3}
    pairs = _cosines(TASKS).assign(
        cosine=lambda rows: [
            apart.get(frozenset(pair), 0.0)
            for pair in zip(rows["task"], rows["other"], strict=True)
        ]
    )
    told = cosine_alt(TASKS, pairs)
    assert "digits1 and digits2 agree most, at 0.8" in told or "digits2 and digits1" in told
    assert told.endswith("least, at -0.3.")


def _cosines(tasks: list[str]) -> pd.DataFrame:
    """1 on the diagonal, symmetric, 0 where VALUES says nothing."""
    return pd.DataFrame(
        [
            {
                "task": one,
                "other": other,
                "cosine": 1.0
                if one == other
                else VALUES.get((one, other), VALUES.get((other, one), 0.0)),
            }
            for one in tasks
            for other in tasks
        ]
    )


def _numbers(texts: list[dict[str, Any]]) -> list[str]:
    """As far as they are seen."""
    return [item["text"] for item in texts if item["opacity"] > 0]


def _colours(image: Image.Image) -> set[tuple[int, ...]]:
    found = image.getcolors(maxcolors=1 << 24)
    assert found is not None
    return {rgb for _, rgb in found if isinstance(rgb, tuple)}
