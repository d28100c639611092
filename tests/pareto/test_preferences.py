import numpy as np
import pytest

from mtl_core import InputError
from mtl_core.pareto import preferences


def test_lattices() -> None:
    np.testing.assert_allclose(
        preferences.simplex(5, 2), [[0, 1], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1, 0]]
    )
    halves = {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)}
    assert {tuple(row) for row in preferences.simplex(6, 3).tolist()} == halves


@pytest.mark.parametrize(("objectives", "count"), [(2, 2), (2, 37), (3, 12), (4, 20), (5, 5)])
def test_all_lie_on_the_simplex_once(objectives: int, count: int) -> None:
    for found in (
        preferences.lattice(count, objectives),
        preferences.random(count, objectives, seed=3),
    ):
        assert found.shape == (count, objectives)
        assert (found >= preferences.FLOOR - 1e-12).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
        assert len(np.unique(found.round(12), axis=0)) == count


@pytest.mark.parametrize("objectives", [2, 3, 7])
def test_given_ones_are_raised_once_and_stay_what_they_are(objectives: int) -> None:
    generator = np.random.default_rng(objectives)
    rows = generator.dirichlet(np.full(objectives, 0.2), size=200)
    rows[0] = np.eye(objectives)[0]
    found = preferences.given(rows.tolist(), objectives)
    assert (found >= preferences.FLOOR).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    high = (rows >= 0.05).all(axis=1)
    np.testing.assert_array_equal(found[high], rows[high])
    assert ((found == preferences.FLOOR) >= (rows < preferences.FLOOR)).all()
    np.testing.assert_array_equal(preferences.given(found.tolist(), objectives), found)
    np.testing.assert_allclose(found[0, 0], 1 - 0.01 * (objectives - 1), atol=1e-15)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: preferences.lattice(5, 1), "1 objective has no trade-off"),
        (lambda: preferences.lattice(0, 2), "number of solutions 0 must be between"),
        (lambda: preferences.given([[1, 0], [0.5, 0.6]], 2), "sums to 1.1, not 1"),
        (lambda: preferences.given([[1.5, -0.5]], 2), "must be a number in 0..1"),
        (lambda: preferences.given([[float("nan"), 1]], 2), "must be a number in 0..1"),
        (lambda: preferences.given([[1, 0, 0]], 2), "has 3 weights for 2 objectives"),
        (lambda: preferences.given(["a"], 2), "must be a list of weights"),
    ],
)
def test_what_is_no_preference_is_named(call, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
