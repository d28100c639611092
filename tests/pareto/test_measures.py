from itertools import product

import numpy as np
import pytest

from mtl_core.errors import InputError
from mtl_core.pareto import measures


def test_hypervolume_by_hand() -> None:
    """Two overlapping boxes: .5 · .8 + .8 · .5 - .5 · .5, and nothing for what is dominated."""
    losses = [[0.5, 0.2], [0.2, 0.5], [0.6, 0.6]]
    assert measures.hypervolume(losses, (1, 1)) == pytest.approx(0.55)


def test_hypervolume_is_scaled_by_the_points_fixed_beforehand() -> None:
    losses = np.array([[[2.0, 12.0], [3.0, 11.0]], [[4.0, 14.0], [4.0, 14.0]]])
    # In the box of (1, 10) and (5, 15): (.25, .4) and (.5, .2); then (.75, .8) twice.
    found = measures.hypervolume(losses, (5, 15), (1, 10))
    np.testing.assert_allclose(found, [0.75 * 0.6 + 0.5 * 0.8 - 0.5 * 0.6, 0.25 * 0.2])


def test_what_is_worse_than_the_reference_adds_nothing() -> None:
    assert measures.hypervolume([[2.0, 0.1], [0.1, 1.0], [np.nan, 0.0]], (1, 1)) == 0
    assert measures.hypervolume([[2.0, 0.1], [0.5, 0.5]], (1, 1)) == pytest.approx(0.25)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("objectives", [2, 3])
def test_a_point_that_is_not_finite_adds_nothing(objectives: int, odd: float) -> None:
    corner = (1.0,) * objectives
    good = [0.5] * objectives
    alone = 0.5**objectives
    assert measures.hypervolume([[-np.inf, 0.5]], (1, 1)) == 0
    for places in product([False, True], repeat=objectives):
        point = [odd if place else 0.25 for place in places]
        if not any(places):
            continue
        assert measures.hypervolume([point], corner) == 0
        assert measures.hypervolume([good, point], corner) == pytest.approx(alone)
        stacked = measures.hypervolume([[good, point], [point, point]], corner, (0,) * objectives)
        np.testing.assert_allclose(stacked, [alone, 0])


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_reference_or_ideal_point_is_finite(odd: float) -> None:
    with pytest.raises(InputError, match=r"^reference point \(1\.0, .*\) has a number that is not"):
        measures.hypervolume([[0.5, 0.5]], (1, odd))
    with pytest.raises(
        InputError, match=r"^ideal point \(.*, 0\.0, 0\.0\) has a number that is not"
    ):
        measures.hypervolume([[0.5, 0.5, 0.5]], (1, 1, 1), (odd, 0, 0))


def test_hypervolume_against_counted_points() -> None:
    random = np.random.default_rng(0)
    losses = random.uniform(0.2, 1.1, (8, 3))
    drawn = random.uniform(size=(200_000, 3))
    dominated = (losses[None] <= drawn[:, None]).all(axis=-1).any(axis=-1).mean()
    assert measures.hypervolume(losses, (1, 1, 1)) == pytest.approx(dominated, abs=0.004)


def test_adding_a_solution_never_lowers_it() -> None:
    losses = np.random.default_rng(1).uniform(0, 1, (30, 2))
    shares = [float(measures.hypervolume(losses[:count], (1, 1))) for count in range(1, 31)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1


def test_distance_to_the_front() -> None:
    front = [[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]]
    # Scaled by (2, 2): each point's nearest of (0, 1) and (.5, .5).
    assert measures.distance([[0.0, 2.0], [1.0, 1.0]], front, (2, 2)) == pytest.approx(
        (0 + 0 + np.hypot(0.5, 0.5)) / 3
    )
    assert measures.distance(front, front, (2, 2)) == 0


def test_coverage_is_one_from_ideal_to_reference() -> None:
    assert measures.coverage([[1.0, 4.0], [3.0, 2.0]], (3, 4), (1, 2)) == pytest.approx(1)
    assert measures.coverage([[1.0, 2.0], [2.0, 2.0]], (3, 4), (1, 2)) == pytest.approx(
        np.sqrt(0.5**2 / 2)
    )
    assert measures.coverage([[0.4, 0.4]] * 5, (1, 1)) == 0


def test_spacing_is_zero_for_even_sets_alone() -> None:
    even = np.stack([np.linspace(0, 1, 6), np.linspace(1, 0, 6)], axis=-1)
    assert measures.spacing(even, (1, 1)) == pytest.approx(0, abs=1e-12)
    # Distances to the nearest: .2, .2, .8 of four coordinates each summed over both objectives.
    uneven = [[0.0, 1.0], [0.1, 0.9], [0.5, 0.5]]
    assert measures.spacing(uneven, (1, 1)) == pytest.approx(np.std([0.2, 0.2, 0.8], ddof=1))


def test_evaluations_to_a_level() -> None:
    assert measures.evaluations_to(0.3, [0, 10, 20, 30], [0.1, 0.2, 0.3, 0.25]) == 20
    assert measures.evaluations_to(0.1, [0, 10], [0.1, 0.2]) == 0
    assert measures.evaluations_to(0.31, [0, 10, 20], [0.1, 0.2, 0.3]) is None
    with pytest.raises(ValueError, match="shorter"):
        measures.evaluations_to(0.1, [0, 10], [0.05])
