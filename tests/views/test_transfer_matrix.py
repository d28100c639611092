"""The transfer matrix: its cells against other pages, its order, and what it asks for."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mtl_core.analysis.clusters import clustered
from mtl_core.views import comparisons, transfer_matrix
from mtl_core.views.transfer_matrix import Matrix


@pytest.fixture(scope="module")
def synthetic(shipped_answers) -> Matrix:
    return transfer_matrix.matrix("synthetic", "quick", shipped_answers)


def test_cells_are_the_transfers_that_other_pages_show(synthetic: Matrix, shipped_answers) -> None:
    pool = comparisons.find(comparisons.pools(shipped_answers), "synthetic", "quick")
    pairs = [run for run in pool.together("target") if len(run.config.auxiliaries) == 1]
    plain = [run for run in pairs if run.config.optimizer == "umtg"]
    table = comparisons.compared(plain, "target", shipped_answers).set_index("run")
    cells = [cell for cell in synthetic.cells if cell.target == "target"]
    assert len(cells) == len(plain) >= 10
    for cell in cells:
        own = table.loc[cell.run.config.id]
        assert cell.comparison.delta == pytest.approx(own["transfer"])
        assert cell.comparison.low == pytest.approx(own["transfer_low"])
    assert synthetic.judged == len(synthetic.cells)


def test_the_known_cosine_stands_beside_the_measured_transfer(synthetic: Matrix) -> None:
    table = synthetic.table().set_index(["target", "auxiliary"])
    assert table.loc[("target", "cos75"), "cosine"] == 0.75
    assert table.loc[("target", "cosm50"), "cosine"] == -0.5
    assert table.loc[("target", "cos100"), "verdict"] == "better"
    assert table.loc[("target", "cos0"), "gain"] < 0


def test_one_run_of_two_serves_both_where_they_have_equally_many_examples(
    synthetic: Matrix, shipped_answers
) -> None:
    asked = transfer_matrix.asked(synthetic, 3, shipped_answers)
    assert len(asked) == 22 + 22 * 21 // 2
    mnists = transfer_matrix.matrix("mnists", "paper", shipped_answers)
    pairs = [one.answer.config for one in transfer_matrix.asked(mnists, 3, shipped_answers)][3:]
    both = {frozenset(config.tasks) for config in pairs}
    assert len(both) == 3
    assert len(pairs) == 5, "MNIST and FashionMNIST have as many; notMNIST has fewer"


@pytest.mark.parametrize("setting", ["digits", "synthetic", "mnists"])
def test_what_ships_fills_the_matrix_and_asks_for_nothing(setting: str, shipped_answers) -> None:
    found = transfer_matrix.matrix(setting, "quick", shipped_answers)
    count = len(found.tasks)
    assert len(found.cells) == count * (count - 1)
    assert all(one.answer.done for one in transfer_matrix.asked(found, 3, shipped_answers))


def test_like_lies_beside_like() -> None:
    random = np.random.default_rng(0)
    groups = random.permutation([0] * 5 + [1] * 5 + [2] * 5)
    rows = np.array([[0, 0], [5, 0], [0, 9]])[groups] + 0.1 * random.normal(size=(15, 2))
    order = groups[clustered(rows.tolist())]
    assert sum(a != b for a, b in pairwise(order)) == 2
    rows[3, 1] = np.nan
    order = clustered(rows.tolist())
    assert sorted(order) == list(range(15))


def test_rows_and_columns_are_ordered_each_and_the_unknown_come_last(synthetic: Matrix) -> None:
    row = tuple(cell for cell in synthetic.cells if cell.target == "target")
    rows, columns = replace(synthetic, cells=row).ordered(by_likeness=True)
    assert rows[0] == "target", "of the others nothing is known as a target"
    assert columns[-1] == "target", "it is no auxiliary of its own"
    rows, columns = synthetic.ordered(by_likeness=True)
    assert sorted(rows) == sorted(columns) == sorted(synthetic.tasks)
    place = {name: columns.index(name) for name in columns}
    alike = [place[name] for name in ("target", "cos100", "cosm100")]
    assert max(alike) - min(alike) == 2, "side by side"
    assert synthetic.ordered(by_likeness=False) == ([*synthetic.tasks], [*synthetic.tasks])


def test_nothing_known_is_an_empty_matrix(shipped_answers) -> None:
    empty = transfer_matrix.matrix("synthetic", "paper", shipped_answers)
    assert empty.cells == ()
    assert empty.table().empty
    assert empty.ordered(by_likeness=True)[0] == [*empty.tasks]
