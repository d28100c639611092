"""Which pair wins a sweep: by hand, on tables that were made up."""

import doctest
import math

import pandas as pd
import pytest

from mtl_core.analysis import sweep
from mtl_core.analysis.sweep import Choice, Trial, best_validation, choose, scores


def run(epochs: list[float], metrics: list[float | None]) -> pd.DataFrame:
    # A test metric that would choose otherwise: nothing here may look at it.
    tests = range(len(epochs))
    return pd.DataFrame({"epoch": epochs, "val_metric": metrics, "test_metric": tests}, dtype=float)


def trials(table: dict[tuple[float, int], list[float | None]]) -> list[Trial]:
    return [Trial(lr, size, best) for (lr, size), bests in table.items() for best in bests]


def test_the_examples_hold() -> None:
    done = doctest.testmod(sweep)
    assert (done.failed, done.attempted) == (0, 2)


# a run


@pytest.mark.parametrize(
    ("direction", "epochs", "metrics", "best"),
    [
        ("higher", [0, 1, 2, 3], [0.9, 0.5, 0.7, 0.6], (0.7, 2)),
        ("lower", [0, 1, 2, 3], [0.1, 0.5, 0.7, 0.6], (0.5, 1)),
        ("higher", [0, 0.5, 1, 2], [0.1, 0.99, 0.5, 0.4], (0.5, 1)),
        ("higher", [0, 1, 2, 3], [0.1, 0.5, 0.8, 0.8], (0.8, 2)),
        ("lower", [0, 1, 2, 3], [9, 0.3, 0.3, 0.5], (0.3, 1)),
        ("higher", [0, 1, 2, 3], [0.1, math.nan, 0.8, math.inf], (0.8, 2)),
        ("lower", [0, 1, 2], [0.1, None, -math.inf], None),
        ("higher", [0, 0.25, 0.5], [0.1, 0.2, 0.3], None),
    ],
    ids=[
        "step 0 does not count",
        "lower is better",
        "only whole epochs count",
        "the earliest on ties",
        "the earliest on ties, lower is better",
        "what is not finite does not count",
        "none is finite",
        "no epoch was finished",
    ],
)
def test_a_run_counts_with_its_best_validation_metric(
    direction: str, epochs: list[float], metrics: list[float | None], best: object
) -> None:
    assert best_validation(run(epochs, metrics), direction) == best


# pairs

TABLE: dict[tuple[float, int], list[float | None]] = {
    (0.1, 16): [0.90, None],  # the best run of all, beside one that diverged
    (0.1, 32): [0.60, 0.70],
    (0.1, 64): [0.60, 0.60],
    (0.01, 16): [0.50, 0.84],
    (0.01, 32): [0.70, 0.74],
    (0.01, 64): [0.71, 0.71],
    (0.001, 16): [0.40, 0.40],
    (0.001, 32): [0.30, 0.95],
    (0.001, 64): [0.10, 0.99],
}


def test_scores_are_means_over_the_runs_of_a_pair() -> None:
    found = scores(trials(TABLE))
    assert math.isnan(found.pop((0.1, 16))), "one run of it diverged"
    assert found == pytest.approx(
        {
            (0.1, 32): 0.65,
            (0.1, 64): 0.60,
            (0.01, 16): 0.67,
            (0.01, 32): 0.72,
            (0.01, 64): 0.71,
            (0.001, 16): 0.40,
            (0.001, 32): 0.625,
            (0.001, 64): 0.545,
        }
    )


def test_the_best_mean_wins() -> None:
    assert choose(trials(TABLE), "higher") == Choice(0.01, 32, pytest.approx(0.72), ())
    lowest = Choice(0.001, 16, pytest.approx(0.40), ("lr", "batch_size"))
    assert choose(trials(TABLE), "lower") == lowest, "a diverged pair does not win this way either"


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_of_equal_scores_the_larger_batch_wins_then_the_smaller_rate(direction: str) -> None:
    even = {(lr, size): [0.2, 0.7] for lr in (0.3, 0.1, 0.2) for size in (16, 64, 32)}
    for order in (even.items(), reversed(even.items())):
        won = choose(trials(dict(order)), direction)
        assert won == Choice(0.1, 64, pytest.approx(0.45), ("lr", "batch_size"))
    swapped = {(0.1, 64): [0.7, 0.2], (0.1, 32): [0.2, 0.7]}
    won = choose(trials(swapped), direction)
    assert won == Choice(0.1, 64, pytest.approx(0.45), ("batch_size",))


@pytest.mark.parametrize(
    ("pairs", "edges"),
    [
        ([(0.1, 16), (0.2, 16), (0.3, 16)], ()),
        ([(0.2, 16), (0.3, 16)], ("lr",)),
        ([(0.1, 16), (0.2, 16)], ("lr",)),
        ([(0.2, 8), (0.2, 16), (0.2, 32)], ()),
        ([(0.2, 16), (0.2, 32), (0.1, 16), (0.1, 32)], ("lr", "batch_size")),
    ],
)
def test_a_winner_at_an_edge_says_so(pairs: list[tuple[float, int]], edges: object) -> None:
    """A rate or batch size that was not chosen among several has no edge."""
    won = choose([Trial(*pair, 0.9 if pair == (0.2, 16) else 0.1) for pair in pairs], "higher")
    assert won is not None
    assert (won.lr, won.batch_size, won.edges) == (0.2, 16, edges)


def test_where_all_have_lost_nothing_wins() -> None:
    assert choose(trials({(0.1, 16): [None], (0.1, 32): [0.5, None]}), "higher") is None
