"""Questions in notebooks: the numbers of the page, runs through the queue, errors by name."""

import doctest
import importlib
from pathlib import Path

import pytest

import mtl_core
from mtl_core import InputError, RunConfig
from mtl_core.runs import Store
from mtl_core.runs.library.here import answers_here
from mtl_core.views.panel import build
from tests.faults import carry_out

module = importlib.import_module("mtl_core.views.compare")


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))


def test_its_numbers_are_those_of_the_page() -> None:
    found = mtl_core.compare("synthetic", "target", ["cos100", "cos0"], train=False)
    assert found.done
    assert [one.label for one in found.panel.shown] == ["single task", "+ cos100", "+ cos0"]
    for place, name in enumerate(("cos100", "cos0")):
        config = RunConfig.from_preset("synthetic", "quick", auxiliaries=(name,))
        page = build([config], [], answers_here())
        (there,) = page.table.to_dict("records")
        here = found.table.to_dict("records")[place]
        for column in ("metric", "transfer", "transfer_low", "transfer_high", "gap", "gap_loss"):
            assert here[column] == there[column]
    assert set(found.gaps["curve"]) == {"+ cos100", "+ cos0"}
    last = found.gaps[found.gaps["curve"] == "+ cos0"].iloc[-1]
    assert last["gap"] == pytest.approx(found.table.set_index("curve")["gap"]["+ cos0"])
    for chart in (found.chart(), found.chart("sharpness", per_seed=True), found.gap_chart()):
        chart.to_dict(validate=True)


def test_what_is_not_known_is_trained_through_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "tend", carry_out)  # in this process
    told: list[str] = []
    found = mtl_core.compare(
        "digits",
        auxiliaries=["digits2", ("digits2", "noisy_digits")],
        seeds=(3,),
        epochs=1,
        factors=(),
        tell=told.append,
    )
    assert found.done
    assert [one.label for one in found.panel.shown] == [
        "single task",
        "+ digits2",
        "+ digits2 + noisy_digits",
    ]
    assert {record.state for record in Store().runs()} == {"done"}
    assert told[-1] == "done"
    before = len(Store().runs())
    again = mtl_core.compare("digits", auxiliaries=["digits2"], seeds=(3,), epochs=1, factors=())
    assert len(Store().runs()) == before == 3, "what is known is not trained again"
    assert again.trajectories["curve"].unique().tolist() == ["single task", "+ digits2"]


def test_what_cannot_be_asked_is_named() -> None:
    with pytest.raises(InputError, match="unknown task of synthetic 'cos101'"):
        mtl_core.compare("synthetic", auxiliaries=["cos101"], train=False)
    with pytest.raises(InputError, match="an empty set of auxiliaries is the single task"):
        mtl_core.compare("synthetic", auxiliaries=[()], train=False)
    alone = mtl_core.compare("synthetic", auxiliaries=[], train=False)
    assert [one.label for one in alone.panel.shown] == ["single task"]


def test_the_example_holds() -> None:
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0
