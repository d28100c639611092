"""The legend: what its entries say, in a chart as it is drawn."""

import json
from xml.etree import ElementTree

import pandas as pd
import pytest
import vl_convert

from mtl_core.charts import CurveKey, over_epochs_chart, style_curves
from mtl_core.charts.legend import shortened

OPTIMIZERS = ("MGDA", "PCGrad", "IMTL-G · scale l2")
ALIKE = ["single task", "+ a + b", *(f"+ a + b · {name}" for name in OPTIMIZERS)]


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (ALIKE, ["single task", "+ a + b", *OPTIMIZERS]),
        (["single task", "+ a", "+ a · MGDA", "+ a · PCGrad"], None),
        (["+ b · MGDA", *ALIKE], ["+ b · MGDA", "single task", "+ a + b", *OPTIMIZERS]),
        ([f"+ {task} · {name}" for task in "ab" for name in OPTIMIZERS], None),
        ([], []),
    ],
)
def test_what_many_labels_begin_with_is_left_out(labels: list[str], shown: list[str]) -> None:
    curves = style_curves([CurveKey(label, "helpful") for label in labels])
    assert shortened(curves) == dict(zip(labels, labels if shown is None else shown, strict=True))


def test_a_drawn_legend_has_the_short_names_and_its_data_the_whole_ones() -> None:
    odd = [*ALIKE, '+ a + b · "so", she said']
    curves = style_curves([CurveKey(label, "helpful") for label in odd])
    rows = pd.DataFrame(
        [
            {"curve": label, "task": "t", "seed": 0, "epoch": epoch, "step": epoch,
             "whole_epoch": True, "train_loss": 1.0 / (place + epoch + 1)}
            for place, label in enumerate(odd)
            for epoch in (0, 1)
        ]
    )  # fmt: skip
    chart = over_epochs_chart(rows, curves, task="t", column="train_loss", title="L")
    svg = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict() | {"width": 700}))
    words = ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter()]
    for name in ("single task", "+ a + b", *OPTIMIZERS, '"so", she said'):
        assert name in words
    assert "+ a + b · MGDA" not in words
    assert '"+ a + b · MGDA"' in json.dumps(chart.to_dict(), ensure_ascii=False)


@pytest.mark.parametrize(
    ("many", "height", "legend"), [(8, 280, True), (9, 280, False), (9, 340, True)]
)
def test_many_curves_have_one_legend_and_a_band_once_picked(
    many: int, height: int, legend: bool
) -> None:
    labels = [f"curve {number}" for number in range(many)]
    curves = style_curves([CurveKey(label, "helpful") for label in labels])
    rows = pd.DataFrame(
        [
            {"curve": label, "task": "t", "seed": seed, "epoch": epoch, "step": epoch,
             "whole_epoch": True, "train_loss": 1.0 + place + 0.1 * seed}
            for place, label in enumerate(labels)
            for epoch in (0, 1)
            for seed in (0, 1)
        ]
    )  # fmt: skip
    chart = over_epochs_chart(rows, curves, task="t", column="train_loss", title="L", height=height)
    spec = chart.to_dict()
    svg = vl_convert.vegalite_to_svg(json.dumps(spec | {"width": 700}))
    words = ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter()]
    assert ("curve 0" in words) is legend
    (band,) = [one for one in spec["layer"] if one["mark"]["type"] == "area"]
    unpicked = band["encoding"]["opacity"]
    assert (unpicked["condition"].get("empty", True), unpicked["value"] > 0) == (
        (True, True) if many <= 8 else (False, False)
    )
    assert spec["params"][0].get("bind") == ("legend" if legend else None)
