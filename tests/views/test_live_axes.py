"""Axes of curves that grow: equal at every moment of a run, until it gets further than others."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from mtl_core import RunConfig
from mtl_core.charts import Frame
from mtl_core.runs import Store
from mtl_core.runs.kinds import Piece
from mtl_core.runs.kinds.base import columns_of
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import scan
from mtl_core.runs.queue.records import Key
from mtl_core.trajectory import COLUMNS, Row
from mtl_core.views.live_axes import live_axes
from mtl_core.views.panel import build

ALICE = "1-alice"


def test_they_stand_still_and_then_extend(store: Store, make_row: Callable[..., Row]) -> None:
    config = RunConfig.from_preset("synthetic", "quick", seeds=(7,), lr=0.002)
    answers = Answers(store, scan()[0])

    def axes() -> Frame:
        return live_axes(build([config], [], answers), "quick", answers)

    def reach(step: int, loss: float, metric: float) -> None:
        row = {**make_row(config, 7, "target", step), "train_loss": loss, "test_metric": metric}
        pieces = [Piece(7, step, {"trajectory": columns_of([row], COLUMNS)})]
        assert store.save(Key(config.id, 7), ALICE, pieces)

    assert axes() == Frame((), ()), "nothing goes on, and nothing is known"
    store.submit(config)
    store.claim(ALICE)
    usual = answers.find_id(RunConfig.from_preset("synthetic", "quick").id)
    assert usual is not None
    rows = answers.main(usual)
    rows = rows[rows["task"] == "target"]
    at_first = axes()
    assert at_first.cut
    assert at_first.losses == (rows["train_loss"].min(), rows["train_loss"].max())
    assert at_first.values == (rows["test_metric"].min(), rows["test_metric"].max())
    for step, loss in enumerate((1.3, 0.9, 0.5)):
        reach(step, loss, 0.5)
        assert axes() == at_first
    reach(9, at_first.losses[0] / 2, 0.99)
    assert axes().losses == (at_first.losses[0] / 2, at_first.losses[1])
    assert axes().values == (at_first.values[0], 0.99)
    store.finish(Key(config.id, 7), ALICE, "done")
    assert axes() == Frame((at_first.losses[0] / 2, 1.3), (0.5, 0.99)), "over: as far as it came"


def test_where_nothing_is_known_they_begin_at_chance(store: Store) -> None:
    config = replace(RunConfig.from_preset("synthetic", "quick", seeds=(7,)), lr=0.002)
    store.submit(config)
    store.claim(ALICE)
    answers = Answers(store, {})
    axes = live_axes(build([config], [], answers), "quick", answers)
    classes = 4
    assert axes.losses == pytest.approx((math.log(classes) / 20, math.log(classes) * 1.1))
    assert axes.values == pytest.approx((1 / classes, 1 - (1 - 1 / classes) / 10))
