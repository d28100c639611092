import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from mtl_core.charts import matrix_alt, matrix_chart

Scene = Callable[..., list[dict[str, Any]]]


def cells(tasks: list[str], *, decided: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "target": target,
                "auxiliary": auxiliary,
                "gain": 0.01 * (place - len(tasks) / 2),
                "delta": 0.01 * (place - len(tasks) / 2),
                "low": -0.1,
                "high": 0.1,
                "verdict": "better" if decided else "not significant",
                "decided": decided,
                "seeds": 3,
            }
            for target in tasks
            for place, auxiliary in enumerate(tasks)
            if target != auxiliary
        ]
    )


def test_every_known_pair_has_a_cell_and_undecided_ones_strokes(scene: Scene) -> None:
    tasks = ["a", "b", "c"]
    for decided, strokes in ((True, 0), (False, 6)):
        chart = matrix_chart(cells(tasks, decided=decided), tasks, tasks, share=True)
        chart.to_dict(validate=True)
        filled = [one for one in scene(chart, "rect") if str(one.get("fill", "")).startswith("rgb")]
        assert len(filled) == 6
        assert len(scene(chart, "symbol")) == strokes


def test_numbers_are_in_points_and_left_out_where_cells_are_small(scene: Scene) -> None:
    few, many = ["a", "b", "c"], [f"t{place}" for place in range(22)]
    written = [
        text["text"] for text in scene(matrix_chart(cells(few), few, few, share=True), "text")
    ]
    assert {"-0.5", "+0.5", "-1.5"} <= {str(text).replace("−", "-") for text in written}
    chart = matrix_chart(cells(many), many, many, share=True)
    assert len(chart.to_dict()["layer"]) == 3


def test_rows_and_columns_have_orders_of_their_own() -> None:
    chart = matrix_chart(cells(["a", "b"]), ["b", "a"], ["a", "b"], share=False).to_dict()
    encoding = chart["layer"][1]["encoding"]
    assert encoding["y"]["scale"]["domain"] == ["b", "a"]
    assert encoding["x"]["scale"]["domain"] == ["a", "b"]


def test_its_description_counts_and_names_the_ends() -> None:
    tasks = ["a", "b", "c"]
    assert matrix_alt(tasks, cells(tasks)) == (
        "Heat map of what each of 3 tasks, in rows, gains from each, in columns: of 6 known pairs "
        "6 help, 0 harm, 0 are not decided; most gained, a with c, 0.5 points above alone; most "
        "lost, b with a, 1.5 points below alone."
    )


def test_an_empty_one_is_drawn(scene: Scene) -> None:
    empty = cells(["a", "b"]).iloc[:0]
    assert len(scene(matrix_chart(empty, ["a", "b"], ["a", "b"], share=True), "rect")) >= 2
    assert "hatched" in matrix_alt(["a"])
    assert matrix_alt(["a", "b"], empty) == matrix_alt(["a", "b"])
    json.dumps(matrix_chart(empty, ["a"], ["a"], share=True).to_dict())
