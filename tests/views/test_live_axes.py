"""Axes of curves that grow: equal at every moment of a run, until it gets further than others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mtl_core import RunConfig
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
    shipped = scan()[0]
    answers = Answers(store, shipped)

    def axes() -> Any:
        return live_axes(build([config], [], answers), "quick", answers)

    def reach(step: int, loss: float, metric: float) -> None:
        row = {**make_row(config, 7, "target", step), "train_loss": loss, "test_metric": metric}
        pieces = [Piece(7, step, {"trajectory": columns_of([row], COLUMNS)})]
        assert store.save(Key(config.id, 7), ALICE, pieces)

    assert axes() is None, "nothing goes on"
    store.submit(config)
    store.claim(ALICE)
    usual = answers.find_id(RunConfig.from_preset("synthetic", "quick").id)
    assert usual is not None
    rows = answers.main(usual)
    rows = rows[rows["task"] == "target"]
    (least, most), metrics = at_first = axes()
    assert least == pytest.approx(rows["train_loss"].min() / 1.2)
    assert most == pytest.approx(rows["train_loss"].max() * 1.1)
    assert metrics == (rows["test_metric"].min(), rows["test_metric"].max())
    seen = []
    for step, loss in enumerate((1.3, 0.9, 0.5)):
        reach(step, loss, 0.5)
        seen.append(axes())
    assert seen == [at_first] * 3
    reach(9, least / 2, 0.99)
    (further, same), (_, best) = axes()
    assert further == pytest.approx(least / 2 / 1.2)
    assert (same, best) == (most, 0.99)
    store.finish(Key(config.id, 7), ALICE, "done")
    assert axes() is None, "what is over is drawn as it is"


def test_where_nothing_is_known_the_curves_decide(store: Store) -> None:
    config = replace(RunConfig.from_preset("synthetic", "quick", seeds=(7,)), lr=0.002)
    store.submit(config)
    store.claim(ALICE)
    answers = Answers(store, {})
    assert live_axes(build([config], [], answers), "quick", answers) is None
