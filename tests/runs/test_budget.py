"""Budget: what is estimated of runs, and what is too much."""

from dataclasses import replace

import pytest

from mtl_core import RunConfig, settings
from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds
from mtl_core.runs.budget import Budget, size
from mtl_core.runs.library.answers import Answers


@pytest.mark.parametrize("name", [name for name in settings.names() if name != "glue"])
def test_the_number_of_parameters_is_that_of_the_encoder(name: str) -> None:
    setting = settings.get(name)
    for width in (4, 8, 20):
        encoder = setting.encoder(width)
        assert setting.parameters(width) == sum(part.numel() for part in encoder.parameters())


def test_rows_are_no_more_than_estimated_and_not_far_from_it(shipped_answers: Answers) -> None:
    for artifact in shipped_answers.shipped.values():
        if artifact.manifest["numbers"] != "measured":
            continue
        most = artifact.kind.most_rows(artifact.config)
        for name in artifact.kind.tables:
            assert len(artifact.table(name)) <= most[name], (artifact.folder.name, name)
        assert len(artifact.table(artifact.kind.main)) == most[artifact.kind.main]


def test_sizes_add_up() -> None:
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",), seeds=(0, 1, 2))
    one, three = size([replace(config, seeds=(5,))]), size([config])
    assert three == replace(one, runs=3, rows=3 * one.rows, stored=3 * one.stored,
                            states=3 * one.states)  # fmt: skip
    both = size([config, config])
    assert (both.runs, both.rows, both.memory) == (6, 2 * three.rows, three.memory)
    parameters = settings.get("digits").parameters(config.width)
    assert one.states == parameters * 4 * 3
    table = kinds.of(config).most_rows(replace(config, seeds=(5,)))
    assert one.rows == sum(table.values())


def test_what_a_slip_of_the_hand_asks_for_is_too_much() -> None:
    """Measured before: 4.3 GB of states in minutes, and 76 GB of transfers."""
    budget = Budget()
    wide = RunConfig.from_preset("digits", "quick", width=512, seeds=tuple(range(64)))
    assert budget.excess(size([wide])) == (
        "these 64 runs would take about 52,616 MB in the store (limit 2,048 MB); ask for fewer "
        "seeds, checkpoints or solutions, or for a smaller network"
    )
    many = ParetoConfig.from_preset("toy", "paper", method="decay", solutions=1_000)
    assert "in the store" in str(budget.excess(size([many])))
    for setting in settings.names():
        for preset in ("quick", "standard", "paper"):
            usual = RunConfig.from_preset(setting, preset)
            assert budget.excess(size([usual])) is None or setting == "glue", (setting, preset)


def test_a_budget_can_be_set() -> None:
    config = RunConfig.from_preset("digits", "quick")
    asked = size([config], seconds=7200.0)
    assert Budget.of({}) == Budget()
    assert Budget.of({}).excess(asked) is None
    assert Budget.of({"MTL_MOST_HOURS": "1"}).excess(asked) == (
        "these 3 runs would take about 2 hours (limit 1); ask for fewer seeds, checkpoints or "
        "solutions, or for a smaller network"
    )
    assert Budget.of({"MTL_MOST_MB": "much", "MTL_MOST_HOURS": "-1"}) == Budget()
    assert Budget.of({"MTL_MOST_MB": "0.001"}).excess(asked) is not None
