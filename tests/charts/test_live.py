"""A live chart is the same chart, in pieces of which few change."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.charts import (
    Curve,
    CurveKey,
    Frame,
    generalization_chart,
    generalization_drawing,
    over_loss_drawing,
    ready,
    style_curves,
    template,
)
from mtl_core.charts.live import bent, parted, with_width

Trajectories = Callable[..., pd.DataFrame]
FRAME = Frame((0.01, 2.5), (0.1, 0.9), cut=True)


@pytest.mark.parametrize("ends", [0, 1])
@pytest.mark.parametrize("counts", [(), (3,), (8, 8), (9, 17), (16, 25, 40)])
def test_both_parts_are_all_points_once_and_lines_meet(counts: tuple[int, ...], ends: int) -> None:
    rows = pd.DataFrame(
        [(f"c{curve}", at) for curve, count in enumerate(counts) for at in range(count)],
        columns=["curve", "at"],
    ).astype({"curve": object})
    # Curves need not stand one after the other.
    rows = rows.sort_values("at", kind="stable", ignore_index=True) if ends else rows
    earlier, newer = parted(rows, ends=ends, block=8)
    cut = (min(counts, default=0) - ends) // 8 * 8 if counts else 0
    for curve, count in enumerate(counts):
        old = earlier.loc[earlier["curve"] == f"c{curve}", "at"].tolist()
        new = newer.loc[newer["curve"] == f"c{curve}", "at"].tolist()
        assert old == list(range(max(cut, 0)))
        assert new == list(range(cut - ends if cut > 0 else 0, count))
    assert set(earlier) - set(newer) == {"earlier"}


def test_earlier_points_keep_their_bytes_while_curves_grow(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    whole = trajectories(30)
    steps = sorted(whole["step"].unique())
    sent = []
    for upto in range(17, 24):
        rows = whole[whole["step"].isin(steps[:upto])]
        spec = ready(_drawing(rows, curves).chart()).spec
        sent.append({_columns(spec, name): name for name in spec["datasets"]})
    (earlier,) = [key for key in sent[0] if "earlier" in key and "step" in key]
    assert len({one[earlier] for one in sent}) == 1
    assert len({tuple(sorted(one.values())) for one in sent}) == len(sent)


def test_unchanged_rows_are_sent_as_the_same_bytes(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    first, second = (_drawing(trajectories(20), curves) for _ in range(2))
    made = template(first)
    assert made.filled(first.tables) == made.filled(second.tables)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 20, 40])
def test_a_filled_template_is_the_chart_drawn_at_once(
    count: int, trajectories: Trajectories, curves: list[Curve]
) -> None:
    begun = _drawing(pd.DataFrame(), curves)
    grown = _drawing(trajectories(count) if count else pd.DataFrame(), curves)
    at_once = ready(grown.chart())
    filled = template(begun).filled(grown.tables)
    assert filled.spec == at_once.spec
    assert filled.size == at_once.size


def test_a_live_chart_has_all_marks_of_the_other(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    rows = trajectories(30)
    drawn = _tables(generalization_chart(rows, curves, frame=FRAME, **SAID).to_dict())
    live = _tables(_drawing(rows, curves).chart().to_dict())
    for mark, columns in (
        ("point", ["curve", "step", "train_loss", "value", "metric", "spread", "seeds", "shape"]),
        ("line", ["curve", "train_loss", "value"]),
        ("area", ["curve", "train_loss", "low", "high"]),
    ):
        apart = pd.concat([table[columns] for table in live[mark]]).drop_duplicates()
        once = pd.concat([table[columns] for table in drawn[mark]]).drop_duplicates()
        order = ["curve", "train_loss", columns[-1]]
        pd.testing.assert_frame_equal(
            apart.sort_values(order, ignore_index=True),
            once.sort_values(order, ignore_index=True),
            check_dtype=False,
        )


@pytest.mark.parametrize("log_y", [False, True])
def test_points_left_out_of_a_line_lie_on_it(log_y: bool) -> None:
    random = np.random.default_rng(0)
    losses = np.geomspace(2, 0.01, 80)
    knots = np.log(losses[[0, 20, 33, 60, 79]])
    values = np.interp(-np.log(losses), -knots, random.uniform(1, 3, 5))
    values = np.exp(values) if log_y else values
    whole = pd.DataFrame({"curve": "a", "train_loss": losses, "value": values})
    kept = bent(pd.concat([whole, whole.assign(curve="b")], ignore_index=True), log_y=log_y)
    assert 5 <= len(kept[kept["curve"] == "a"]) < 20
    for curve in ("a", "b"):
        own = kept[kept["curve"] == curve]
        drawn = np.log(own["value"]) if log_y else own["value"]
        read = np.interp(-np.log(losses), -np.log(own["train_loss"]), drawn)
        np.testing.assert_allclose(np.exp(read) if log_y else read, values, rtol=1e-9)


def test_a_line_breaks_where_it_broke() -> None:
    whole = pd.DataFrame(
        {"curve": "a", "train_loss": [8.0, 4, 2, 1, 0.5], "value": [1.0, 1, np.nan, 1, 1]}
    )
    assert bent(whole, log_y=False)["value"].isna().sum() == 1


def test_bands_of_single_seeds_are_left_out_and_others_whole() -> None:
    lines = pd.DataFrame(
        {
            "curve": ["one", "one", "two", "two"],
            "train_loss": [1.0, 0.5, 1.0, 0.5],
            "value": [0.5, 0.6, 0.5, 0.6],
            "low": [0.5, 0.6, 0.5, 0.5],
            "high": [0.5, 0.6, 0.5, 0.7],
        }
    )
    kept = with_width(lines)
    assert kept["curve"].tolist() == ["two", "two"]


def test_a_factor_of_few_checkpoints_has_few_points(trajectories: Trajectories) -> None:
    curves = style_curves([CurveKey("single task", "stl")])
    rows = trajectories(40, curves=["single task"])
    rows = rows[rows["seed"] == rows["seed"].min()]
    seldom = rows["step"].isin(sorted(rows["step"].unique())[::10])
    rows = rows.assign(fisher=(rows["train_loss"] * 2).where(seldom))
    drawing = over_loss_drawing(
        rows, curves, column="fisher", task="digits1", title="F", log_y=True, live=True
    )
    lines = drawing.tables[0]
    assert len(lines) < 12
    np.testing.assert_allclose(lines["value"], 2 * lines["train_loss"])


SAID: dict[str, Any] = {"task": "digits1", "metric_title": "test accuracy E"}


def _drawing(rows: pd.DataFrame, curves: list[Curve]) -> Any:
    return generalization_drawing(rows, curves, frame=FRAME, live=True, name="h", **SAID)


def _columns(spec: Any, name: str) -> tuple[str, ...]:
    import pyarrow as pa

    return tuple(pa.ipc.open_stream(spec["datasets"][name]).schema.names)


def _tables(spec: dict[str, Any]) -> dict[str, list[pd.DataFrame]]:
    found: dict[str, list[pd.DataFrame]] = {}
    for layer in spec["layer"]:
        table = pd.DataFrame(spec["datasets"][layer["data"]["name"]])
        if len(table):
            found.setdefault(layer["mark"]["type"], []).append(table)
    return found
