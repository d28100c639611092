import numpy as np
import pytest

from mtl_core import InputError
from mtl_core.pareto import preferences


def test_two_objectives_are_spread_evenly() -> None:
    found = preferences.lattice(2, 5)
    np.testing.assert_allclose(found, [[0, 1], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1, 0]])


def test_three_objectives_are_the_lattice_of_das_and_dennis() -> None:
    found = preferences.lattice(3, 6)
    halves = {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)}
    assert {tuple(row) for row in found.tolist()} == halves


@pytest.mark.parametrize(("objectives", "count"), [(2, 2), (2, 37), (3, 15), (4, 20), (5, 5)])
def test_all_lie_on_the_simplex_once(objectives: int, count: int) -> None:
    for found in (
        preferences.lattice(objectives, count),
        preferences.sampled(objectives, count, seed=3),
    ):
        assert found.shape == (count, objectives)
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
        assert len(np.unique(found.round(12), axis=0)) == count


def test_a_sample_is_uniform_and_its_seed_repeats_it() -> None:
    found = preferences.sampled(3, 20_000, seed=0)
    np.testing.assert_array_equal(found, preferences.sampled(3, 20_000, seed=0))
    assert not np.array_equal(found, preferences.sampled(3, 20_000, seed=1))
    # Of the flat Dirichlet distribution: mean 1/K, variance (K - 1) / (K² (K + 1)).
    np.testing.assert_allclose(found.mean(axis=0), 1 / 3, atol=0.01)
    np.testing.assert_allclose(found.var(axis=0), 2 / 36, atol=0.002)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: preferences.lattice(1, 5), "1 objective has no trade-off; give at least 2"),
        (lambda: preferences.lattice(3, 2), "2 preferences are fewer than the 3 objectives"),
        (lambda: preferences.sampled(3, 2, 0), "choose at least 3"),
        (lambda: preferences.lattice(3, 12), "choose 10 or 15, or sample them"),
        (lambda: preferences.lattice(4, 5), "choose 4 or 10"),
        (lambda: preferences.checked([[0.5, 0.5]], 2), "1 preferences are fewer"),
        (lambda: preferences.checked([[1, 0], [0.5, 0.6]], 2), r"\[0.5, 0.6\] is off the simplex"),
        (lambda: preferences.checked([[1, 0], [1.5, -0.5]], 2), r"\[1.5, -0.5\] has a weight"),
        (lambda: preferences.checked([[1, 0], [float("nan"), 1]], 2), "has a weight that is not"),
        (lambda: preferences.checked([[1, 0], [1, 0, 0]], 2), "must have 2 weights"),
        (lambda: preferences.checked([[1, 0], ["a", 0]], 2), "is not a list of numbers"),
        (lambda: preferences.checked([0.5, 0.5], 2), "must have 2 weights"),
    ],
)
def test_what_is_no_preference_is_named(call, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()


def test_given_preferences_are_kept() -> None:
    given = [[0.2, 0.8], [0.7, 0.3], [1, 0]]
    np.testing.assert_array_equal(preferences.checked(given, 2), given)
