"""The tables of fronts have every number of every front."""

from dataclasses import replace

import numpy as np
import pytest

from mtl_core.pareto import Front, ParetoConfig, solve
from mtl_core.runs.kinds.front import FRONT, LEAST, tables

CONFIG = ParetoConfig("toy", method="decay", solutions=4, iterations=6, frames=3, seeds=(0, 2))


@pytest.fixture(scope="module")
def fronts() -> list[Front]:
    return list(solve(CONFIG))


def test_tables_have_every_number_of_every_front(fronts: list[Front]) -> None:
    parts = [tables(CONFIG, front) for front in fronts]
    table = FRONT.tables["front"].frame([part["front"] for part in parts])
    transfers = FRONT.tables["transfers"].frame([part["transfers"] for part in parts])
    assert len(table) == 2 * 4 * 4 * 2  # seeds, frames, solutions, objectives
    for front in fronts:
        at = table[(table["seed"] == front.seed) & (table["step"] == front.step)]
        assert at["objective"].tolist() == ["f1", "f2"] * 4
        assert at["solution"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        assert np.array_equal(at["train_loss"].to_numpy().reshape(4, 2), front.train)
        assert set(at["evaluations"]) == {4 * front.step}
        assert at[["test_loss", "metric"]].isna().all(axis=None)
        rows = transfers[(transfers["seed"] == front.seed) & (transfers["step"] == front.step)]
        matrix = np.zeros((4, 4))
        matrix[rows["solution"], rows["other"]] = rows["share"]
        assert np.allclose(matrix, front.matrix, rtol=0, atol=LEAST)


def test_carrying_out_gives_the_same_rows(fronts: list[Front]) -> None:
    assert FRONT.carry_out is not None
    found = FRONT.frames(list(FRONT.carry_out(CONFIG, "cpu", None, {})))
    parts = [tables(CONFIG, front) for front in fronts]
    for name, form in FRONT.tables.items():
        wanted = form.frame([part[name] for part in parts])
        assert (
            found[name]
            .drop(columns="seconds", errors="ignore")
            .equals(wanted.drop(columns="seconds", errors="ignore"))
        )
    FRONT.check(CONFIG, found, True)


@pytest.mark.parametrize("method", ["independent", "averaged", "mgda"])
def test_without_transfer_no_matrices_are_kept(method: str) -> None:
    config = replace(CONFIG, method=method)
    for front in solve(config):
        assert set(tables(config, front)) == {"front"}
